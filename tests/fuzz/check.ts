/**
 * Compares a program compiled with the same program on the reference executor, and makes a failing program small.
 *
 * A float may differ by rounding: allowed is 1e-4 of the largest magnitude (2e-3 of it in programs with half types) plus eight times what the reference itself is off from the same
 * program in float64, which tells how ill-conditioned the program is; for gradients also 1e-5 of the largest input, because terms that cancel exactly in the
 * reference need not elsewhere. Everything else is equal. Inputs are compared after the run too, because
 * programs write to them.
 */
import { gradOf } from "../../src/autograd/mod.ts";
import { device as deviceOf, float64 } from "../../src/core/mod.ts";
import { compile, registerLibrary } from "../../src/capture/mod.ts";
import { type CompiledGraph, onCompile } from "../../src/inductor/mod.ts";
import { noGrad, referenceBackend, Tensor, withEagerBackend } from "../../src/tensor/mod.ts";
import { placed } from "../helpers/placed.ts";
import { type FuzzProgram, type FuzzStep, makeInputs, renumber, runProgram, valuesIn } from "./program.ts";

/** How the compiled side runs. */
export interface FuzzOptions {
  readonly tier: "js" | "cpp" | "cuda";
  readonly dynamic?: boolean;
}

/** Tensors by name: results, inputs after the run, gradients. */
interface Observed {
  readonly name: string;
  readonly tensor: Tensor | null;
}

function gradientsOf(results: readonly Tensor[], inputs: readonly Tensor[]): Observed[] {
  const outs = results.filter((t) => t.requiresGrad && t.dtype.isFloat);
  const leaves = inputs.filter((t) => t.requiresGrad);
  if (outs.length === 0 || leaves.length === 0) return [];
  const grads = gradOf(outs.map((t) => t.to(float64).sum()), leaves, { allowUnused: true });
  return grads.map((tensor, i) => ({ name: `gradient ${i}`, tensor: tensor ?? null }));
}

function observe(program: FuzzProgram, inputs: readonly Tensor[], run: () => readonly Tensor[]): Observed[] {
  const results = program.gradients ? run() : noGrad(run);
  const out: Observed[] = results.map((tensor, i) => ({ name: `result ${i}`, tensor }));
  if (program.gradients) return [...out, ...gradientsOf(results, inputs)];
  return [...out, ...inputs.map((tensor, i) => ({ name: `input ${i} afterwards`, tensor }))];
}

function onReference(program: FuzzProgram, wide: boolean): Observed[] {
  return withEagerBackend(referenceBackend, () => {
    const inputs = makeInputs(program, wide);
    return observe(program, inputs, () => runProgram(program, inputs, wide));
  });
}

function numbersOf(t: Tensor): number[] {
  return Array.from(t.dataSync() as ArrayLike<number | bigint>, Number);
}

/** The first difference as a sentence, or null. */
function differenceOf(
  program: FuzzProgram,
  got: readonly Observed[],
  want: readonly Observed[],
  wide: readonly Observed[],
): string | null {
  const scale = Math.max(1, ...program.inputs.flatMap((t) => t.data.filter(Number.isFinite).map(Math.abs)));
  // Kernels round halves where the reference does, but a float32 that differs in its last bit may round to the next half.
  const halves = JSON.stringify([program.inputs.map((t) => t.dtype), program.steps]).includes("float16");

  if (got.length !== want.length) return `${got.length} tensors, expected ${want.length}`;
  for (const [i, w] of want.entries()) {
    const g = got[i] as Observed;
    if (g.tensor === null || w.tensor === null) {
      if (g.tensor !== w.tensor) return `${w.name}: one side has none`;
      continue;
    }
    const { dtype } = w.tensor;
    if (g.tensor.dtype !== dtype) return `${w.name}: ${g.tensor.dtype.name}, expected ${dtype.name}`;
    if (g.tensor.shape.join() !== w.tensor.shape.join()) {
      return `${w.name}: shape [${g.tensor.shape}], expected [${w.tensor.shape}]`;
    }
    const a = numbersOf(g.tensor);
    const b = numbersOf(w.tensor);
    const exact = wide[i]?.tensor;
    const c = exact === null || exact === undefined ? b : numbersOf(exact);
    let largest = 0;
    let noise = 0;
    b.forEach((x, k) => {
      if (!Number.isFinite(x)) return;
      largest = Math.max(largest, Math.abs(x));
      const off = Math.abs(x - (c[k] ?? x));
      noise = Number.isNaN(off) ? Infinity : Math.max(noise, off);
    });
    // Whole numbers that come out of rounded floats may rightly differ where float64 gives others.
    if (!dtype.isFloat && noise > 0) continue;
    const relative = !dtype.isFloat ? 0 : halves ? 0.002 : 1e-4;
    const allowed = relative * largest + 8 * noise +
      (!dtype.isFloat ? 0 : w.name.startsWith("gradient") ? 1e-5 * scale : 1e-6);
    for (let k = 0; k < b.length; k++) {
      const [x = 0, y = 0] = [a[k], b[k]];
      if (x === y || (Number.isNaN(x) && Number.isNaN(y))) continue;
      if (!(Math.abs(x - y) <= allowed)) {
        return `${w.name}[${k}] is ${x}, expected ${y} (float64 gives ${c[k]}; allowed ${allowed.toPrecision(2)})`;
      }
    }
  }
  return null;
}

function compiledRun(programs: readonly FuzzProgram[], options: FuzzOptions): Observed[][] {
  const graphs: CompiledGraph[] = [];
  using _ = onCompile((record) => void graphs.push(record.graph));
  const device = deviceOf(options.tier === "cuda" ? "cuda" : "cpu");
  const inputs = programs.map((p) => makeInputs(p).map((t) => placed(t, device)));
  const run = (all: readonly Tensor[]): Tensor[][] => {
    let at = 0;
    return programs.map((p) => {
      const own = Array.from(p.inputs, (_, i) => all[at + i] as Tensor);
      at += p.inputs.length;
      return runProgram(p, own);
    });
  };
  registerLibrary({ run });
  const fn = compile(run, {
    fullgraph: true,
    dynamic: options.dynamic ?? false,
    mode: options.tier === "cpp" ? "aot" : "default",
    options: options.tier === "cuda" ? {} : { tier: options.tier === "cpp" ? "aot" : "js" },
  });
  const flat = inputs.flat();
  const results = programs.some((p) => p.gradients) ? fn(flat) : noGrad(() => fn(flat));
  const out = programs.map((p, i) => observe(p, inputs[i] as Tensor[], () => results[i] as Tensor[]));
  for (const graph of graphs) {
    if (graph.compiled.plan.steps.length > 0 && graph.tier !== options.tier) {
      throw new Error(`ran on ${graph.tier} kernels, not ${options.tier}: ${graph.cpp?.state ?? "no C++ tier"}`);
    }
  }
  return out;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message.split("\n")[0]}` : String(error);
}

/** Why the compiled program is wrong, or null. A program that the reference refuses is no failure. */
export function checkProgram(program: FuzzProgram, options: FuzzOptions): string | null {
  return checkPrograms([program], options)[0] ?? null;
}

/** Checks programs as one compilation; one that makes the compilation fail is found by halving. Programs with and without gradients do not mix. */
export function checkPrograms(programs: readonly FuzzProgram[], options: FuzzOptions): (string | null)[] {
  if (programs.length === 0) return [];
  const groups = Map.groupBy(programs.keys(), (i) => programs[i]?.gradients === true);
  if (groups.size > 1) {
    const out = new Array<string | null>(programs.length).fill(null);
    for (const indices of groups.values()) {
      const found = checkPrograms(indices.map((i) => programs[i] as FuzzProgram), options);
      indices.forEach((i, k) => out[i] = found[k] ?? null);
    }
    return out;
  }
  let got: Observed[][];
  try {
    got = compiledRun(programs, options);
  } catch (error) {
    if (programs.length === 1) {
      try {
        onReference(programs[0] as FuzzProgram, false);
      } catch {
        return [null];
      }
      return [messageOf(error)];
    }
    const half = programs.length >> 1;
    return [...checkPrograms(programs.slice(0, half), options), ...checkPrograms(programs.slice(half), options)];
  }
  return programs.map((p, i): string | null => {
    const want = onReference(p, false);
    let wide: Observed[];
    try {
      wide = onReference(p, true);
    } catch {
      wide = want;
    }
    try {
      return differenceOf(p, got[i] as Observed[], want, wide);
    } catch (error) {
      // A device reports what its kernels met when data are read, and so perhaps with the results of another program.
      return programs.length === 1 ? messageOf(error) : checkProgram(p, options);
    }
  });
}

/** Drops steps that no result needs. In-place steps are needed where what they write is. */
export function withoutDeadSteps(program: FuzzProgram): FuzzProgram {
  const needed = new Set(program.results);
  const kept = new Set<number>();
  const first = program.inputs.length;
  const writes = program.steps.some((s) => /_\.\w+$/.test(s.target));
  for (let i = program.steps.length - 1; i >= 0; i--) {
    const step = program.steps[i] as FuzzStep;
    if (!writes && !needed.has(first + i)) continue;
    kept.add(i);
    for (const used of step.args.flatMap(valuesIn)) needed.add(used);
  }
  return select(program, (i) => kept.has(i), (i) => writes || needed.has(i));
}

/** The program with only some steps and inputs; nothing that stays may use what goes. */
function select(
  program: FuzzProgram,
  keepsStep: (i: number) => boolean,
  keepsInput: (i: number) => boolean,
): FuzzProgram {
  const inputs = program.inputs.filter((_, i) => keepsInput(i));
  const to = new Map<number, number>();
  let next = 0;
  program.inputs.forEach((_, i) => {
    if (keepsInput(i)) to.set(i, next++);
  });
  program.steps.forEach((_, i) => {
    if (keepsStep(i)) to.set(program.inputs.length + i, next++);
  });
  const number = (value: number): number => {
    const found = to.get(value);
    if (found === undefined) throw new RangeError(`v${value} is used but dropped`);
    return found;
  };
  const steps = program.steps.filter((_, i) => keepsStep(i)).map((s) => ({
    ...s,
    args: s.args.map((a) => renumber(a, number)),
  }));
  return { ...program, inputs, steps, results: program.results.map(number) };
}

/** The program with step `at` replaced by an input of the same value. */
function stepToInput(program: FuzzProgram, at: number): FuzzProgram | null {
  const value = program.inputs.length + at;
  let t: Tensor;
  try {
    [t] = withEagerBackend(referenceBackend, () => {
      const inputs = makeInputs(program);
      const upTo = { ...program, steps: program.steps.slice(0, at + 1), results: [value] };
      return noGrad(() => runProgram(upTo, inputs));
    }) as [Tensor];
  } catch {
    return null;
  }
  const input = {
    dtype: t.dtype.name,
    shape: t.shape.map(Number),
    stride: rowMajor(t.shape.map(Number)),
    data: numbersOf(t),
  };
  const count = program.inputs.length;
  const number = (v: number): number => v === value ? count : v < count ? v : v < value ? v + 1 : v;
  const steps = program.steps.filter((_, i) => i !== at).map((s) => ({
    ...s,
    args: s.args.map((a) => renumber(a, number)),
  }));
  return { ...program, inputs: [...program.inputs, input], steps, results: program.results.map(number) };
}

function rowMajor(shape: readonly number[]): number[] {
  return shape.map((_, d) => shape.slice(d + 1).reduce((a, b) => a * b, 1));
}

/** Makes a failing program smaller as long as it fails: fewer results, steps replaced by inputs or dropped, plain strides, no gradients. */
export function shrinkProgram(program: FuzzProgram, fails: (p: FuzzProgram) => boolean): FuzzProgram {
  let best = program;
  const attempt = (candidate: FuzzProgram | null): boolean => {
    if (candidate === null) return false;
    try {
      if (!fails(candidate)) return false;
    } catch {
      return false;
    }
    best = candidate;
    return true;
  };
  for (let changed = true; changed;) {
    changed = false;
    for (let i = best.results.length - 1; i >= 0 && best.results.length > 1; i--) {
      if (attempt({ ...best, results: best.results.filter((_, k) => k !== i) })) changed = true;
    }
    const live = withoutDeadSteps(best);
    if (live.steps.length < best.steps.length && attempt(live)) changed = true;
    for (let i = best.steps.length - 1; i >= 0; i--) {
      const at = best.inputs.length + i;
      const used = best.results.includes(at) || best.steps.some((s) => s.args.flatMap(valuesIn).includes(at));
      if (!used && attempt(select(best, (k) => k !== i, () => true))) changed = true;
      else if (best.steps.length > 1 && attempt(stepToInput(best, i))) changed = true;
    }
    for (let i = best.inputs.length - 1; i >= 0; i--) {
      const used = best.results.includes(i) || best.steps.some((s) => s.args.flatMap(valuesIn).includes(i));
      if (!used && attempt(select(best, () => true, (k) => k !== i))) changed = true;
    }
    if (best.gradients && attempt({ ...best, gradients: false })) changed = true;
  }
  for (const i of best.inputs.keys()) {
    const inputs = best.inputs.map((t, k) => k === i ? { ...t, stride: rowMajor(t.shape) } : t);
    if (JSON.stringify(inputs) !== JSON.stringify(best.inputs)) attempt({ ...best, inputs });
  }
  return best;
}
