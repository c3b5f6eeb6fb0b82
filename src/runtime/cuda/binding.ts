/**
 * A plan at particular sizes: shapes of launches, packed arguments, recorded graphs.
 *
 * What depends on sizes alone is computed once. A call gives the addresses of the slots; where one differs from the call before, the arguments that contain it are
 * written again and their launches marked, so that a recorded graph can be corrected kernel by kernel instead of being recorded anew. Outputs belong to
 * the caller: a replay writes to the memory of its own call.
 */

import { InternalError, isStageEnabled, Reliance } from "../../core/mod.ts";
import type { CudaContext } from "./context.ts";
import { CudaGraph } from "./graphs.ts";
import { CudaArguments, type LaunchShape, type ParameterKind } from "./layout.ts";
import type { Launchable } from "./launchable.ts";
import type { CudaPlan, CudaPlanArg, CudaPlanLaunch } from "./plan.ts";
import type { CudaStream } from "./stream.ts";
import { isWorthParking, Parking } from "./parking.ts";
import { encodeMap } from "./tensor_map.ts";

/** Scratch ranges start at multiples of this, as allocations do. */
const ALIGN = 256;
/** A run of fewer launches is not worth a graph. */
const FEWEST_LAUNCHES = 4;

/** Compute capability from which kernels can wait for the one before. */
const DEPENDENT_LAUNCHES = 90;

function aligned(bytes: number): number {
  return Math.ceil(bytes / ALIGN) * ALIGN;
}

/** One launch at particular sizes. */
interface BoundLaunch {
  readonly fn: Launchable;
  readonly shape: LaunchShape;
  readonly args: CudaArguments;
  /** The step of the plan that it belongs to. */
  readonly step: number;
  /** Whether the graph that contains it has other arguments. */
  stale: boolean;
  /** How many launches of its segment are stale: so a call need not look at each. */
  readonly among: { stale: number };
}

/** Where an address goes: a parameter of a launch, at a distance. */
interface Use {
  readonly launch: BoundLaunch;
  readonly parameter: number;
  readonly offset: number;
  readonly map: ReturnType<Extract<CudaPlanArg, { kind: "tensorMap" }>["map"]> | null;
}

/** Launches between two host steps. */
export interface Segment {
  readonly kind: "launches";
  readonly launches: readonly BoundLaunch[];
  readonly among: BoundLaunch["among"];
  graph: CudaGraph | null;
  runs: number;
  replays: number;
  /** Whether all its launches can be in a graph whose arguments change. */
  readonly recordable: boolean;
}

/** A host step, by its position in the plan. */
export interface HostSegment {
  readonly kind: "host";
  readonly step: number;
}

/** A plan at particular sizes. */
export class Binding {
  readonly sizes: readonly number[];
  readonly segments: readonly (Segment | HostSegment)[];
  /** Bytes of the arena, scratch included. */
  readonly arenaBytes: number;
  readonly zeroBytes: number;
  /** For each slot of the arena its offset; -1 for others. */
  readonly arenaOffsets: readonly number[];
  readonly slotBytes: readonly number[];
  /** For each slot what brings it to one place in calls that replay graphs; null for what is used where it is. */
  readonly parkings: readonly (Parking | null)[];
  /** While it holds, what the plan holds is where it was bound last. */
  readonly held: Reliance = new Reliance();
  readonly #context: CudaContext;
  readonly #uses: readonly Use[][];
  readonly #arenaUses: Use[] = [];
  readonly #zeroUses: Use[] = [];
  readonly #addresses: Float64Array<ArrayBuffer>;
  #arena = -1;
  #zeros = -1;

  constructor(context: CudaContext, plan: CudaPlan, sizes: readonly number[], errorAddress: number) {
    this.#context = context;
    this.sizes = [...sizes];
    this.arenaOffsets = plan.sources.map((s) => s.kind === "arena" ? s.offset(sizes) : -1);
    this.slotBytes = plan.slotBytes.map((f) => f(sizes));
    this.#uses = plan.sources.map(() => []);
    this.#addresses = new Float64Array(plan.sources.length).fill(-1);
    const scratchStart = aligned(plan.arenaBytes(sizes));
    let arenaBytes = scratchStart;
    let zeroBytes = 0;
    const segments: (Segment | HostSegment)[] = [];
    let current: BoundLaunch[] = [];
    let among = { stale: 0 };
    const early = context.info.capability >= DEPENDENT_LAUNCHES && context.api.cuLaunchKernelEx !== null &&
      isStageEnabled("dependent_launch");
    const close = (): void => {
      if (current.length > 0) {
        const recordable = current.every(({ fn }) => fn.recordable);
        segments.push({ kind: "launches", launches: current, among, graph: null, runs: 0, replays: 0, recordable });
      }
      current = [];
      among = { stale: 0 };
    };
    plan.steps.forEach((step, i) => {
      if (step.kind === "host") {
        close();
        segments.push({ kind: "host", step: i });
        return;
      }
      const scratch = new Map<number, number>();
      const end = { arena: scratchStart, zeros: 0 };
      for (const launch of step.launches) {
        checkEarly(plan, launch);
        const overlaps = early && launch.waits === true && current.length > 0;
        const bound = this.#bind(launch, i, errorAddress, scratch, end, overlaps, among);
        if (bound !== null) current.push(bound);
      }
      arenaBytes = Math.max(arenaBytes, end.arena);
      zeroBytes = Math.max(zeroBytes, end.zeros);
    });
    close();
    this.segments = segments;
    this.arenaBytes = arenaBytes;
    this.zeroBytes = zeroBytes;
    const written = new Set(plan.sources.flatMap((s) => s.kind === "alias" ? [s.of] : []));
    const recorded = new Set(segments.flatMap((s) => s.kind === "launches" && isRecorded(s) ? s.launches : []));
    this.parkings = plan.sources.map((source, slot): Parking | null => {
      if (source.kind !== "external" || source.given !== true || written.has(slot)) return null;
      const bytes = this.slotBytes[slot] ?? 0;
      const readers = new Set((this.#uses[slot] ?? []).map(({ launch }) => launch).filter((l) => recorded.has(l)));
      return isWorthParking(readers.size, bytes) ? new Parking(context, bytes) : null;
    });
  }

  /** Whether these are the sizes. */
  fits(sizes: readonly number[]): boolean {
    const mine = this.sizes;
    for (let i = 0; i < mine.length; i++) if (mine[i] !== sizes[i]) return false;
    return true;
  }

  /** Takes the addresses of this call's arena and zeros. */
  place(arena: number, zeros: number): void {
    if (arena !== this.#arena) {
      this.#arena = arena;
      for (const use of this.#arenaUses) this.#write(use, arena);
      this.arenaOffsets.forEach((offset, slot) => {
        if (offset >= 0) this.point(slot, arena + offset);
      });
    }
    if (zeros !== this.#zeros) {
      this.#zeros = zeros;
      for (const use of this.#zeroUses) this.#write(use, zeros);
    }
  }

  /** Takes the address of a slot for this call. */
  point(slot: number, address: number): void {
    if (this.#addresses[slot] === address) return;
    this.#addresses[slot] = address;
    for (const use of this.#uses[slot] ?? []) this.#write(use, address);
  }

  /** The address that a slot has in this call. */
  addressOf(slot: number): number {
    return this.#addresses[slot] ?? 0;
  }

  /** How often the recorded graph that was used least was replayed; null if none was recorded. */
  get fewestReplays(): number | null {
    const recorded = this.segments.flatMap((s) => s.kind === "launches" && s.graph !== null ? [s.replays] : []);
    return recorded.length === 0 ? null : Math.min(...recorded);
  }

  /** Sends the launches of a segment to a stream: as one graph, when it has run `patience` times. */
  run(segment: Segment, stream: CudaStream, asked: boolean, patience = 1): void {
    const record = asked && segment.recordable;
    if (record && segment.graph === null && segment.runs >= patience && isRecorded(segment)) this.#record(segment);
    segment.runs++;
    const { graph, launches } = segment;
    if (graph === null || !record) {
      for (const { fn, shape, args } of launches) fn.launch(shape, args, stream);
      return;
    }
    const { among } = segment;
    for (let i = 0; among.stale > 0 && i < launches.length; i++) {
      const launch = launches[i] as BoundLaunch;
      if (!launch.stale) continue;
      graph.update(i, launch.shape, launch.args);
      launch.stale = false;
      among.stale--;
    }
    graph.replay(stream);
    segment.replays++;
  }

  /** Gives the recorded graphs back. */
  dispose(): void {
    for (const parking of this.parkings) parking?.dispose();
    for (const segment of this.segments) {
      if (segment.kind !== "launches") continue;
      segment.graph?.dispose();
      segment.graph = null;
    }
  }

  #record(segment: Segment): void {
    segment.graph = CudaGraph.capture(this.#context, (stream) => {
      for (const { fn, shape, args } of segment.launches) fn.launch(shape, args, stream);
    });
    for (const launch of segment.launches) launch.stale = false;
    segment.among.stale = 0;
  }

  /** Null for a launch without any block. */
  #bind(
    launch: CudaPlanLaunch,
    step: number,
    errorAddress: number,
    scratch: Map<number, number>,
    end: { arena: number; zeros: number },
    overlaps: boolean,
    among: BoundLaunch["among"],
  ): BoundLaunch | null {
    const { sizes } = this;
    const [x, y, z] = launch.grid.map((f) => f(sizes)) as [number, number, number];
    const shape: LaunchShape = {
      grid: [x, y, z],
      block: launch.block,
      sharedBytes: launch.sharedBytes,
      ...(launch.cluster === undefined ? {} : { cluster: launch.cluster }),
      ...(overlaps ? { overlapPrevious: true } : {}),
    };
    const args = new CudaArguments(launch.args.map(parameterKind));
    const bound: BoundLaunch = { fn: launch.fn, shape, args, step, stale: false, among };
    const uses: [Use[], Use][] = [];
    launch.args.forEach((arg, parameter) => {
      switch (arg.kind) {
        case "slot":
          uses.push([this.#uses[arg.slot] ?? [], { launch: bound, parameter, offset: arg.offset ?? 0, map: null }]);
          break;
        case "tensorMap": {
          const use: Use = { launch: bound, parameter, offset: arg.offset(sizes), map: arg.map(sizes) };
          uses.push([this.#uses[arg.slot] ?? [], use]);
          break;
        }
        case "size":
          if (arg.type === "i32") args.setInt(parameter, arg.value(sizes));
          else args.setLong(parameter, arg.value(sizes));
          break;
        case "scratchMap":
        case "scratch": {
          const zeroed = arg.kind === "scratch" && arg.zeroed;
          const space = zeroed ? "zeros" : "arena";
          let offset = scratch.get(arg.id);
          if (offset === undefined) {
            scratch.set(arg.id, offset = end[space]);
            end[space] += aligned(arg.bytes(sizes));
          }
          const map = arg.kind === "scratch" ? null : arg.map(sizes);
          uses.push([zeroed ? this.#zeroUses : this.#arenaUses, { launch: bound, parameter, offset, map }]);
          break;
        }
        case "error":
          args.setAddress(parameter, errorAddress);
          break;
        default:
          arg satisfies never;
      }
    });
    if (x * y * z === 0) return null;
    for (const [list, use] of uses) list.push(use);
    return bound;
  }

  #write({ launch, parameter, offset, map }: Use, base: number): void {
    if (!launch.stale) {
      launch.stale = true;
      launch.among.stale++;
    }
    if (map === null) launch.args.setAddress(parameter, base + offset);
    else encodeMap(this.#context, { ...map, address: base + offset }, launch.args.tensorMap(parameter));
  }
}

/** Whether the launches become a graph when they run again. */
function isRecorded({ recordable, launches }: Segment): boolean {
  return recordable && launches.length >= FEWEST_LAUNCHES;
}

/** What is read while earlier kernels run may be no memory that kernels write. */
function checkEarly({ name, sources }: CudaPlan, { fn, early = [] }: CudaPlanLaunch): void {
  for (const slot of early) {
    if (sources[slot]?.kind === "external" && !sources.some((s) => s.kind === "alias" && s.of === slot)) continue;
    throw new InternalError(`${name}: kernel ${fn.name} reads slot ${slot} before it waits for those that write it`);
  }
}

function parameterKind(arg: CudaPlanArg): ParameterKind {
  switch (arg.kind) {
    case "size":
      return arg.type;
    case "tensorMap":
    case "scratchMap":
      return "tensorMap";
    case "slot":
    case "scratch":
    case "error":
      return "pointer";
    default:
      return arg satisfies never;
  }
}
