/**
 * Backends that interpret functional graphs: `"aot_eager"` checks functionalisation, joint graphs and the cut without a compiler behind them;
 * `"reference"` runs every loop element by element.
 */
import {
  callOperator,
  type GraphInput,
  type GraphResult,
  registerBackend,
  type RunValue,
  sizeReader,
} from "../capture/mod.ts";
import { Interpreter } from "../graph/mod.ts";
import { evaluate, isSymInt, type SymInt } from "../symbolic/mod.ts";
import { noGrad, referenceBackend, withEagerBackend } from "../tensor/mod.ts";
import { aotBackend, type CompileRequest } from "./compile_aot.ts";
import type { CompiledProgram } from "./runtime.ts";

/** Runs a functional graph operator by operator through dispatch. */
export function interpretProgram(request: CompileRequest): CompiledProgram {
  const { graph, attributes } = request;
  const readSizes = sizeReader(graph);
  const run = (inputs: readonly GraphInput[]): readonly GraphResult[] => {
    const values = readSizes(inputs);
    const size = (s: SymInt): number => evaluate(s.expr, values);
    const interpreter = new Interpreter<RunValue>(graph, (_, args, node) => callOperator(node, args, size));
    const results = noGrad(() => interpreter.run(inputs, attributes));
    return results.map((r) => isSymInt(r) ? size(r) : r as GraphResult);
  };
  return Object.assign(run, { leavesNoTrace: true });
}

/** Runs a functional graph element by element with the reference executor: slow, and the meaning of every operator. */
function interpretReference(request: CompileRequest): CompiledProgram {
  const run = interpretProgram(request);
  return Object.assign((inputs: readonly GraphInput[]) => withEagerBackend(referenceBackend, () => run(inputs)), {
    leavesNoTrace: true,
  });
}

registerBackend("aot_eager", aotBackend({ forward: interpretProgram }));
registerBackend("reference", aotBackend({ forward: interpretReference }));
