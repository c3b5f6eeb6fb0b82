/**
 * What `compile` is given beside the function, checked when it is given: what is misspelt or of another kind would be left out without a word, or fail in a call.
 *
 * A backend of the program's own is called through {@linkcode checkedBackend}, so that what goes wrong in it is told as its error and not as one of capture.
 */
import { CompileError } from "../core/mod.ts";
import { isNode, isTensorMeta } from "../graph/mod.ts";
import { isTensor } from "../tensor/mod.ts";
import {
  type CompiledFunction,
  type CompileMode,
  type CompilerBackend,
  findBackend,
  type GraphInput,
  type GraphModule,
  type GraphResult,
} from "./backends.ts";
import type { CompileOptions } from "./compile.ts";

const KINDS: Readonly<Record<keyof CompileOptions, readonly string[]>> = {
  backend: ["string", "function"],
  mode: ["string"],
  fullgraph: ["boolean"],
  dynamic: ["boolean"],
  options: ["object"],
  captures: ["function"],
  cache: ["object"],
};

const MODES: readonly CompileMode[] = ["default", "reduce-overhead", "max-autotune", "aot"];

const BUILT_IN: ReadonlySet<string> = new Set(["eager", "aot_eager", "reference", "inductor"]);

/** @throws {TypeError} for an option that is none, or of another kind; {RangeError} for a mode that is none. */
export function checkOptions(options: CompileOptions): void {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`compile: the options are ${String(options)}: give an object, or nothing`);
  }
  for (const [key, value] of Object.entries(options)) {
    const kinds = Object.hasOwn(KINDS, key) ? KINDS[key as keyof CompileOptions] : null;
    if (kinds === null) {
      throw new TypeError(`compile: there is no option "${key}"; there are ${Object.keys(KINDS).join(", ")}`);
    }
    const isNullable = value === undefined || (value === null && key !== "backend");
    if (!isNullable && !kinds.includes(typeof value)) {
      const shown = typeof value === "string" ? `"${value}"` : typeof value;
      throw new TypeError(`compile: the option ${key} is ${shown}: it must be a ${kinds.join(" or a ")}`);
    }
  }
  const { mode } = options;
  if (mode !== undefined && !MODES.includes(mode)) {
    throw new RangeError(`compile: there is no mode "${mode}"; there are ${MODES.join(", ")}`);
  }
}

/** The backend of these options. Errors of a backend of the program's own become a {@linkcode CompileError} that says so. */
export function checkedBackend({ backend = "inductor" }: CompileOptions): CompilerBackend {
  const made = typeof backend === "string" ? findBackend(backend) : backend;
  if (typeof backend === "string" && BUILT_IN.has(backend)) return made;
  const name = typeof backend === "string" ? `"${backend}"` : backend.name === "" ? "" : `${backend.name}()`;
  const label = `compile: the backend${name === "" ? "" : ` ${name}`}`;
  return (module, inputs, context) => {
    let compiled: unknown;
    try {
      compiled = made(module, inputs, context);
    } catch (cause) {
      const message = cause instanceof Error ? cause.message : String(cause);
      throw new BackendError(`${label} failed: ${message}; mend it, or compile with the backend "eager" meanwhile`, {
        cause,
      });
    }
    if (typeof compiled !== "function") {
      throw new BackendError(
        `${label} returned ${compiled === null ? "null" : typeof compiled}: it must return a function that takes the ` +
          "inputs of the graph and returns its results",
      );
    }
    return checkedResults(compiled as CompiledFunction, module, label);
  };
}

/** What a backend made, with its results counted: too few, or a number for a tensor, would show far from their cause. */
function checkedResults(compiled: CompiledFunction, { graph }: GraphModule, label: string): CompiledFunction {
  const isTensorAt = graph.output.results.map((result) => isNode(result) && isTensorMeta(result.value));
  const run = (inputs: readonly GraphInput[]): readonly GraphResult[] => {
    const results: unknown = compiled(inputs);
    if (!Array.isArray(results) || results.length !== isTensorAt.length) {
      const shown = Array.isArray(results) ? `${results.length} results` : results === null ? "null" : typeof results;
      throw new BackendError(`${label}: what it made returned ${shown} for a graph with ${isTensorAt.length}`);
    }
    const wrong = isTensorAt.findIndex((wanted, i) => wanted && !isTensor(results[i]));
    if (wrong >= 0) {
      throw new BackendError(
        `${label}: result ${wrong} of what it made is ${
          results[wrong] === null ? "null" : typeof results[wrong]
        }: the graph returns a tensor there`,
      );
    }
    return results as GraphResult[];
  };
  return Object.assign(run, compiled);
}

/** A backend of the program's own failed. */
export class BackendError extends CompileError {}
