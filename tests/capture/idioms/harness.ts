/**
 * One small program, run eagerly and compiled, must show the same results, side effects and errors.
 *
 * A program is made anew for each way of running it: it gets `compile` (the identity for the eager run) and returns a step that takes the number of a
 * round. What a step returns, or its promise gives, is compared, with the lines it printed and the error it threw. Rounds repeat, so that cached entries run too.
 */
import assert from "node:assert/strict";
import "../../../mod.ts";
import { captureStats, compile } from "../../../src/capture/mod.ts";
import { float32, withConfig } from "../../../src/core/mod.ts";
import { manualSeed, Tensor, tensor } from "../../../src/tensor/mod.ts";

/** What a program compiles its functions with. */
export type Wrap = <A extends readonly unknown[], R>(fn: (...args: A) => R) => (...args: A) => R;

/** What capture is expected to make of a program: one graph for each function, or segments with reported breaks. */
export type Fate = "graph" | "segments";

/** Makes a program; the result runs one round. */
export type Program = (compile: Wrap) => (round: number) => unknown;

/** Rounds of one run: outside state should change at some of them, and stay at others. */
const ROUNDS = [0, 0, 1, 1, 2, 0, 2, 3];

const BACKENDS: readonly (readonly [string, Readonly<Record<string, unknown>>])[] = [
  ["eager", {}],
  ["aot_eager", {}],
  ["inductor", { tier: "js" }],
];

/** A float32 vector that differs from round to round. */
export function vec(round: number, length = 3): Tensor {
  return tensor(Array.from({ length }, (_, i) => i * 0.5 - 1 + round), { dtype: float32 });
}

/** A float32 matrix. */
export function mat(round: number, rows = 2, columns = 3): Tensor {
  return vec(round, rows * columns).view([rows, columns]);
}

/** Everything observable of a value, with shared and cyclic objects numbered. */
function observe(value: unknown, seen = new Map<object, number>()): unknown {
  if (typeof value === "function") return `function ${value.name}`;
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value !== "object" || value === null) return value;
  const known = seen.get(value);
  if (known !== undefined) return `#${known}`;
  seen.set(value, seen.size);
  if (value instanceof Tensor) {
    const grad = value.isLeaf ? value.grad : null;
    return {
      tensor: [...value.dataSync()].map(Number),
      shape: value.shape.map((s) => typeof s === "number" ? s : "a symbol"),
      dtype: value.dtype.name,
      requiresGrad: value.requiresGrad,
      grad: grad === null ? null : observe(grad, seen),
    };
  }
  if (value instanceof Map) return { map: [...value].map(([k, v]) => [observe(k, seen), observe(v, seen)]) };
  if (value instanceof Set) return { set: [...value].map((v) => observe(v, seen)) };
  if (value instanceof Error) return { error: value.name, message: value.message };
  if (Array.isArray(value)) return value.map((v) => observe(v, seen));
  const entries = Reflect.ownKeys(value).map((k) => [String(k), observe(Reflect.get(value, k), seen)]);
  return { type: Reflect.getPrototypeOf(value)?.constructor?.name ?? "null", ...Object.fromEntries(entries) };
}

/** Compares observations; numbers of tensors up to rounding. */
function agree(actual: unknown, expected: unknown, path: string): void {
  if (typeof expected === "number" && typeof actual === "number") {
    const near = Object.is(actual, expected) || Math.abs(actual - expected) <= 1e-5 * Math.max(1, Math.abs(expected));
    assert.ok(near, `${path}: got ${actual}, eager gives ${expected}`);
    return;
  }
  if (typeof expected === "object" && expected !== null && typeof actual === "object" && actual !== null) {
    const [a, e] = [Object.keys(actual), Object.keys(expected)];
    assert.deepEqual(a, e, `${path}: other keys`);
    for (const key of e) agree(Reflect.get(actual, key), Reflect.get(expected, key), `${path}.${key}`);
    return;
  }
  assert.deepEqual(actual, expected, `${path}: got ${String(actual)}, eager gives ${String(expected)}`);
}

const PRINTERS = ["log", "info", "warn", "error", "debug"] as const;

/** Runs all rounds; what the world saw of them. */
async function observeRun(program: Program, wrap: Wrap): Promise<unknown[]> {
  const printed: unknown[] = [];
  // deno-lint-ignore no-console
  const before = PRINTERS.map((p) => [p, console[p]] as const);
  const { random } = Math;
  let draws = 0;
  manualSeed(17);
  const step = program(wrap);
  const out: unknown[] = [];
  try {
    // deno-lint-ignore no-console
    for (const p of PRINTERS) console[p] = (...args: unknown[]): void => void printed.push([p, observe(args)]);
    Math.random = (): number => (draws++ % 7) / 7;
    for (const round of ROUNDS) {
      let result: unknown;
      try {
        result = { value: observe(await step(round)) };
      } catch (error) {
        result = { thrown: observe(error) };
      }
      out.push({ round, result, printed: printed.splice(0), draws });
    }
  } finally {
    // deno-lint-ignore no-console
    for (const [p, f] of before) console[p] = f;
    Math.random = random;
  }
  return out;
}

/** What became of the programs, for the table. */
export const outcomes: {
  readonly name: string;
  readonly fate: Fate;
  readonly entries: number;
  readonly why: string;
}[] = [];

/** Declares a program and what capture makes of it. */
export function idiom(name: string, fate: Fate, program: Program): void {
  for (const [backend, options] of BACKENDS) {
    Deno.test(`idiom: ${name} (${backend})`, async () => {
      using _ = withConfig({ verify: true });
      const expected = await observeRun(program, (fn) => fn);
      const made: ((...args: never[]) => unknown)[] = [];
      const actual = await observeRun(program, (fn) => {
        const compiled = compile(fn, { backend, options });
        made.push(compiled);
        return compiled;
      });
      expected.forEach((e, i) => agree(actual[i], e, `run ${i}`));
      const stats = made.map(captureStats);
      const breaks = stats.flatMap((s) => s.breaks);
      const entries = stats.reduce((n, s) => n + s.entries, 0);
      outcomes.push({ name, fate: breaks.length > 0 ? "segments" : "graph", entries, why: breaks[0]?.message ?? "" });
      if (fate === "graph") {
        assert.deepEqual(breaks.map((b) => b.message), [], "it ran in segments");
        assert.ok(entries > 0, "nothing was compiled");
      } else {
        assert.ok(breaks.length > 0, "it was expected to break, with a report");
        assert.ok(stats.some((s) => s.compiledSegments > 0), "no segment was compiled");
      }
    });
  }
}
