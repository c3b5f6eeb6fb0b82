/**
 * What JavaScript itself brings: which functions are the engine's own, and which of them a graph must not freeze.
 *
 * Engine functions run as they are inside a trace; their arguments are twins and proxies. Those that read a clock, draw numbers, print or talk to the
 * system must happen at every call, so a trace that calls one ends. Native functions that are not the engine's (bound functions, foreign calls) hide what they use.
 */
import { types } from "node:util";

/** Global names whose use must happen at every call, and what it does. */
export const EFFECTS: Readonly<Record<string, string>> = {
  console: "prints",
  Date: "reads the clock",
  Temporal: "reads the clock",
  performance: "reads the clock",
  crypto: "draws random bytes",
  fetch: "uses the network",
  Deno: "uses the system",
  process: "uses the system",
  localStorage: "uses the system",
  sessionStorage: "uses the system",
  setTimeout: "starts a timer",
  clearTimeout: "stops a timer",
  setInterval: "starts a timer",
  clearInterval: "stops a timer",
  queueMicrotask: "starts a task",
  Promise: "starts a task",
  Worker: "starts a thread",
  Atomics: "works on shared memory",
  alert: "asks the user",
  confirm: "asks the user",
  prompt: "asks the user",
  eval: "runs text",
};

/** The words for a use of such a name. */
export function effectReason(name: string, what: string): string {
  return `${name} ${what}, which must happen at each call`;
}

export const MOVE_OUT = "move it out of the compiled function";

export const CHANCE_REASON = "Math.random draws a number in JavaScript, which a graph would freeze";

export const CHANCE_REMEDY = "use rand() or randn(), or pass the number as an argument";

// Read before any program can add its own.
const globalNames = new Set<PropertyKey>(Reflect.ownKeys(globalThis));

/** Whether a global name belongs to JavaScript or the runtime, not to the program. */
export function isIntrinsicName(name: PropertyKey): boolean {
  return globalNames.has(name);
}

interface Intrinsics {
  readonly functions: ReadonlySet<unknown>;
  readonly effects: ReadonlyMap<unknown, string>;
}

let found: Intrinsics | null = null;

/** Walks what the global names reach. Getters are not called. */
function intrinsics(): Intrinsics {
  if (found !== null) return found;
  const functions = new Set<unknown>();
  const effects = new Map<unknown, string>();
  const seen = new Set<unknown>();
  const walk = (value: unknown, what: string | null): void => {
    if ((typeof value !== "object" && typeof value !== "function") || value === null || seen.has(value)) return;
    seen.add(value);
    if (typeof value === "function") {
      functions.add(value);
      if (what !== null) effects.set(value, what);
    }
    // The keys of a Proxy are an answer of its owner's: those of `process.env` are the environment, which needs a permission.
    if (types.isProxy(value)) return;
    for (const key of Reflect.ownKeys(value)) {
      const descriptor = Reflect.getOwnPropertyDescriptor(value, key);
      for (const v of [descriptor?.value, descriptor?.get, descriptor?.set]) walk(v, what);
    }
    walk(Reflect.getPrototypeOf(value), typeof value === "function" ? null : what);
  };
  seen.add(globalThis);
  // The shared prototypes first, so that no effect is pinned on them.
  const sample: unknown[] = [
    [],
    {},
    () => {},
    "",
    0,
    true,
    0n,
    Symbol.iterator,
    function* () {},
    async () => {},
    [].values(),
    new Map().keys(),
  ];
  sample.push(new Set().keys(), "".matchAll(/a/g), ""[Symbol.iterator](), (function* () {})());
  for (const value of sample) walk(Reflect.getPrototypeOf(Object(value) as object), null);
  // Errors of the system derive from those of the language.
  for (const name of globalNames) {
    if (typeof name === "string" && name.endsWith("Error")) walk(Reflect.get(globalThis, name), null);
  }
  // What effects reach, next: some of them are getters that make their object when asked.
  for (const [name, what] of Object.entries(EFFECTS)) {
    // Storage opens a file when it is asked for.
    if (!/Storage$/.test(name)) walk(Reflect.get(globalThis, name), what);
  }
  for (const key of globalNames) {
    const descriptor = Reflect.getOwnPropertyDescriptor(globalThis, key);
    for (const v of [descriptor?.value, descriptor?.get]) walk(v, null);
  }
  effects.set(Math.random, "draws a number");
  for (const pure of [Date.UTC, Date.parse]) effects.delete(pure);
  return found = { functions, effects };
}

/** Whether a native function is the engine's or the runtime's own. */
// deno-lint-ignore ban-types
export function isIntrinsic(fn: Function): boolean {
  return intrinsics().functions.has(fn);
}

/** What a function of the engine does beside computing, or null. */
// deno-lint-ignore ban-types
export function effectOf(fn: Function): string | null {
  return intrinsics().effects.get(fn) ?? null;
}
