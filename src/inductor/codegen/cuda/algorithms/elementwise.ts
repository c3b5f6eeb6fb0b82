/**
 * Functions whose loops depend on the element, on the device: incomplete gamma functions, orthogonal polynomials, draws of distributions.
 *
 * A thread computes an element in double, step by step what the operator's host function does, so that results, random ones too, are the host's. Operands broadcast.
 */
import { ceilDiv, constant, constantValue, type Expr, mul } from "../../../../symbolic/mod.ts";
import { memoryType } from "../../cpp/types.ts";
import type { CudaKernelText } from "../kernel_text.ts";
import { type AlgorithmCall, type AlgorithmTensor, Parameters, volume } from "./call.ts";

const THREADS = 256;

/** An operator's arguments that are operands, and the value from those, named `a` and `b`. `i` is the element, `count` their number, `error` where faults go. */
interface Elementwise {
  readonly keys: readonly string[];
  readonly value: string;
  /** Whether draws need the generator's state, `state`. */
  readonly random?: true;
}

const INCOMPLETE: Elementwise = { keys: ["self", "other"], value: "tsr_incomplete_gamma(a, b, false)" };
const COMPLEMENT: Elementwise = { keys: ["self", "other"], value: "tsr_incomplete_gamma(a, b, true)" };
/** Negative rates and counts are reported. */
const CHECKED = "if (a < 0) tsr_report(error, i, 0, 5);";

/** By target. */
export const ELEMENTWISE: Readonly<Record<string, Elementwise>> = {
  "aten.igamma.default": INCOMPLETE,
  "aten.special_gammainc.default": INCOMPLETE,
  "aten.igammac.default": COMPLEMENT,
  "aten.special_gammaincc.default": COMPLEMENT,
  "aten.special_zeta.default": { keys: ["self", "other"], value: "tsr_zeta(a, b)" },
  "aten._standard_gamma_grad.default": { keys: ["self", "output"], value: "tsr_gamma_slope(a, b)" },
  "tessera.philox_poisson.default": { keys: ["rate"], value: "tsr_poisson(a, draws)", random: true },
  "tessera.philox_binomial.default": { keys: ["count", "prob"], value: "tsr_binomial(a, b, draws)", random: true },
  "tessera.philox_gamma.default": { keys: ["concentration"], value: "tsr_gamma_variate(a, draws)", random: true },
  ...Object.fromEntries(
    ["chebyshev_t", "chebyshev_u", "chebyshev_v", "chebyshev_w", "hermite_h", "hermite_he", "laguerre_l", "legendre_p"]
      .flatMap((name) => {
        const at = name.indexOf("_");
        const full = `${name.slice(0, at)}_polynomial${name.slice(at)}`;
        const of = (x: string): Elementwise => ({ keys: ["x", "n"], value: `tsr_${name}(${x}, trunc(b), error)` });
        const plain = [`aten.special_${full}.default`, of("a")] as const;
        return name.startsWith("chebyshev")
          ? [plain, [`aten.special_shifted_${full}.default`, of("2 * a - 1")] as const]
          : [plain];
      }),
  ),
};

/** Where element `i` of a shape lies in an operand that broadcasts to it. */
function position(p: Parameters, operand: AlgorithmTensor, shape: readonly Expr[]): string {
  const lead = shape.length - operand.shape.length;
  const terms: string[] = [];
  let [inner, step] = [constant(1) as Expr, constant(1) as Expr];
  let whole = true;
  for (let d = shape.length - 1; d >= 0; d--) {
    const size = shape[d] ?? constant(1), own = d < lead ? constant(1) : operand.shape[d - lead] ?? constant(1);
    if (constantValue(own) === 1 && constantValue(size) !== 1) whole = false;
    else if (constantValue(own) !== 1) terms.push(`i / ${p.size(inner)} % ${p.size(size)} * ${p.size(step)}`);
    inner = mul(inner, size);
    step = mul(step, own);
  }
  return whole ? "i" : terms.length === 0 ? "0" : terms.join(" + ");
}

/** The kernel of an operator of {@linkcode ELEMENTWISE}. */
export function emitElementwise(call: AlgorithmCall): CudaKernelText[] {
  const { keys, value, random } = ELEMENTWISE[call.node.target.schema.target] as Elementwise;
  const out = call.output(0), total = volume(out.shape);
  const p = new Parameters();
  const lines = keys.map((key, k) => {
    const operand = call.input(key);
    const from = p.pointer(`const ${memoryType(operand.dtype)}`, operand.buffer);
    return `    const double ${"ab"[k]} = (double)tsr_get(${from} + (${position(p, operand, out.shape)}));\n`;
  });
  if (random === true) {
    const state = p.pointer("const long", call.input("state").buffer);
    lines.push(`    const tsr_uniform draws = {${state}[0], ${state}[1], i, count};\n`);
    if (keys[0] !== "concentration") lines.push(`    ${CHECKED}\n`);
  }
  const to = p.pointer(memoryType(out.dtype), out.buffer);
  // What is stored in fewer bits goes through float, as everywhere.
  const type = out.dtype.bytes === 8 ? "double" : "float";
  const body = `  long* const error = ${p.errors()};\n  const long count = ${p.size(total)};\n` +
    "  for (long i = (long)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += (long)gridDim.x * blockDim.x) {\n" +
    `${lines.join("")}    tsr_put(${to} + i, (${type})${value});\n  }\n`;
  return [p.kernel(body, { includes: ["elementwise"], blocks: ceilDiv(total, THREADS), threads: THREADS })];
}

/** The bytes of a tensor as they are, for `view` as another dtype. */
export function emitBytes(call: AlgorithmCall): CudaKernelText[] {
  const self = call.input("self"), out = call.output(0);
  const bytes = Math.min(self.dtype.bytes, out.dtype.bytes);
  const type = bytes >= 8 ? "long" : bytes === 4 ? "int" : bytes === 2 ? "short" : "signed char";
  const width = Math.min(bytes, 8), total = mul(volume(out.shape), constant(out.dtype.bytes / width));
  const p = new Parameters();
  const from = p.pointer(`const ${type}`, self.buffer), to = p.pointer(type, out.buffer);
  const body = `  for (long i = (long)blockIdx.x * blockDim.x + threadIdx.x; i < ${p.size(total)}; ` +
    `i += (long)gridDim.x * blockDim.x) ${to}[i] = ${from}[i];\n`;
  return [p.kernel(body, { includes: [], blocks: ceilDiv(total, THREADS), threads: THREADS })];
}
