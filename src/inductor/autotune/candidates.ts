/**
 * One contraction on a device, in each of its ways: compiled, run on memory of its own, measured.
 *
 * Enters: a contraction of known sizes and choices. Leaves: milliseconds for each, or why it cannot run. Inputs are random numbers; results of all ways are compared with those
 * of the first in samples, and a way that disagrees is not taken. What a plan's earlier steps have just written is in the cache when a run begins, what callers give is not.
 */
import { CompileError, type DType, float16, float32, float64, int8, narrowFloat } from "../../core/mod.ts";
import type { BufferRef } from "../../loops/mod.ts";
import {
  Binding,
  compileAllSync,
  type CompileTarget,
  type CudaBuffer,
  type CudaContext,
  type CudaDeviceMemory,
  CudaModule,
  type CudaPlanArg,
  type Launchable,
  libraryCall,
  measureOnDevice,
  nvrtcCompiler,
  type NvrtcRequest,
  type NvrtcResult,
} from "../../runtime/cuda/mod.ts";
import { constantValue, type Expr } from "../../symbolic/mod.ts";
import { CUDA_FLAGS, kernelSource, moduleSource } from "../codegen/cuda/emit_module.ts";
import type { CudaKernelText, EmitContext } from "../codegen/cuda/kernel_text.ts";
import type { CudaArg } from "../codegen/cuda/launch.ts";
import type { ContractionChoice } from "../templates/cuda_choices.ts";
import type { ContractionKernel } from "../tile/tile_ir.ts";

/** A way with its kernels. */
export interface Candidate {
  readonly choice: ContractionChoice;
  readonly texts: readonly CudaKernelText[];
}

/** What was found out about a way. */
export interface Measured {
  readonly choice: ContractionChoice;
  /** Milliseconds; null where it cannot run, or is wrong. */
  readonly ms: number | null;
  readonly error: string | null;
}

/** The text of one kernel as a module. */
export function requestOf(text: CudaKernelText, target: CompileTarget): NvrtcRequest {
  const functions = [...(text.support === undefined ? [] : [text.support]), kernelSource("k0", text)];
  return { source: moduleSource(text.includes, functions), target, name: "candidate", options: CUDA_FLAGS };
}

/** Compiles side by side; what does not compile is null. */
export function compileCandidates(requests: readonly NvrtcRequest[]): (NvrtcResult | null)[] {
  const compiler = nvrtcCompiler();
  try {
    return compileAllSync(compiler, requests);
  } catch (error) {
    if (!(error instanceof CompileError)) throw error;
    return requests.map((request) => {
      try {
        return compileAllSync(compiler, [request])[0] ?? null;
      } catch {
        return null;
      }
    });
  }
}

const PATTERN_BYTES = 4 * 2 ** 20;
const SAMPLE_BYTES = 1 << 16;

/** Normal-like numbers of a dtype, zeros of others: whatever is an index must stay one. */
function pattern(dtype: DType, seed: number): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(new ArrayBuffer(PATTERN_BYTES));
  let state = (seed * 2654435761 + 1) >>> 0;
  const next = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state = (state ^ state << 5) >>> 0;
    return state / 2 ** 32;
  };
  const fill = (list: { [i: number]: number; readonly length: number }): void => {
    for (let i = 0; i < list.length; i++) list[i] = next() + next() + next() - 1.5;
  };
  const narrow = narrowFloat(dtype);
  if (dtype === float32) fill(new Float32Array(out.buffer));
  else if (dtype === float64) fill(new Float64Array(out.buffer));
  else if (dtype === float16) fill(new Float16Array(out.buffer));
  else if (dtype === int8) { for (let i = 0; i < out.length; i++) out[i] = next() * 256; }
  else if (narrow !== null) {
    const wide = new Float32Array(out.length / dtype.bytes);
    fill(wide);
    const to = dtype.bytes === 1 ? out : new Uint16Array(out.buffer);
    for (let i = 0; i < to.length; i++) to[i] = narrow.toBits(wide[i] ?? 0);
  }
  return out;
}

function bytesOf(buffer: BufferRef): number {
  return Math.max(16, (constantValue(buffer.numel) ?? 0) * buffer.dtype.bytes);
}

/** Largest difference of two samples of results, relative to the largest magnitude. What is NaN in both (the root of a random variance, say) is the same. */
export function difference(a: Uint8Array<ArrayBuffer>, b: Uint8Array<ArrayBuffer>, dtype: DType): number {
  const numbers = (bytes: Uint8Array<ArrayBuffer>): ArrayLike<number> => {
    if (dtype === float32) return new Float32Array(bytes.buffer);
    if (dtype === float64) return new Float64Array(bytes.buffer);
    if (dtype === float16) return new Float16Array(bytes.buffer);
    const narrow = narrowFloat(dtype);
    if (narrow === null) return bytes;
    return Float32Array.from(dtype.bytes === 1 ? bytes : new Uint16Array(bytes.buffer), narrow.fromBits);
  };
  const [x, y] = [numbers(a), numbers(b)];
  let [worst, largest] = [0, 1e-6];
  for (let i = 0; i < x.length; i++) {
    if (Number.isFinite(x[i])) largest = Math.max(largest, Math.abs(x[i] ?? 0));
    if (Object.is(x[i], y[i])) continue;
    const d = Math.abs((x[i] ?? 0) - (y[i] ?? 0));
    if (!(d <= worst)) worst = d;
  }
  return worst / largest;
}

/** Memory for a contraction, and runs of it. */
export class Workbench implements Disposable {
  readonly #context: CudaContext;
  readonly #memory: CudaDeviceMemory;
  readonly #reads: readonly BufferRef[];
  readonly #writes: readonly BufferRef[];
  readonly #buffers = new Map<BufferRef, CudaBuffer>();
  readonly #slots: readonly BufferRef[];
  readonly #error: CudaBuffer;
  readonly #fresh: ReadonlySet<BufferRef>;
  #expected: readonly Uint8Array<ArrayBuffer>[] | null = null;

  /** @param fresh buffers that an earlier step of the plan has just written */
  constructor(
    context: CudaContext,
    memory: CudaDeviceMemory,
    kernel: ContractionKernel,
    fresh: ReadonlySet<BufferRef> = new Set(),
  ) {
    this.#context = context;
    this.#memory = memory;
    this.#reads = kernel.reads;
    this.#writes = kernel.writes;
    this.#slots = [...kernel.reads, ...kernel.writes];
    this.#fresh = fresh;
    this.#slots.forEach((buffer, i) => this.#buffers.set(buffer, this.#filled(buffer, i + 1)));
    this.#error = context.allocator.allocateZeroed(64, "errors of candidates");
  }

  #filled(buffer: BufferRef, seed: number): CudaBuffer {
    const context = this.#context;
    const bytes = bytesOf(buffer);
    const own = context.allocator.allocate(bytes, "memory of a candidate");
    this.#memory.write(own, 0, pattern(buffer.dtype, seed).subarray(0, Math.min(bytes, PATTERN_BYTES)));
    // Not a multiple of a row's length, as a rule, so that rows differ.
    for (let at = PATTERN_BYTES; at < bytes; at *= 2) {
      context.copy(own.address + at, own.address, Math.min(at, bytes - at), context.currentStream);
    }
    return own;
  }

  #argument(arg: CudaArg): CudaPlanArg {
    const fixed = (e: Expr): () => number => {
      const known = constantValue(e);
      if (known === null) throw new CompileError("a candidate depends on sizes");
      return () => known;
    };
    switch (arg.kind) {
      case "buffer":
        return { kind: "slot", slot: this.#slots.indexOf(arg.buffer), align: arg.align, offset: arg.offset ?? 0 };
      case "scratch":
        return { kind: "scratch", bytes: fixed(arg.bytes), zeroed: arg.zeroed, id: arg.id };
      case "scratchMap":
      case "tensorMap": {
        const { offset: _, ...map } = arg.map;
        const [sizes, strideBytes] = [map.sizes.map((e) => fixed(e)()), map.strideBytes.map((e) => fixed(e)())];
        const made = { ...map, sizes, strideBytes };
        if (arg.kind === "scratchMap") {
          return { kind: "scratchMap", bytes: fixed(arg.bytes), id: arg.id, map: () => made };
        }
        const offset = fixed(arg.map.offset)() * arg.buffer.dtype.bytes;
        return { kind: "tensorMap", slot: this.#slots.indexOf(arg.buffer), offset: () => offset, map: () => made };
      }
      case "error":
        return { kind: "error" };
      case "size":
        throw new CompileError("a candidate depends on sizes");
      default:
        return arg satisfies never;
    }
  }

  /** Milliseconds of a way; `images` has the code of each of its kernels, null for calls of a library. */
  measure({ choice, texts }: Candidate, images: readonly (NvrtcResult | null)[], budgetMs: number): Measured {
    try {
      return { choice, ...this.#time(texts, images, budgetMs) };
    } catch (error) {
      // Too much shared memory, a product that the library has no algorithm for: other ways remain. A lost device is lost for all.
      if (!(error instanceof CompileError || error instanceof RangeError || error instanceof TypeError)) throw error;
      return { choice, ms: null, error: error.message };
    }
  }

  #time(
    texts: readonly CudaKernelText[],
    images: readonly (NvrtcResult | null)[],
    budgetMs: number,
  ): Omit<Measured, "choice"> {
    const context = this.#context;
    const held: Disposable[] = [];
    try {
      const fnOf = (text: CudaKernelText, i: number): Launchable => {
        if (text.library !== undefined) {
          const call = libraryCall(context, text.library);
          held.push(call);
          return call;
        }
        const image = images[i] ?? null;
        if (image === null) throw new CompileError("it does not compile");
        const module = CudaModule.load(context, image.bytes, "candidate");
        held.push(module);
        return module.function("k0");
      };
      const binding = new Binding(
        context,
        {
          name: "candidate",
          sources: this.#slots.map(() => ({ kind: "external" })),
          arenaBytes: () => 0,
          slotBytes: this.#slots.map((buffer) => () => bytesOf(buffer)),
          steps: [{
            kind: "launches",
            launches: texts.map((text, i) => ({
              fn: fnOf(text, i),
              args: text.args.map((arg) => this.#argument(arg)),
              grid: text.grid.map((e) => () => constantValue(e) ?? 0) as [() => number, () => number, () => number],
              block: text.block,
              sharedBytes: text.sharedBytes,
              ...(text.cluster === undefined ? {} : { cluster: text.cluster }),
            })),
          }],
        },
        [],
        this.#error.address,
      );
      using arena = context.allocator.allocate(Math.max(16, binding.arenaBytes), "scratch memory of a candidate");
      using zeros = context.allocator.allocateZeroed(Math.max(16, binding.zeroBytes), "counters of a candidate");
      binding.place(arena.address, zeros.address);
      this.#slots.forEach((buffer, i) => binding.point(i, (this.#buffers.get(buffer) as CudaBuffer).address));
      const [segment] = binding.segments;
      if (segment?.kind !== "launches") return { ms: null, error: "it launches nothing" };
      if (segment.launches.some(({ fn }) => !fn.recordable)) return { ms: null, error: "it cannot be recorded" };
      for (const buffer of this.#writes) {
        context.fill((this.#buffers.get(buffer) as CudaBuffer).address, 0x11, bytesOf(buffer), context.currentStream);
      }
      binding.run(segment, context.currentStream, false);
      const samples = this.#samples();
      const wrong = this.#compare(samples);
      if (wrong !== null) return { ms: null, error: wrong };
      const warm = this.#reads.filter((buffer) =>
        this.#fresh.has(buffer) && bytesOf(buffer) * 4 < context.info.attributes.l2Bytes
      ).map((buffer) => ({ address: (this.#buffers.get(buffer) as CudaBuffer).address, byteLength: bytesOf(buffer) }));
      return {
        ms: measureOnDevice(context, (stream) => binding.run(segment, stream, false), { budgetMs, warm }),
        error: null,
      };
    } finally {
      context.synchronize();
      for (const one of held) one[Symbol.dispose]();
    }
  }

  #samples(): Uint8Array<ArrayBuffer>[] {
    return this.#writes.flatMap((buffer) => {
      const own = this.#buffers.get(buffer) as CudaBuffer;
      const bytes = bytesOf(buffer);
      const length = Math.min(bytes, SAMPLE_BYTES);
      const places = [0, Math.floor((bytes - length) / 2 / 16) * 16, Math.floor((bytes - length) / 16) * 16];
      return places.map((at) => new Uint8Array(this.#memory.readSync(own, at, length)));
    });
  }

  /** What is wrong with results, by those of the first way. */
  #compare(samples: readonly Uint8Array<ArrayBuffer>[]): string | null {
    if (this.#expected === null) {
      this.#expected = samples;
      return null;
    }
    for (const [i, sample] of samples.entries()) {
      const { dtype } = this.#writes[Math.floor(i / 3)] as BufferRef;
      const worst = difference(this.#expected[i] as Uint8Array<ArrayBuffer>, sample, dtype);
      const limit = dtype === float64
        ? 1e-10
        : dtype === float32
        ? 5e-3
        : dtype.isFloat
        ? (dtype.bytes === 1 ? 8e-2 : 3e-2)
        : 0;
      if (!(worst <= limit)) return `its results differ by ${worst.toExponential(1)}`;
    }
    return null;
  }

  [Symbol.dispose](): void {
    for (const buffer of this.#buffers.values()) buffer.dispose();
    this.#error.dispose();
  }
}

/** The first part of an emission's context, for candidates: scratch memory is numbered in each alone. */
export function candidateContext(options: Omit<EmitContext, "scratchId" | "shared">): EmitContext {
  let scratch = 0;
  return { ...options, shared: new Set(), scratchId: () => (scratch += 2) - 2 };
}
