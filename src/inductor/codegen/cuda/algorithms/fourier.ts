/**
 * Fourier transforms and histograms on the device.
 *
 * A transform over several dimensions is a kernel for each; a block has a line in shared memory, whose length may have any factors. `histc` counts in
 * shared memory, with each block's counts added to those of all.
 */
import { normalizeAxes } from "../../../../core/mod.ts";
import type { TensorMeta } from "../../../../graph/mod.ts";
import { ceilDiv, constant, constantValue } from "../../../../symbolic/mod.ts";
import { guess } from "../../../tile/axes.ts";
import { memoryType } from "../../cpp/types.ts";
import type { CudaKernelText } from "../kernel_text.ts";
import { scalarType } from "../texts.ts";
import { type AlgorithmCall, type ArgumentOf, Parameters, volume } from "./call.ts";

/** Bytes of shared memory that a line may take: roots, and the line twice. */
const LINE_BYTES = 96 * 1024;
/** Bins that are counted in shared memory. */
const SHARED_BINS = 8192;

/** Factors of at most 15, four bits each, 0 for the one that is larger; null if two are. */
function radicesOf(n: number): { readonly digits: bigint; readonly prime: number } | null {
  const factors: number[] = [];
  let prime = 1, rest = n;
  for (const r of [8, 4, 2, 9, 3, 5, 7, 11, 13]) {
    for (; rest % r === 0; rest /= r) factors.push(r);
  }
  if (rest > 1) {
    // What is left has large prime factors: as one it is summed directly.
    prime = rest;
    factors.push(0);
  }
  if (factors.length > 16) return null;
  return { digits: factors.reduceRight((all, r) => all << 4n | BigInt(r), 0n), prime };
}

/** Why a transform is left to the host. */
export function fourierProblem(argument: ArgumentOf): string | null {
  const self = argument("self") as TensorMeta;
  const dims = (argument("dims") as readonly number[]).map(Number);
  for (const axis of normalizeAxes(dims, self.shape.length - 1, "fft_pairs")) {
    const n = self.shape[axis];
    if (typeof n !== "number") return "a transformed dimension has a symbolic size";
    if (6 * n * self.dtype.bytes > LINE_BYTES) return `a line of ${n} does not fit a block's memory`;
  }
  return null;
}

/** The kernels, one a dimension. */
export function emitFourier(call: AlgorithmCall): CudaKernelText[] {
  const self = call.input("self"), out = call.output(0);
  const type = memoryType(self.dtype);
  const dims = normalizeAxes(
    (call.argument("dims") as readonly number[]).map(Number),
    self.shape.length - 1,
    "fft_pairs",
  );
  const sign = call.argument("forward") === true ? -1 : 1;
  // Without dimensions only the factor is left.
  const axes = dims.length === 0 ? [-1] : dims;
  return axes.map((axis, i) => {
    const p = new Parameters();
    const last = i === axes.length - 1;
    const source = p.pointer(`const ${type}`, (i === 0 ? self : out).buffer);
    const target = p.pointer(type, out.buffer);
    const inner = volume(self.shape.slice(axis + 1, -1));
    const n = axis < 0 ? 1 : constantValue(self.shape[axis] ?? constant(1)) ?? 1;
    const radices = radicesOf(n);
    const scale = last ? call.number("scale", 1) : 1;
    const threads = n <= 128 ? 64 : 256;
    return p.kernel(
      `  tsr_fourier<${type}, ${threads}>(${source}, ${target}, ${axis < 0 ? "1l" : p.size(inner)}, ${n}, ${
        radices?.digits ?? 0
      }ull, ${radices?.prime ?? n}, (${type})${sign}, (${type})${scale});\n`,
      {
        includes: ["fourier"],
        blocks: axis < 0
          ? volume(self.shape.slice(0, -1))
          : volume(self.shape.filter((_, d) => d !== axis).slice(0, -1)),
        threads,
        sharedBytes: 6 * n * self.dtype.bytes,
      },
    );
  });
}

/** Why a histogram is left to the host. */
export function histcProblem(argument: ArgumentOf): string | null {
  const [min, max] = [Number(argument("min") ?? 0), Number(argument("max") ?? 0)];
  return Number.isFinite(min) && Number.isFinite(max) ? null : "its range is not finite";
}

/** The kernels of `histc`. */
export function emitHistc(call: AlgorithmCall): CudaKernelText[] {
  const self = call.input("self"), out = call.output(0);
  const includes = ["fourier"] as const;
  const bins = call.number("bins", 100);
  const [type, compute] = [memoryType(self.dtype), scalarType(self.dtype)];
  const id = call.context.scratchId(), rangeId = call.context.scratchId();
  const bytes = constant(4 * bins);
  // Of equal bounds the range is that of the elements.
  const ranged = call.number("min") === call.number("max");
  const rangeOf = (p: Parameters): string =>
    ranged ? p.scratch("unsigned long long", constant(16), rangeId) : "nullptr";
  const zero = new Parameters();
  const zeroed = zero.scratch("unsigned", bytes, id);
  const count = new Parameters();
  const x = count.pointer(`const ${type}`, self.buffer);
  const n = volume(self.shape);
  const shared = bins <= SHARED_BINS;
  // Every block adds its bins to those of all: fewer blocks where there are many.
  const blocks = constant(Math.max(1, Math.min(Math.ceil(guess(n) / 4096), 4 * call.context.multiprocessors)));
  const put = new Parameters();
  const counted = put.scratch("unsigned", bytes, id);
  const range = new Parameters();
  const all = range.pointer(`const ${type}`, self.buffer);
  const find = range.kernel(`  tsr_find_range(${all}, ${rangeOf(range)}, ${range.size(n)});\n`, {
    includes,
    blocks,
    threads: 256,
  });
  return [
    zero.kernel(`  tsr_zero_counts(${zeroed}, ${bins}, ${rangeOf(zero)});\n`, {
      includes,
      blocks: constant(Math.ceil(bins / 256)),
      threads: 256,
    }),
    ...ranged ? [find] : [],
    count.kernel(
      `  tsr_count_bins<${type}, ${compute}, ${shared}>(${x}, ${count.scratch("unsigned", bytes, id)}, ${
        count.size(n)
      }, ${bins}, (${compute})${call.number("min")}, (${compute})${call.number("max")}, ${
        rangeOf(count)
      }, ${count.errors()});\n`,
      { includes, blocks, threads: 256, sharedBytes: shared ? 4 * bins : 0 },
    ),
    put.kernel(`  tsr_put_counts<${type}>(${counted}, ${put.pointer(type, out.buffer)}, ${bins});\n`, {
      includes,
      blocks: ceilDiv(constant(bins), 256),
      threads: 256,
    }),
  ];
}
