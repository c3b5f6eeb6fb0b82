/**
 * Sorting and selecting along a dimension, on the device: sort, topk, kthvalue, median, nanmedian.
 *
 * Short rows: a warp ranks each element among the others. Up to {@linkcode BLOCK_ROW} elements: a block sorts a row by bytes in shared memory. Few of many: a block finds the
 * last of them byte by byte and sorts those before it. Longer rows: one sweep over tiles a byte, each reading and writing once (`cuda_sort.cuh`). All
 * are stable, so results are those of the host's algorithm, positions too.
 */
import { type DType, InternalError, normalizeAxis } from "../../../../core/mod.ts";
import type { TensorMeta } from "../../../../graph/mod.ts";
import { add, ceilDiv, constant, constantValue, type Expr, mul } from "../../../../symbolic/mod.ts";
import { guess } from "../../../tile/axes.ts";
import type { CudaKernelText } from "../kernel_text.ts";
import { type AlgorithmCall, type ArgumentOf, Parameters, volume } from "./call.ts";

/** Elements that a block sorts in shared memory. */
const BLOCK_ROW = 8192;
/** Elements of a long row that a block can select. */
const SELECTED = 4096;
/** Elements that a block counts. */
const SPAN = 32768;

interface Keys {
  readonly bytes: number;
  /** The C++ type that turns elements into keys. */
  readonly type: string;
  /** The type of elements as bits. */
  readonly raw: string;
}

const RAW: Readonly<Record<number, string>> = {
  1: "unsigned char",
  2: "unsigned short",
  4: "unsigned",
  8: "unsigned long long",
};
const INFINITY: Readonly<Record<string, string>> = {
  float16: "0x7c00ull",
  bfloat16: "0x7f80ull",
  float32: "0x7f800000ull",
  float64: "0x7ff0000000000000ull",
};

function keysOf(dtype: DType, descending: boolean): Keys | null {
  const infinity = INFINITY[dtype.name];
  const kind = infinity !== undefined
    ? 2
    : dtype.name === "bool" || dtype.name === "uint8"
    ? 0
    : /^int\d+$/.test(dtype.name)
    ? 1
    : null;
  const raw = RAW[dtype.bytes];
  if (kind === null || raw === undefined) return null;
  return { bytes: dtype.bytes, type: `tsr_keys<${dtype.bytes}, ${kind}, ${infinity ?? "0ull"}, ${descending}>`, raw };
}

/** Which sorted positions are kept. */
interface Kept {
  readonly which: 0 | 1 | 2;
  readonly first: number;
  readonly take: Expr;
  readonly descending: boolean;
}

function keptOf(call: AlgorithmCall, length: Expr): Kept {
  const plain = { which: 0, first: 0, take: constant(1), descending: false } as const;
  const { name } = call.node.target.schema;
  switch (name) {
    case "topk": {
      const [values] = [call.output(0)];
      const axis = normalizeAxis(call.number("dim", -1), values.shape.length, name);
      return { ...plain, take: values.shape[axis] ?? constant(1), descending: call.argument("largest") !== false };
    }
    case "kthvalue":
      return { ...plain, first: call.number("k", 1) - 1 };
    case "median":
      return { ...plain, which: 1 };
    case "nanmedian":
      return { ...plain, which: 2 };
    default:
      return { ...plain, take: length, descending: call.argument("descending") === true };
  }
}

/** Why a call is left to the host. */
export function sortProblem(argument: ArgumentOf): string | null {
  const self = argument("self") as TensorMeta;
  if (keysOf(self.dtype, false) === null) return `there are no keys for ${self.dtype.name}`;
  return self.shape.some((s) => typeof s === "number" && s >= 2 ** 30) ? "a dimension has 2^30 elements or more" : null;
}

/** The kernels. */
export function emitSort(call: AlgorithmCall): CudaKernelText[] {
  const self = call.input("self");
  const { name } = call.node.target.schema;
  const axis = normalizeAxis(call.number("dim", -1), self.shape.length, name);
  const length = self.shape[axis] ?? constant(1);
  const kept = keptOf(call, length);
  const keys = keysOf(self.dtype, kept.descending);
  if (keys === null) throw new InternalError(`${name} has no keys for ${self.dtype.name}`);
  const inner = volume(self.shape.slice(axis + 1)), rows = mul(volume(self.shape.slice(0, axis)), inner);
  const sorting: Sorting = { call, keys, length, inner, rows, kept };
  const known = constantValue(length);
  if (known !== null && known <= 128) return [small(sorting, known)];
  if (known !== null && known <= BLOCK_ROW) return [inBlock(sorting, known)];
  const wanted = constantValue(kept.take);
  const many = guess(rows) >= call.context.multiprocessors;
  // Digit by digit a block reads its row once more than it has bytes.
  if (
    kept.which === 0 && kept.first === 0 && wanted !== null && wanted <= SELECTED && (many || guess(length) <= 2 ** 19)
  ) {
    return [selected(sorting)];
  }
  return sweeps(sorting);
}

interface Sorting {
  readonly call: AlgorithmCall;
  readonly keys: Keys;
  readonly length: Expr;
  readonly inner: Expr;
  readonly rows: Expr;
  readonly kept: Kept;
}

/** The parameters and their texts that all kernels begin with. */
function begin({ call, keys }: Sorting): { readonly p: Parameters; readonly x: string; readonly results: string } {
  const p = new Parameters();
  const x = p.pointer(`const ${keys.raw}`, call.input("self").buffer);
  return {
    p,
    x,
    results: `${p.pointer(keys.raw, call.output(0).buffer)}, ${p.pointer("long", call.output(1).buffer)}`,
  };
}

function small(sorting: Sorting, length: number): CudaKernelText {
  const { keys, inner, rows, kept } = sorting;
  const { p, x, results } = begin(sorting);
  const items = length <= 32 ? 1 : length <= 64 ? 2 : 4;
  const body = `  tsr_sort_small<${keys.type}, ${items}>(${x}, ${results}, ${p.size(rows)}, ${
    p.size(inner)
  }, ${length}, ${kept.which}, ${kept.first}l, ${p.size(kept.take)});\n`;
  return p.kernel(body, { includes: ["collectives", "sort"], blocks: ceilDiv(rows, 4), threads: 128 });
}

/** Bytes of `tsr_sort_room`. */
function roomBytes(bytes: number, threads: number, items: number): number {
  return threads * items * (bytes + 4) + threads / 32 * 1024 + 2 * 1024 + 128;
}

function inBlock(sorting: Sorting, length: number): CudaKernelText {
  const { keys, inner, rows, kept } = sorting;
  const { p, x, results } = begin(sorting);
  const [threads, items] = length <= 256
    ? [64, 4]
    : length <= 512
    ? [128, 4]
    : length <= 1024
    ? [128, 8]
    : length <= 2048
    ? [256, 8]
    : length <= 4096
    ? [256, 16]
    : [512, 16];
  const body = `  tsr_sort_row<${keys.type}, ${threads}, ${items}>(${x}, ${results}, ${
    p.size(inner)
  }, ${length}, ${kept.which}, ${kept.first}l, ${p.size(kept.take)});\n`;
  const sharedBytes = roomBytes(keys.bytes, threads, items);
  return p.kernel(body, { includes: ["collectives", "sort"], blocks: rows, threads, sharedBytes });
}

function selected(sorting: Sorting): CudaKernelText {
  const { keys, length, inner, rows, kept } = sorting;
  const { p, x, results } = begin(sorting);
  const [threads, items] = guess(kept.take) <= 1024 ? [1024, 1] : [1024, 4];
  const body = `  tsr_select_row<${keys.type}, ${threads}, ${items}>(${x}, ${results}, ${p.size(inner)}, ${
    p.size(length)
  }, (int)${p.size(kept.take)});\n`;
  const sharedBytes = roomBytes(keys.bytes, threads, items);
  return p.kernel(body, { includes: ["collectives", "sort"], blocks: rows, threads, sharedBytes });
}

function sweeps(sorting: Sorting): CudaKernelText[] {
  const { call, keys, length, inner, rows, kept } = sorting;
  const includes = ["collectives", "sort"] as const;
  const [threads, items] = keys.bytes === 8 ? [256, 8] : [256, 16];
  const passes = keys.bytes;
  const ids = { words: call.context.scratchId(), keys: call.context.scratchId(), index: call.context.scratchId() };
  const tiles = mul(rows, ceilDiv(length, threads * items));
  const counts = mul(rows, passes * 256 + 1);
  // Words of one allocation: the ticket, counts of digits, what tiles have published.
  const words = add(1, add(counts, mul(tiles, passes * 256)));
  const bytes = mul(words, 4);
  const volumeOf = mul(rows, length);
  const zero = new Parameters();
  const zeroed = zero.scratch("unsigned", bytes, ids.words);
  const texts = [
    zero.kernel(`  tsr_zero_words(${zeroed}, ${zero.size(words)});\n`, {
      includes,
      blocks: constant(1024),
      threads: 256,
    }),
  ];
  const count = new Parameters();
  const x = count.pointer(`const ${keys.raw}`, call.input("self").buffer);
  const to = count.scratch("unsigned", bytes, ids.words);
  texts.push(count.kernel(
    `  tsr_sort_count<${keys.type}>(${x}, ${to} + 1, ${count.size(rows)}, ${count.size(inner)}, ${
      count.size(length)
    }, ${SPAN}l);\n`,
    { includes, blocks: mul(rows, ceilDiv(length, SPAN)), threads: 512 },
  ));
  const { p, x: from, results } = begin(sorting);
  // Two sets of keys and positions, by turns.
  const both = p.scratch(keys.raw, mul(volumeOf, 2 * keys.bytes), ids.keys);
  const positions = p.scratch("unsigned", mul(volumeOf, 8), ids.index);
  const sweep = p.kernel(
    `  tsr_sort_sweep<${keys.type}, ${threads}, ${items}>(${from}, ${both}, ${positions}, ${results}, ${
      p.scratch("unsigned", bytes, ids.words)
    }, ${p.size(rows)}, ${p.size(inner)}, ${p.size(length)}, ${kept.which}, ${kept.first}l, ${p.size(kept.take)});\n`,
    { includes, blocks: tiles, threads, sharedBytes: roomBytes(keys.bytes, threads, items) },
  );
  // Which pass it is, the kernel sees from its tickets.
  for (let pass = 0; pass < passes; pass++) texts.push(sweep);
  return texts;
}
