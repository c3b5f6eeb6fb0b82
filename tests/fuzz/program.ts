/**
 * Random programs as data: inputs with strides and values, and calls of operators by name.
 *
 * A program can be run on tensors (eagerly or under capture), printed for people, and written as JSON into a test. Values are numbered: the
 * inputs first, then the result of each step.
 */
import { cpu, type DType, dtypeFromName, float64 } from "../../src/core/mod.ts";
import { getOp } from "../../src/ops/mod.ts";
import { dispatch, emptyTensor, Tensor } from "../../src/tensor/mod.ts";
import { rawFromHost } from "../../src/tensor/memory.ts";
import { writeElements } from "../../src/tensor/read.ts";

/** One argument: a value of the program, a dtype, a list, or a plain value. */
export type FuzzArg =
  | { readonly value: number }
  | { readonly dtype: string }
  | readonly FuzzArg[]
  | number
  | boolean
  | string
  | null;

/** An input: its elements in row-major order of its shape. */
export interface FuzzInput {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly stride: readonly number[];
  readonly data: readonly number[];
}

/** A call: arguments in order of the schema. In-place operators return the value that they wrote. */
export interface FuzzStep {
  readonly target: string;
  readonly args: readonly FuzzArg[];
  /** Which result is kept, of operators with several. */
  readonly result: number;
}

/** A program; `results` are numbers of values. */
export interface FuzzProgram {
  readonly inputs: readonly FuzzInput[];
  readonly steps: readonly FuzzStep[];
  readonly results: readonly number[];
  /** Float inputs are differentiated too. */
  readonly gradients: boolean;
}

/** Fresh tensors for the inputs; with `wide`, floats become float64. */
export function makeInputs(program: FuzzProgram, wide = false): Tensor[] {
  return program.inputs.map((input) => {
    const named = dtypeFromName(input.dtype);
    const dtype: DType = wide && named.isFloat ? float64 : named;
    const t = emptyTensor(input.shape, input.stride, dtype, cpu);
    writeElements(t, rawFromHost(dtype, input.data));
    if (program.gradients && dtype.isFloat && named.bytes >= 4) t.requiresGrad = true;
    return t;
  });
}

function decode(arg: FuzzArg, values: readonly Tensor[], wide: boolean): unknown {
  if (typeof arg !== "object" || arg === null) return arg;
  if (Array.isArray(arg)) return arg.map((item: FuzzArg) => decode(item, values, wide));
  if ("value" in arg) return values[arg.value];
  if ("dtype" in arg) {
    const dtype = dtypeFromName(arg.dtype);
    return wide && dtype.isFloat ? float64 : dtype;
  }
  return arg;
}

/** Runs one step. */
export function runStep(step: FuzzStep, values: readonly Tensor[], wide = false): Tensor {
  const op = getOp(step.target);
  const named: Record<string, unknown> = {};
  step.args.forEach((arg, i) => {
    const key = op.schema.args[i]?.key;
    if (key === undefined) throw new RangeError(`${step.target} has no argument ${i}`);
    named[key] = decode(arg, values, wide);
  });
  const result = dispatch(op, named);
  const out = result instanceof Tensor ? result : result[step.result];
  if (out === undefined) throw new RangeError(`${step.target} has no result ${step.result}`);
  return out;
}

/** Runs a program on its inputs. */
export function runProgram(program: FuzzProgram, inputs: readonly Tensor[], wide = false): Tensor[] {
  const values = [...inputs];
  for (const step of program.steps) values.push(runStep(step, values, wide));
  return program.results.map((i) => values[i] as Tensor);
}

/** The program for people. */
export function programToText(program: FuzzProgram): string {
  const arg = (a: FuzzArg): string => {
    if (typeof a !== "object" || a === null) return JSON.stringify(a);
    if (Array.isArray(a)) return `[${a.map(arg).join(", ")}]`;
    if ("value" in a) return `v${a.value}`;
    return "dtype" in a ? a.dtype : "";
  };
  const lines = program.inputs.map((t, i) =>
    `v${i}: ${t.dtype}[${t.shape.join(", ")}] strides [${t.stride.join(", ")}]`
  );
  program.steps.forEach((step, i) => {
    const at = step.result === 0 ? "" : ` (result ${step.result})`;
    lines.push(`v${program.inputs.length + i} = ${step.target}(${step.args.map(arg).join(", ")})${at}`);
  });
  lines.push(`return ${program.results.map((r) => `v${r}`).join(", ")}${program.gradients ? " and gradients" : ""}`);
  return lines.join("\n");
}

/** Numbers of the values that an argument names. */
export function valuesIn(arg: FuzzArg): number[] {
  if (typeof arg !== "object" || arg === null) return [];
  if (Array.isArray(arg)) return arg.flatMap((item: FuzzArg) => valuesIn(item));
  return "value" in arg ? [arg.value] : [];
}

/** An argument with its values renumbered. */
export function renumber(arg: FuzzArg, to: (value: number) => number): FuzzArg {
  if (typeof arg !== "object" || arg === null) return arg;
  if (Array.isArray(arg)) return arg.map((item: FuzzArg) => renumber(item, to));
  return "value" in arg ? { value: to(arg.value) } : arg;
}
