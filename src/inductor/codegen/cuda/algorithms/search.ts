/**
 * Searching on the device: searchsorted, bucketize, mode.
 *
 * A thread searches for one value; a block has a row of `mode`, whose elements it compares in pairs.
 */
import { type DType, normalizeAxis } from "../../../../core/mod.ts";
import type { TensorMeta } from "../../../../graph/mod.ts";
import { ceilDiv, constant, constantValue, max } from "../../../../symbolic/mod.ts";
import { memoryType } from "../../cpp/types.ts";
import type { CudaKernelText } from "../kernel_text.ts";
import { type AlgorithmCall, type AlgorithmTensor, type ArgumentOf, Parameters, volume } from "./call.ts";

/** Elements of a row whose pairs a block compares. */
const MODE_ROW = 16384;

/** The type in which both are compared, so that none is rounded. */
function comparedAs(a: DType, b: DType): string {
  if (!a.isFloat && !b.isFloat) return "long";
  return [a, b].some((d) => d.bytes > (d.isFloat ? 4 : 2)) ? "double" : "float";
}

/** Why a search is left to the host. */
export function searchProblem(argument: ArgumentOf): string | null {
  return argument("side") === "left" && argument("right") === true ? "its side is said twice" : null;
}

/** The kernel of searchsorted and bucketize. */
export function emitSearch(call: AlgorithmCall): CudaKernelText[] {
  const rows = call.tensor("sortedSequence") ?? call.input("boundaries");
  const values = call.tensor("self"), sorter = call.tensor("sorter"), out = call.output(0);
  const p = new Parameters();
  const sequence = p.pointer(`const ${memoryType(rows.dtype)}`, rows.buffer);
  const right = call.argument("side") === null ? call.argument("right") === true : call.argument("side") === "right";
  const n = rows.shape[rows.shape.length - 1] ?? constant(1), total = volume(out.shape);
  const each = rows.shape.length === 1 ? total : out.shape[out.shape.length - 1] ?? constant(1);
  const compute = comparedAs(rows.dtype, values?.dtype ?? rows.dtype);
  // A number is compared in double, as the host does.
  const number = values === null ? `  const double value = ${doubleText(call.number("self"))};\n` : "";
  const from = values === null ? "&value" : p.pointer(`const ${memoryType(values.dtype)}`, values.buffer);
  const order = sorter === null ? "(const long*)nullptr" : p.pointer("const long", sorter.buffer);
  const to = p.pointer(memoryType(out.dtype), out.buffer);
  const body = `${number}  tsr_search<${values === null ? "double" : compute}>(${sequence}, ${from}, ${order}, ${to}, ${
    p.size(total)
  }, ${p.size(n)}, ${p.size(max(each, constant(1)))}, ${right});\n`;
  return [p.kernel(body, { includes: ["search"], blocks: ceilDiv(total, 256), threads: 256 })];
}

function doubleText(v: number): string {
  if (Number.isNaN(v)) return '__builtin_nan("")';
  if (!Number.isFinite(v)) return v < 0 ? "-__builtin_inf()" : "__builtin_inf()";
  return /[.e]/.test(String(v)) ? String(v) : `${v}.0`;
}

/** Why `mode` is left to the host. */
export function modeProblem(argument: ArgumentOf): string | null {
  const self = argument("self") as TensorMeta;
  const dim = argument("dim");
  const axis = normalizeAxis(Number(dim ?? -1), self.shape.length, "mode");
  const n = self.shape.length === 0 ? 1 : self.shape[axis];
  if (typeof n !== "number") return "the dimension has a symbolic size";
  return n > MODE_ROW ? `rows of more than ${MODE_ROW} elements are not compared in pairs` : null;
}

/** The kernel of `mode`. */
export function emitMode(call: AlgorithmCall): CudaKernelText[] {
  const self = call.input("self");
  const axis = normalizeAxis(call.number("dim", -1), self.shape.length, "mode");
  const n = constantValue(self.shape[axis] ?? constant(1)) ?? 1;
  const inner = volume(self.shape.slice(axis + 1));
  const type = memoryType(self.dtype), threads = n <= 64 ? 32 : 256;
  const p = new Parameters();
  const [x, values, positions] = [
    p.pointer(`const ${type}`, self.buffer),
    p.pointer(type, call.output(0).buffer),
    p.pointer("long", call.output(1).buffer),
  ];
  const body = `  tsr_mode<${threads}, ${type}>(${x}, ${values}, ${positions}, ${p.size(inner)}, ${n});\n`;
  return [p.kernel(body, { includes: ["search"], blocks: volume(rowsOf(self, axis)), threads })];
}

function rowsOf({ shape }: AlgorithmTensor, axis: number): AlgorithmTensor["shape"] {
  return shape.filter((_, d) => d !== axis);
}
