/**
 * One case of the vectors as something that can run: its operator, how it is called, and what is checked of what comes out.
 *
 * Leaves for each case `passed`, `failed` or `skipped`, with a reason, for values and for gradients apart. PyTorch computes some half results in steps that round
 * to half each time; such a result also counts if it is within 2 units in the last place of the same operator computed in float32, and PyTorch's
 * own is not far from that either.
 */
import { dtypeFromName, float32 } from "../../src/core/mod.ts";
import { camelCase } from "../../src/graph/mod.ts";
import { findOp, type HostArray, type NamedArgs, type Operator } from "../../src/ops/mod.ts";
import { dispatch, noGrad, referenceBackend, Tensor, tensorFrom, withEagerBackend } from "../../src/tensor/mod.ts";
import { rawFromHost } from "../../src/tensor/memory.ts";
import { writeElements } from "../../src/tensor/read.ts";
import { emptyTensor } from "../../src/tensor/mod.ts";
import { difference } from "./compare.ts";
import { decodeArg, type VectorArg, type VectorCase, type VectorTensor } from "./vectors.ts";

/** Where the tensors of cases come from. */
export interface VectorSource {
  tensor(t: VectorTensor): Tensor;
  values(t: VectorTensor): HostArray;
}

/** How values or gradients of a case went. */
export interface Verdict {
  readonly kind: "passed" | "failed" | "skipped";
  readonly reason: string;
}

/** A verdict without a reason. */
export const PASSED: Verdict = { kind: "passed", reason: "" };

/** A failure. */
export function failed(reason: string): Verdict {
  return { kind: "failed", reason };
}

/** Operators whose results are random or undefined in PyTorch, so that only shapes and dtypes can be compared. */
const OPEN_VALUES =
  /^aten\.(empty|new_empty|empty_like|empty_strided|new_empty_strided|rand|randn|randint|randperm|bernoulli|normal|uniform|multinomial|exponential|cauchy|log_normal|geometric|random|rrelu|rrelu_with_noise)(_like)?(_functional)?_?\./;
const DROPOUT = /dropout/;
/** Operators that return positions of equal keys in any order: key result and index result. */
const POSITIONS: Readonly<Record<string, number>> = {
  "aten.sort.default": 1,
  "aten.sort.stable": 1,
  "aten.topk.default": 1,
  "aten.kthvalue.default": 1,
  "aten.mode.default": 1,
  "aten.median.dim": 1,
  "aten.nanmedian.dim": 1,
  "aten.argsort.default": 0,
};

function flatten(result: unknown): Tensor[] {
  if (result instanceof Tensor) return [result];
  return Array.isArray(result) ? result.flatMap(flatten) : [];
}

function numberOf(arg: VectorArg | undefined): number {
  if (arg === null || arg === undefined) return NaN;
  return "float" in arg ? Number(arg.float) : "int" in arg ? arg.int : NaN;
}

/** Operators whose statistics of halves are float32 in PyTorch on CUDA, where the vectors, made on a processor, have halves: all results but the first. */
const STATISTICS = /^aten\.(native_(layer|batch|group)_norm|_native_batch_norm_legit|_batch_norm_with_update)/;

/** A case, ready to run. */
export class Case {
  readonly c: VectorCase;
  readonly op: Operator;
  readonly #source: VectorSource;

  constructor(c: VectorCase, op: Operator, source: VectorSource) {
    this.c = c;
    this.op = op;
    this.#source = source;
  }

  /** The case, or null if its operator is not in the table. */
  static of(c: VectorCase, source: VectorSource): Case | null {
    const op = findOp(c.target);
    return op === null ? null : new Case(c, op, source);
  }

  /** Fresh inputs, with PyTorch's strides. */
  inputs(): Tensor[] {
    return this.c.inputs.map((t) => this.#source.tensor(t));
  }

  /** Fresh inputs that PyTorch differentiated with respect to, marked. */
  gradientInputs(): Tensor[] {
    const inputs = this.inputs();
    this.c.grads?.forEach((g, i) => {
      if (g !== null) inputs[i]?.requiresGrad_();
    });
    return inputs;
  }

  /** Positions of the inputs that have expected gradients. */
  get wanted(): number[] {
    return (this.c.grads ?? []).flatMap((g, i) => g === null ? [] : [i]);
  }

  /** Calls the operator. */
  call(inputs: readonly Tensor[]): Tensor[] {
    const args: Record<string, unknown> = {};
    this.c.args.forEach((arg, i) => {
      const spec = this.op.schema.args[i];
      if (spec === undefined) throw new TypeError(`the schema has no argument ${i}`);
      args[spec.key] = decodeArg(arg, inputs);
    });
    for (const [name, arg] of Object.entries(this.c.kwargs)) args[camelCase(name)] = decodeArg(arg, inputs);
    this.#promoteAsFloat(args);
    // A number is read at once: no tensor comes of it.
    if (this.op.number !== undefined) {
      this.op.number(args as NamedArgs<Tensor>);
      return [];
    }
    return flatten(dispatch(this.op, args));
  }

  /** Whole numbers that are floats in Python look like integers here: tensors of integers that PyTorch made floats beside them are converted, as the reader of programs does. */
  #promoteAsFloat(args: Record<string, unknown>): void {
    const given = [...this.c.args.entries(), ...Object.entries(this.c.kwargs)];
    const isWholeFloat = given.some(([at, a]) => {
      const spec = this.op.schema.args.find((s, i) => i === at || s.name === at);
      // A parameter that is a float in any case promotes nothing by its value.
      return a !== null && "float" in a && Number.isInteger(Number(a.float)) && spec?.type !== "float";
    });
    const [output] = this.c.outputs;
    const dtype = output === undefined ? null : dtypeFromName(output.dtype);
    if (!isWholeFloat || dtype === null || !dtype.isFloat || this.op.schema.args[0]?.mutated === true) return;
    const tensors = Object.entries(args).filter((entry): entry is [string, Tensor] => entry[1] instanceof Tensor);
    if (tensors.some(([, t]) => !t.dtype.isIntegral)) return;
    for (const [key, t] of tensors) if (!/^(index|indices|mask)/.test(key)) args[key] = t.to(dtype);
  }

  /** Why only shapes and dtypes of this case can be compared; null if values can. */
  get open(): string | null {
    const { target, args, kwargs } = this.c;
    if (this.op.isRandom || OPEN_VALUES.test(target)) return "PyTorch leaves the values open: random or uninitialised";
    if (DROPOUT.test(target)) {
      const all = [...args, ...Object.values(kwargs)];
      const trains = all.some((a) => a !== null && "bool" in a && a.bool);
      const p = numberOf(args[1]);
      if (trains && p !== 0 && p !== 1) return "PyTorch leaves the values open: random";
    }
    if (/scaled_dot_product|flash_attention|efficient_attention/.test(target)) {
      if (numberOf(args[4]) > 0 || numberOf(kwargs["dropout_p"]) > 0) {
        return "PyTorch leaves the values open: random dropout";
      }
    }
    if (target === "aten.as_strided.default" && this.#readsOutside()) {
      return "the input is a part of a larger memory in PyTorch, which the vectors do not hold";
    }
    return null;
  }

  /** as_strided reads memory: whether its first element is none that the input has at that place. */
  #readsOutside(): boolean {
    const [input] = this.c.inputs;
    const [output] = this.c.outputs;
    const offset = numberOf(this.c.args[3] ?? this.c.kwargs["storage_offset"]);
    if (input === undefined || output === undefined || Number.isNaN(offset)) return false;
    const want = this.#source.values(output);
    return want.length > 0 && want[0] !== this.#source.values(input)[offset];
  }

  /** Compares results with PyTorch's. */
  checkValues(outs: readonly Tensor[]): Verdict {
    const { outputs } = this.c;
    if (outs.length !== outputs.length) return failed(`${outs.length} results, expected ${outputs.length}`);
    const open = this.open;
    let wide: Tensor[] | null = null;
    for (const [i, expected] of outputs.entries()) {
      const found = outs[i] as Tensor;
      const wider = i > 0 && found.device.type === "cuda" && found.dtype === float32 && STATISTICS.test(this.c.target);
      const out = wider ? found.to(dtypeFromName(expected.dtype)) : found;
      if (out.dtype.name !== expected.dtype) {
        return failed(`result ${i} is ${out.dtype.name}, expected ${expected.dtype}`);
      }
      if (out.shape.join() !== expected.shape.join()) {
        return failed(`result ${i} has shape [${out.shape}], expected [${expected.shape}]`);
      }
      if (open !== null) continue;
      const want = this.#source.values(expected);
      const got = out.dataSync();
      const wrong = difference(out.dtype, got, want);
      if (wrong === null) continue;
      if (POSITIONS[this.c.target] === i && this.#picksEqualKeys(out, expected)) continue;
      if (out.dtype.bytes === 2 && out.dtype.isFloat) {
        wide ??= this.#widened();
        const reference = wide[i];
        if (reference !== undefined && reference.numel === out.numel) {
          const rounded = tensorFrom([out.numel], reference.dataSync() as ArrayLike<number>, out.dtype).dataSync();
          // bfloat16 and float16 have 8 and 11 bits: PyTorch's chains of rounded sums are off by a few tens of units.
          if (difference(out.dtype, got, rounded) === null && difference(out.dtype, want, rounded, 40) === null) {
            continue;
          }
        }
      }
      return failed(`result ${i}: ${wrong}`);
    }
    return open === null ? PASSED : { kind: "skipped", reason: open };
  }

  /** Compares gradients, in order of {@linkcode Case.wanted}. */
  checkGradients(grads: readonly (Tensor | null)[]): Verdict {
    if (this.open !== null) return { kind: "skipped", reason: this.open };
    for (const [k, i] of this.wanted.entries()) {
      const expected = this.c.grads?.[i];
      if (expected === null || expected === undefined) continue;
      const g = grads[k] ?? null;
      const want = this.#source.values(expected);
      if (g === null) {
        if (want.some((v) => Number(v) !== 0)) return failed(`no gradient for input ${i}`);
        continue;
      }
      if (g.shape.join() !== expected.shape.join()) {
        return failed(`gradient ${i} has shape [${g.shape}], expected [${expected.shape}]`);
      }
      const wrong = difference(g.dtype, g.dataSync(), want);
      if (wrong !== null) return failed(`gradient ${i}: ${wrong}`);
    }
    return PASSED;
  }

  /** For each result of type float: the weights of the sum that PyTorch differentiated. */
  weights(): (Tensor | null)[] {
    return this.c.outputs.map((o) => {
      const dtype = dtypeFromName(o.dtype);
      if (!dtype.isFloat) return null;
      const numel = o.shape.reduce((a, b) => a * b, 1);
      return tensorFrom(o.shape, Float64Array.from({ length: numel }, (_, i) => Math.sin(i + 1)), dtype);
    });
  }

  /** Whether the positions pick the same keys as PyTorch's, each position once. */
  #picksEqualKeys(got: Tensor, expected: VectorTensor): boolean {
    const input = this.c.inputs[0];
    if (input === undefined || got.ndim !== expected.shape.length) return false;
    const name = this.op.schema.args.findIndex((a) => a.name === "dim");
    const given = this.c.args[name] ?? this.c.kwargs["dim"];
    const dim = Number.isNaN(numberOf(given)) ? -1 : numberOf(given);
    const rank = input.shape.length;
    const axis = dim < 0 ? dim + rank : dim;
    const keys = this.#source.values(input);
    const want = this.#source.values(expected);
    const positions = got.dataSync();
    const size = input.shape[axis] ?? 1;
    const inner = input.shape.slice(axis + 1).reduce((a, b) => a * b, 1);
    const keep = got.ndim === rank;
    const many = keep ? Number(got.shape[axis] ?? 1) : 1;
    const lines = want.length / Math.max(many, 1);
    for (let line = 0; line < lines; line++) {
      const outer = Math.floor(line / inner);
      const low = line % inner;
      const seen = new Set<number>();
      for (let j = 0; j < many; j++) {
        const at = (outer * many + j) * inner + low;
        const a = Number(positions[at]);
        const b = Number(want[at]);
        if (a < 0 || a >= size || seen.has(a)) return false;
        seen.add(a);
        const base = outer * size * inner + low;
        const x = Number(keys[base + a * inner]);
        const y = Number(keys[base + b * inner]);
        if (x !== y && !(Number.isNaN(x) && Number.isNaN(y))) return false;
      }
    }
    return true;
  }

  /** The results with half inputs widened to float32, by the reference executor. */
  #widened(): Tensor[] {
    try {
      const inputs = this.inputs().map((t) => {
        if (!t.dtype.isFloat || t.dtype.bytes !== 2) return t;
        const wide = emptyTensor(t.shape, t.stride, float32, t.device);
        writeElements(wide, rawFromHost(float32, t.dataSync()));
        return wide;
      });
      return noGrad(() => withEagerBackend(referenceBackend, () => this.call(inputs)));
    } catch {
      return [];
    }
  }
}

/** The first line of an error, for a list of failures. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message.split("\n")[0]}` : String(error);
}
