/**
 * A static plan for a CUDA device as plain data: launches as numbers, machine code as bytes.
 *
 * Enters: emitted modules with their host plan. Leaves: {@linkcode StoredCuda}, which a later process makes a {@linkcode CudaPlan} of without the graph, the plan, the
 * text or a compiler. Plans that depend on sizes or have steps on the host have no stored form. Everything that is read back is checked before a launch is made of it:
 * slots exist, sizes are whole and not negative.
 */
import { CompileError, type Device, device } from "../../core/mod.ts";
import type { BufferRef } from "../../loops/mod.ts";
import {
  checkLibraryCall,
  type CudaPlan,
  type CudaPlanArg,
  type CudaPlanLaunch,
  type Launchable,
  type LibraryCall,
} from "../../runtime/cuda/mod.ts";
import { constantValue, type Expr } from "../../symbolic/mod.ts";
import type { CudaArg, CudaModules, TensorMapSpec } from "../codegen/cuda/launch.ts";
import { slotNumbers } from "../codegen/slots.ts";
import type { HostPlan } from "../host_plan.ts";
import { type PlanLayout, sourcesOf } from "../plan_layout.ts";

/** A tensor map, with the numbers that it has. */
interface StoredMap extends Omit<TensorMapSpec, "offset" | "sizes" | "strideBytes"> {
  readonly sizes: readonly number[];
  readonly strideBytes: readonly number[];
}

type StoredArg =
  | readonly [kind: "slot", slot: number, align: number, offset: number]
  | readonly [kind: "scratch", bytes: number, zeroed: boolean, id: number]
  | readonly [kind: "map", slot: number, offsetBytes: number, map: StoredMap]
  | readonly [kind: "scratchMap", bytes: number, id: number, map: StoredMap]
  | readonly [kind: "error"];

interface StoredLaunch {
  readonly module: number;
  readonly function: string;
  readonly origin: string;
  readonly args: readonly StoredArg[];
  readonly grid: readonly [number, number, number];
  readonly block: readonly [number, number, number];
  readonly cluster: readonly [number, number, number] | null;
  readonly sharedBytes: number;
  readonly waits: boolean;
  /** Slots that are read before it waits. */
  readonly early: readonly number[];
  /** The call of a library instead of a function. */
  readonly library: LibraryCall | null;
}

/** Launches, without code. */
export interface StoredCuda {
  readonly device: string;
  /** Where each result belongs; null for what is no tensor. */
  readonly resultDevices: readonly (string | null)[];
  readonly modules: number;
  readonly steps: readonly (readonly StoredLaunch[])[];
  /** Bytes of each slot. */
  readonly slotBytes: readonly number[];
}

/** A plan that can be loaded: launches and the modules' machine code. */
export interface CudaArtifact {
  readonly stored: StoredCuda;
  readonly images: readonly Uint8Array<ArrayBuffer>[];
}

/** Thrown where a number depends on the sizes of a call. */
class Symbolic extends Error {}

function number(e: Expr): number {
  const value = constantValue(e);
  if (value === null) throw new Symbolic();
  return value;
}

function storedMap({ offset: _, sizes, strideBytes, ...rest }: TensorMapSpec): StoredMap {
  return { ...rest, sizes: sizes.map(number), strideBytes: strideBytes.map(number) };
}

function storedArg(arg: CudaArg, slotOf: (buffer: BufferRef) => number): StoredArg {
  switch (arg.kind) {
    case "buffer":
      return ["slot", slotOf(arg.buffer), arg.align, arg.offset ?? 0];
    case "size":
      throw new Symbolic();
    case "scratch":
      return ["scratch", number(arg.bytes), arg.zeroed, arg.id];
    case "scratchMap":
      return ["scratchMap", number(arg.bytes), arg.id, storedMap(arg.map)];
    case "tensorMap":
      return ["map", slotOf(arg.buffer), number(arg.map.offset) * arg.buffer.dtype.bytes, storedMap(arg.map)];
    case "error":
      return ["error"];
    default:
      return arg satisfies never;
  }
}

/** The plan as data; null if it has none. */
export function storeCuda(
  modules: CudaModules,
  plan: HostPlan,
  where: Device,
  results: readonly (Device | null)[],
): StoredCuda | null {
  const numbers = slotNumbers(plan);
  const slotOf = (buffer: BufferRef): number => {
    const slot = numbers.get(buffer);
    if (slot === undefined) throw new CompileError(`a kernel uses ${buffer.label}, which has no slot`);
    return slot;
  };
  try {
    const steps = modules.steps.map((step): StoredLaunch[] => {
      if (step.kind !== "launches") throw new Symbolic();
      return step.launches.map((l) => ({
        module: l.module,
        function: l.function,
        origin: l.origin,
        args: l.args.map((arg) => storedArg(arg, slotOf)),
        grid: [number(l.grid[0]), number(l.grid[1]), number(l.grid[2])],
        block: l.block,
        cluster: l.cluster ?? null,
        sharedBytes: l.sharedBytes,
        waits: l.waits,
        early: l.early.map(slotOf),
        library: l.library ?? null,
      }));
    });
    return {
      device: String(where),
      resultDevices: results.map((d) => d === null ? null : String(d)),
      modules: modules.modules.length,
      steps,
      slotBytes: plan.slots.map(({ buffer }) => number(buffer.numel) * buffer.dtype.bytes),
    };
  } catch (error) {
    if (error instanceof Symbolic) return null;
    throw error;
  }
}

function whole(n: unknown): number {
  if (typeof n === "number" && Number.isSafeInteger(n) && n >= 0) return n;
  throw new CompileError(`a stored CUDA plan holds ${String(n)} where a whole number belongs`);
}

function dim3(list: readonly number[]): readonly [number, number, number] {
  return [whole(list[0]), whole(list[1]), whole(list[2])];
}

/**
 * The plan of what was stored; `load` gives the function of a module, `call` that of a library.
 *
 * @throws {CompileError} if what was stored is no plan
 */
export function restoreCuda(
  name: string,
  stored: StoredCuda,
  layout: PlanLayout,
  load: (module: number, name: string, origin: string) => Launchable,
  call: (spec: LibraryCall, origin: string) => Launchable,
): CudaPlan {
  const sources = sourcesOf(layout);
  const slot = (n: number): number => {
    if (whole(n) < sources.length) return n;
    throw new CompileError(`a stored CUDA plan uses slot ${n} of ${sources.length}`);
  };
  if (stored.slotBytes.length !== sources.length) throw new CompileError("a stored CUDA plan has other slots");
  const fixed = (n: number): () => number => {
    const value = whole(n);
    return () => value;
  };
  const arg = (a: StoredArg): CudaPlanArg => {
    switch (a[0]) {
      case "slot":
        return { kind: "slot", slot: slot(a[1]), align: whole(a[2]), offset: whole(a[3]) };
      case "scratch":
        return { kind: "scratch", bytes: fixed(a[1]), zeroed: a[2], id: whole(a[3]) };
      case "map": {
        const map = a[3];
        return { kind: "tensorMap", slot: slot(a[1]), offset: fixed(a[2]), map: () => map };
      }
      case "scratchMap": {
        const map = a[3];
        return { kind: "scratchMap", bytes: fixed(a[1]), id: whole(a[2]), map: () => map };
      }
      case "error":
        return { kind: "error" };
      default:
        throw new CompileError("a stored CUDA plan has an argument of an unknown kind");
    }
  };
  const launch = (l: StoredLaunch): CudaPlanLaunch => ({
    fn: l.library === null ? load(whole(l.module), l.function, l.origin) : call(checkLibraryCall(l.library), l.origin),
    args: l.args.map(arg),
    grid: [fixed(l.grid[0]), fixed(l.grid[1]), fixed(l.grid[2])],
    block: dim3(l.block),
    sharedBytes: whole(l.sharedBytes),
    waits: l.waits === true,
    early: l.early.map(slot),
    ...(l.cluster === null ? {} : { cluster: dim3(l.cluster) }),
  });
  return {
    name,
    steps: stored.steps.map((launches) => ({ kind: "launches", launches: launches.map(launch) })),
    sources,
    arenaBytes: layout.arenaBytes,
    slotBytes: stored.slotBytes.map(fixed),
  };
}

/** Where the results of a stored plan belong. */
export function storedDevices({ resultDevices }: StoredCuda): (Device | null)[] {
  return resultDevices.map((name) => name === null ? null : device(name));
}

/** Images behind each other, their lengths before them. */
export function packImages(images: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const head = 8 * (images.length + 1);
  const padded = (n: number): number => Math.ceil(n / 16) * 16;
  const out = new Uint8Array(images.reduce((n, image) => n + padded(image.length), padded(head)));
  const lengths = new Float64Array(out.buffer, 0, images.length + 1);
  lengths[0] = images.length;
  let at = padded(head);
  images.forEach((image, i) => {
    lengths[i + 1] = image.length;
    out.set(image, at);
    at += padded(image.length);
  });
  return out;
}

/** The images again. @throws {CompileError} if the bytes are not what {@linkcode packImages} made */
export function unpackImages(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer>[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const count = bytes.length < 8 ? -1 : view.getFloat64(0, true);
  if (!(count >= 0 && 8 * (count + 1) <= bytes.length)) throw new CompileError("stored machine code is damaged");
  let at = Math.ceil(8 * (count + 1) / 16) * 16;
  return Array.from({ length: count }, (_, i) => {
    const length = whole(view.getFloat64(8 * (i + 1), true));
    if (at + length > bytes.length) throw new CompileError("stored machine code is cut off");
    // A copy of its own: the driver reads it by its address.
    const image = bytes.slice(at, at + length);
    at += Math.ceil(length / 16) * 16;
    return image;
  });
}
