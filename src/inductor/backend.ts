/**
 * The `"inductor"` backend of `compile()`, and the eager backend of the CPU: what importing the compiler installs.
 *
 * AOTAutograd hands over functional graphs; each becomes a {@linkcode CompiledGraph}. Results that would be copied into inputs or attributes
 * are offered to the planner as donations, so that optimiser steps write where the parameters are.
 */
import { aotBackend, type CompiledProgram, type CompileRequest } from "../aot_autograd/mod.ts";
import { registerBackend } from "../capture/mod.ts";
import { InternalError } from "../core/mod.ts";
import { emitCompile } from "./observe.ts";
import { setEagerBackend, type Tensor } from "../tensor/mod.ts";
import { CompiledGraph, type GraphValue, type TierPolicy } from "./compiled_graph.ts";
import { InductorEagerBackend } from "./eager_backend.ts";
import type { DonationTarget } from "./plan_host.ts";

/** Results that may be written in place, by position. */
function donationsOf(request: CompileRequest): Map<number, DonationTarget> {
  const paths = request.graph.attributes.map((a) => a.path);
  const out = new Map<number, DonationTarget>();
  for (const { origin, result } of request.writes) {
    if (out.has(result)) continue;
    if (origin.kind === "input") out.set(result, { kind: "input", index: origin.index });
    else {
      const index = paths.indexOf(origin.path);
      if (index >= 0) out.set(result, { kind: "attribute", index });
    }
  }
  return out;
}

function tierOf(request: CompileRequest): TierPolicy {
  const asked = request.context.options["tier"];
  if (asked === "js" || asked === "auto" || asked === "aot") return asked;
  if (asked !== undefined) {
    throw new RangeError(`compile: options.tier is ${String(asked)}: use "js", "auto" or "aot"`);
  }
  return request.context.mode === "aot" ? "aot" : "auto";
}

/** Compiles one functional graph for the CPU. */
export function compileProgram(request: CompileRequest): CompiledProgram {
  const donate = donationsOf(request);
  const compiled = new CompiledGraph(request.graph, {
    tier: tierOf(request),
    name: request.kind,
    ...(donate.size > 0 ? { donate } : {}),
  });
  const attributes = request.graph.attributes.map((node): Tensor => {
    const found = request.attributes.get(node.path);
    if (found === undefined) throw new InternalError(`the graph reads ${node.path}, which nobody gave`);
    return found;
  });
  emitCompile({ kind: request.kind, graph: compiled });
  const run = (inputs: readonly GraphValue[]): readonly GraphValue[] => compiled.run(inputs, attributes);
  return Object.assign(run, { donated: compiled.donated, ready: () => compiled.ready() }) as CompiledProgram;
}

/** Makes `compile()` use the compiler, and eager operators its JavaScript kernels. Called once, when the library is imported. */
export function installInductor(): void {
  registerBackend("inductor", aotBackend({ forward: compileProgram }));
  setEagerBackend(new InductorEagerBackend());
}

installInductor();
