/**
 * Runs a compiled plan on a CUDA device.
 *
 * A call binds the addresses of its buffers and sends the plan's launches to the current stream; it does not wait for them. What is in the plan's arena
 * lives in the stream's workspace. The second call at the same sizes, or a later one where recordings did not pay, records the launches between host steps as CUDA graphs, and replays them from then on.
 * A few sizes are kept, the least recently used goes first. Host steps copy their tensors to the host, wait, and copy results back.
 */

import type { Buffer } from "../buffer.ts";
import type { Executable } from "../kernel.ts";
import { CpuBuffer } from "../cpu/memory.ts";
import { Binding, type Segment } from "./binding.ts";
import type { CudaContext } from "./context.ts";
import type { CudaDeviceMemory } from "./device_memory.ts";
import type { ErrorSlot } from "./error_board.ts";
import type { CudaBuffer } from "./memory.ts";
import type { CudaPlan, CudaPlanStep } from "./plan.ts";
import { reportLabel } from "./report_label.ts";
import type { CudaStream } from "./stream.ts";
import { beginCall, withinGraph, workspaceOf } from "./workspace.ts";

/** Sizes for which launches, and graphs, are kept. */
const SIZES_KEPT = 8;

/** A recording takes about as long as this many calls without it; and a size is not made to wait for longer than so many runs. */
const PAYING_REPLAYS = 4;
const MOST_PATIENCE = 16;

/** How to run a plan. */
export interface CudaExecutableOptions {
  readonly context: CudaContext;
  readonly memory: CudaDeviceMemory;
  readonly plan: CudaPlan;
  /** Whether launches are recorded as CUDA graphs. */
  readonly graphs: boolean;
}

/** How long one launch took. */
export interface CudaLaunchTime {
  readonly name: string;
  readonly origin: string;
  /** The step of the plan that it belongs to. */
  readonly step: number;
  readonly milliseconds: number;
}

/** A caller's memory that kernels cannot use where it is. */
interface Detour {
  readonly slot: number;
  readonly buffer: CudaBuffer;
  readonly copy: CudaBuffer;
}

/** A plan on a CUDA device. */
export class CudaExecutable implements Executable<CudaBuffer> {
  readonly tier = "cuda";
  readonly plan: CudaPlan;
  readonly #context: CudaContext;
  readonly #memory: CudaDeviceMemory;
  readonly #graphs: boolean;
  readonly #external: readonly number[];
  readonly #aliases: readonly (readonly [slot: number, of: number])[];
  /** Those of them that a call binds while what the plan holds is where it was. */
  readonly #moving: readonly number[];
  readonly #movingAliases: readonly (readonly [slot: number, of: number])[];
  readonly #held: ReadonlySet<number>;
  /** Whether calls need nothing of what the plan holds but its addresses. */
  readonly #canHold: boolean;
  /** Whether the last call used everything that the plan holds where it is. */
  #inPlace = false;
  /** For each slot the multiple that its address must be. */
  readonly #align: readonly number[];
  readonly #written: ReadonlySet<number>;
  readonly #errors: ErrorSlot | null;
  #bindings: Binding[] = [];
  /** Runs at one size before its launches are recorded: more where recordings were dropped before they paid. */
  #patience = 1;

  constructor({ context, memory, plan, graphs }: CudaExecutableOptions) {
    this.#context = context;
    this.#memory = memory;
    this.plan = plan;
    this.#graphs = graphs;
    this.#external = plan.sources.flatMap((s, i) => s.kind === "external" ? [i] : []);
    this.#aliases = plan.sources.flatMap((s, i) => s.kind === "alias" ? [[i, s.of] as const] : []);
    const held = this.#held = new Set(
      plan.sources.flatMap((s, i) => s.kind === "external" && s.held === true ? [i] : []),
    );
    const isHeld = (slot: number): boolean => {
      const source = plan.sources[slot];
      return source?.kind === "alias" ? isHeld(source.of) : held.has(slot);
    };
    this.#moving = this.#external.filter((slot) => !held.has(slot));
    this.#movingAliases = this.#aliases.filter(([slot]) => !isHeld(slot));
    this.#canHold = held.size > 0 && plan.steps.every((s) => s.kind === "launches");
    this.#written = new Set(this.#aliases.map(([, of]) => of));
    this.#align = alignments(plan);
    const label = reportLabel(plan);
    this.#errors = label === null ? null : context.errors.allocate(label);
  }

  /** Whether a call at these sizes finds what the plan holds where it was: then {@linkcode CudaExecutable.run} needs no buffers of it. */
  isHeld(sizes: readonly number[]): boolean {
    const known = this.#knownFor(sizes);
    return known !== undefined && known.held.holds && this.#context.currentStream === this.#context.stream;
  }

  /** Whether the call that is about to begin should mark what the plan holds, and end with {@linkcode CudaExecutable.hold}. */
  isWorthHolding(sizes: readonly number[]): boolean {
    if (!this.#canHold) return false;
    const known = this.#knownFor(sizes);
    // Another stream must be told of all memory that it uses.
    return known !== undefined && known.held.isCalm() && this.#context.currentStream === this.#context.stream;
  }

  /** After a call: all that the plan holds was marked before it, and stays where it is until a change is counted. */
  hold(): void {
    if (this.#inPlace) this.#bindings[0]?.held.settle();
  }

  /** What the plan holds is no longer what it was: calls at all sizes are given it anew. */
  letGo(): void {
    for (const binding of this.#bindings) binding.held.drop();
  }

  /** `held`: as {@linkcode CudaExecutable.isHeld} said; buffers of what the plan holds are not looked at. */
  run(buffers: readonly (CudaBuffer | undefined)[], sizes: readonly number[], held = false): void {
    const stream = this.#context.currentStream;
    this.#errors?.check();
    const binding = this.#bindingFor(sizes);
    const record = this.#graphs && !stream.capturing && !this.#context.launchBlocking;
    const sent = beginCall(this.#context, stream);
    try {
      const detours = this.#bind(binding, buffers, stream, record, held);
      for (const segment of binding.segments) {
        if (segment.kind === "launches") binding.run(segment, stream, record, this.#patience);
        else this.#runHost(segment.step, binding, buffers, sizes, stream);
      }
      if (detours !== null) this.#endDetours(detours, stream);
    } finally {
      sent.calls--;
    }
  }

  /** Runs the plan once, and measures each launch by events around it; host steps are not in the list. */
  measure(buffers: readonly (CudaBuffer | undefined)[], sizes: readonly number[]): CudaLaunchTime[] {
    const stream = this.#context.currentStream;
    const binding = this.#bindingFor(sizes);
    const sent = beginCall(this.#context, stream);
    try {
      const detours = this.#bind(binding, buffers, stream, false, false);
      const times: CudaLaunchTime[] = [];
      for (const segment of binding.segments) {
        if (segment.kind === "launches") times.push(...measureSegment(segment, stream));
        else this.#runHost(segment.step, binding, buffers, sizes, stream);
      }
      if (detours !== null) this.#endDetours(detours, stream);
      return times;
    } finally {
      sent.calls--;
    }
  }

  /** Recorded graphs that are kept. */
  get recorded(): number {
    return this.#bindings.reduce(
      (n, b) => n + b.segments.filter((s) => s.kind === "launches" && s.graph !== null).length,
      0,
    );
  }

  /** Gives recorded graphs back; the next calls make them anew. */
  dispose(): void {
    for (const binding of this.#bindings) binding.dispose();
    this.#bindings = [];
  }

  #knownFor(sizes: readonly number[]): Binding | undefined {
    for (const binding of this.#bindings) if (binding.fits(sizes)) return binding;
    return undefined;
  }

  #bindingFor(sizes: readonly number[]): Binding {
    const list = this.#bindings;
    const last = list[0];
    if (last !== undefined && last.fits(sizes)) return last;
    const at = list.findIndex((b) => b.fits(sizes));
    const found = at < 0
      ? new Binding(this.#context, this.plan, sizes, this.#errors?.address ?? 0)
      : list.splice(at, 1)[0] as Binding;
    list.unshift(found);
    const dropped = list.length > SIZES_KEPT ? list.pop() : undefined;
    if (dropped !== undefined) {
      const replays = dropped.fewestReplays;
      if (replays !== null) this.#patience = replays < PAYING_REPLAYS ? Math.min(2 * this.#patience, MOST_PATIENCE) : 1;
      dropped.dispose();
    }
    return found;
  }

  #bind(
    binding: Binding,
    buffers: readonly (CudaBuffer | undefined)[],
    stream: CudaStream,
    record: boolean,
    held: boolean,
  ): Detour[] | null {
    const workspace = workspaceOf(this.#context, stream);
    const arena = workspace.arena(binding.arenaBytes);
    binding.place(arena, workspace.zeros(binding.zeroBytes));
    let detours: Detour[] | null = null;
    const foreign = stream !== this.#context.stream;
    this.#inPlace = true;
    // Other memory may be bound from here on.
    if (!held) binding.held.drop();
    for (const slot of held ? this.#moving : this.#external) {
      const buffer = buffers[slot];
      if (buffer === undefined) {
        throw new TypeError(`run() got no buffer for slot ${slot} of ${this.plan.sources.length}`);
      }
      if (foreign) buffer.recordUse(stream);
      let address = buffer.address;
      // As in the call before, which is how most of a model's parameters are.
      if (binding.addressOf(slot) === address && binding.parkings[slot] === null) continue;
      if (address % (this.#align[slot] ?? 1) !== 0) {
        const bytes = Math.min(binding.slotBytes[slot] ?? 0, buffer.byteLength);
        const copy = this.#context.allocator.allocate(
          bytes,
          "an aligned copy of a view",
          stream,
          binding.addressOf(slot),
        );
        this.#context.copy(copy.address, address, bytes, stream);
        (detours ??= []).push({ slot, buffer, copy });
        address = copy.address;
      } else if (record) address = binding.parkings[slot]?.settle(address, stream) ?? address;
      if (address !== buffer.address && this.#held.has(slot)) this.#inPlace = false;
      binding.point(slot, address);
    }
    for (const [slot, of] of held ? this.#movingAliases : this.#aliases) binding.point(slot, binding.addressOf(of));
    return detours;
  }

  #endDetours(detours: readonly Detour[], stream: CudaStream): void {
    for (const { slot, buffer, copy } of detours) {
      if (this.#written.has(slot)) this.#context.copy(buffer.address, copy.address, copy.byteLength, stream);
      copy.dispose();
    }
  }

  #runHost(
    index: number,
    binding: Binding,
    buffers: readonly (CudaBuffer | undefined)[],
    sizes: readonly number[],
    stream: CudaStream,
  ): void {
    const step = this.plan.steps[index] as Extract<CudaPlanStep, { kind: "host" }>;
    const memoryOf = (slot: number): CudaBuffer => {
      const source = this.plan.sources[slot];
      const bytes = binding.slotBytes[slot] ?? 0;
      if (source?.kind === "alias") return memoryOf(source.of);
      if (source?.kind === "arena") {
        return workspaceOf(this.#context, stream).arenaBuffer.part(binding.arenaOffsets[slot] ?? 0, bytes);
      }
      return (buffers[slot] as CudaBuffer).part(0, Math.min(bytes, (buffers[slot] as CudaBuffer).byteLength));
    };
    if (step.run.onDevice === true) {
      const there: CudaBuffer[] = [];
      for (const slot of [...step.reads, ...step.writes]) there[slot] ??= memoryOf(slot);
      withinGraph(stream, () => step.run(there as readonly Buffer[] as readonly CpuBuffer[], sizes));
      return;
    }
    const hosts: CpuBuffer[] = [];
    for (const slot of step.reads) {
      const source = memoryOf(slot);
      hosts[slot] = CpuBuffer.wrap(this.#memory.readSync(source, 0, source.byteLength));
    }
    for (const slot of step.writes) hosts[slot] ??= CpuBuffer.wrap(new Uint8Array(binding.slotBytes[slot] ?? 0));
    withinGraph(stream, () => step.run(hosts, sizes));
    for (const slot of step.writes) this.#memory.write(memoryOf(slot), 0, (hosts[slot] as CpuBuffer).uint8);
  }
}

function alignments(plan: CudaPlan): number[] {
  const align = plan.sources.map(() => 1);
  const raise = (slot: number, to: number): void => {
    const source = plan.sources[slot];
    if (source?.kind === "alias") raise(source.of, to);
    else align[slot] = Math.max(align[slot] ?? 1, to);
  };
  for (const step of plan.steps) {
    if (step.kind !== "launches") continue;
    for (const { args } of step.launches) {
      for (const arg of args) {
        if (arg.kind === "slot") raise(arg.slot, arg.align);
        if (arg.kind === "tensorMap") raise(arg.slot, 16);
      }
    }
  }
  return align;
}

/** Bytes whose filling takes a device about 0.1 ms. */
const STALL_BYTES = 256 * 2 ** 20;
const LAUNCHES_A_STALL = 8;

/** Keeps the device busy until as many launches are under way, so that their times have no gaps in which it waits for the host. */
function stall(stream: CudaStream, launches: number): void {
  const { context } = stream;
  using room = context.allocator.allocate(STALL_BYTES, "a pause before a measurement", stream);
  for (let i = 0; i < launches; i += LAUNCHES_A_STALL) context.fill(room.address, 0, STALL_BYTES, stream);
}

function measureSegment(segment: Segment, stream: CudaStream): CudaLaunchTime[] {
  stall(stream, segment.launches.length);
  const marks = [stream.record({ timing: true })];
  for (const { fn, shape, args } of segment.launches) {
    fn.launch(shape, args, stream);
    marks.push(stream.record({ timing: true }));
  }
  stream.synchronize();
  const times = segment.launches.map(({ fn, step }, i): CudaLaunchTime => ({
    name: fn.name,
    origin: fn.origin,
    step,
    milliseconds: marks[i + 1]?.millisecondsSince(marks[i] as typeof marks[number]) ?? 0,
  }));
  for (const mark of marks) mark.dispose();
  return times;
}
