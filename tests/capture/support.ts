/** What the tests of capture share: eager and compiled side by side, backends, comparisons. */
import assert from "node:assert/strict";
import "../../src/aot_autograd/mod.ts";
import { compile, type CompileOptions, entryCount } from "../../src/capture/mod.ts";
import { onEvent, type TesseraEvent, withConfig } from "../../src/core/mod.ts";
import { Tensor } from "../../src/tensor/mod.ts";

/** Backends that must agree with eager. */
export const BACKENDS = ["eager", "aot_eager"] as const;

/** Runs `body` for each backend, verifiers on. */
export function eachBackend(name: string, body: (backend: string) => void | Promise<void>): void {
  for (const backend of BACKENDS) {
    Deno.test(`${name} (${backend})`, async () => {
      using _ = withConfig({ verify: true });
      await body(backend);
    });
  }
}

/** Plain data of anything with tensors in it, for comparisons. */
export function plain(value: unknown): unknown {
  if (value instanceof Tensor) return { dtype: value.dtype.name, shape: [...value.shape], data: [...value.dataSync()] };
  if (value instanceof Map) return { map: [...value].map(plain) };
  if (value instanceof Set) return { set: [...value].map(plain) };
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, plain(v)]));
  }
  return value;
}

/** Asserts that two values with tensors in them are the same, bit by bit. */
export function same(actual: unknown, expected: unknown): void {
  assert.deepEqual(plain(actual), plain(expected));
}

/** Compiles with `fullgraph`. */
export function full<A extends readonly unknown[], R>(
  fn: (...args: A) => R,
  backend: string,
  options: CompileOptions = {},
): ReturnType<typeof compile<A, R>> {
  return compile(fn, { backend, fullgraph: true, ...options });
}

/** How often a compiled function was compiled. */
export function compilations(fn: unknown): number {
  return entryCount(fn as (...args: never[]) => unknown);
}

/** Events of one kind while `body` runs. */
export function eventsOf(kind: TesseraEvent["kind"], body: () => void): string[] {
  const out: string[] = [];
  using _ = onEvent((e) => {
    if (e.kind === kind) out.push(e.message);
  });
  body();
  return out;
}
