/**
 * Attention over sequences of several lengths, and over keys in pages, on the device: halves on tensor cores by `mma.sync`, no score in memory.
 *
 * Which tiles there are follows from the offsets on the device; the grid has as many blocks as there can be at most. Tiles that no query of a block sees are
 * not walked, so a sliding window costs what it shows. Mirrors the variable-length and paged kernels of FlashAttention (Dao, 2023).
 */
import { bfloat16, float16, int32, int64 } from "../../../../core/mod.ts";
import type { TensorMeta } from "../../../../graph/mod.ts";
import { add, ceilDiv, constant, constantValue, type Expr, mul } from "../../../../symbolic/mod.ts";
import { guess } from "../../../tile/axes.ts";
import { memoryType } from "../../cpp/types.ts";
import type { CudaKernelText } from "../kernel_text.ts";
import { type AlgorithmCall, type ArgumentOf, Parameters, volume } from "./call.ts";

/** Keys that a part has at least. */
const PART = 512;

/** Why a call is taken apart. */
export function raggedProblem(argument: ArgumentOf): string | null {
  const [query, key, value] = ["query", "key", "value"].map(argument) as TensorMeta[];
  const offsets = ["queryOffsets", "keyOffsets", "table"].map(argument).filter((t) => t !== null) as TensorMeta[];
  if (query === undefined || key === undefined || value === undefined) return "an operand is missing";
  if (query.dtype !== float16 && query.dtype !== bfloat16) return `tensor cores take halves, not ${query.dtype.name}`;
  const width = query.shape[2];
  if (typeof width !== "number" || width % 8 !== 0 || width > 128) {
    return `heads are ${width} wide: no multiple of 8 up to 128`;
  }
  if (value.shape[value.shape.length - 1] !== width) return "values are not as wide as keys";
  if (offsets.some((t) => t.dtype !== offsets[0]?.dtype) || ![int32, int64].includes(offsets[0]?.dtype ?? int32)) {
    return "offsets are not of one type";
  }
  const page = argument("table") === null ? 1 : key.shape[1];
  return typeof page === "number" ? null : "the size of a page is not known";
}

/** The kernels. */
export function emitRagged(call: AlgorithmCall): CudaKernelText[] {
  const query = call.input("query"), key = call.input("key"), value = call.input("value"), out = call.output(0);
  const queries = call.input("queryOffsets"), keys = call.input("keyOffsets"), table = call.tensor("table");
  const { multiprocessors } = call.context;
  const [tokens = constant(1), heads = constant(1)] = query.shape;
  const width = constantValue(query.shape[2] ?? constant(1)) ?? 1;
  const shared = key.shape[key.shape.length - 2] ?? constant(1);
  const page = table === null ? 0 : constantValue(key.shape[1] ?? constant(1)) ?? 1;
  const sequences = table === null ? add(keys.shape[0] ?? constant(1), -1) : keys.shape[0] ?? constant(1);
  const columns = table?.shape[1] ?? constant(0);
  const most = call.number("mostKeys");
  const padded = Math.ceil(width / 16) * 16;
  const each = guess(heads) / guess(shared);
  const rowsEach = each * guess(tokens) / Math.max(guess(sequences), 1);
  const few = rowsEach <= 16;
  // 128 rows read keys less often, where two such blocks fit.
  const large = rowsEach >= 256 && call.context.arch >= 90;
  const [BM, MI, KW] = few ? [16, 1, 4] : large ? [128, 2, 1] : [64, 1, 1];
  const tiles = add(ceilDiv(mul(tokens, Math.ceil(each)), BM), sequences);
  // Few rows over many keys: parts of the keys fill the device.
  const blocks = Math.ceil(rowsEach / BM) * guess(sequences) * guess(shared);
  const length = most > 0
    ? most
    : table === null
    ? guess(key.shape[0] ?? constant(1)) / Math.max(guess(sequences), 1)
    : page * guess(columns);
  const parts = Math.max(1, Math.min(Math.floor(length / PART), Math.ceil(4 * multiprocessors / blocks), 64));
  const type = memoryType(query.dtype), index = memoryType(queries.dtype);
  const all = mul(tokens, heads);
  const bytes = mul(all, 4 * parts * (width + 2));
  const id = call.context.scratchId();
  const scale = `${Math.fround(call.number("scale", 1) * Math.LOG2E).toExponential(9)}f`;
  const p = new Parameters();
  const operands = [query, key, value].map((t) => p.pointer(`const ${type}`, t.buffer));
  const result = p.pointer(type, out.buffer);
  const partial = parts === 1 ? "nullptr" : p.scratch("float", bytes, id);
  const [qo, ko] = [queries, keys].map((t) => p.pointer(`const ${index}`, t.buffer));
  const names = table === null ? "nullptr" : p.pointer(`const ${index}`, table.buffer);
  const int = (e: Expr): string => `(int)${p.size(e)}`;
  const pages = table === null ? constant(0) : key.shape[0] ?? constant(1);
  const given = [
    qo,
    ko,
    names,
    p.errors(),
    int(sequences),
    int(pages),
    int(columns),
    int(heads),
    int(shared),
    int(all),
  ];
  const bounds = `${scale}, ${call.number("left", -1)}, ${call.number("right", -1)}`;
  const body = `  const tsr_ragged<${index}> a = {${given.join(", ")}, ${bounds}};
  tsr_ragged_attention<${type}, ${padded}, ${MI}, ${KW}, ${page}, ${index}>(${
    operands.join(", ")
  }, ${result}, ${partial}, a, ${width});\n`;
  const includes = ["collectives", "mma", "halves", "attention", "ragged"] as const;
  const walk: CudaKernelText = {
    ...p.kernel(body, {
      includes,
      blocks: tiles,
      threads: 128,
      sharedBytes: 2 * (padded + 8) * (BM + 4 * 64),
      blocksEach: 2,
    }),
    grid: [tiles, shared, constant(parts)],
  };
  const rest = new Parameters();
  if (parts === 1) {
    const to = rest.pointer(type, out.buffer);
    const ends = rest.pointer(`const ${index}`, queries.buffer);
    const text = `  tsr_ragged_rest(${to}, ${ends}, (int)${rest.size(sequences)}, (int)${rest.size(tokens)}, (int)${
      rest.size(volume(query.shape.slice(1)))
    });\n`;
    return [rest.kernel(text, { includes, blocks: constant(multiprocessors), threads: 256 }), walk];
  }
  const from = rest.scratch("float", bytes, id);
  const to = rest.pointer(type, out.buffer);
  const ends = rest.pointer(`const ${index}`, queries.buffer);
  const text = `  tsr_ragged_join(${from}, ${to}, ${ends}, (int)${rest.size(sequences)}, ${parts}, (int)${
    rest.size(all)
  }, (int)${rest.size(heads)}, ${width}, ${scale});\n`;
  return [walk, rest.kernel(text, { includes, blocks: ceilDiv(mul(all, width), 256), threads: 256 })];
}
