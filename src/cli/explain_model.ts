/**
 * The text of `tessera explain MODEL.pt2`: the program's graph, the kernels that it becomes, and with inputs what they take.
 */
import type { CompileMode } from "../capture/mod.ts";
import { cpu, type Device } from "../core/mod.ts";
import { compileExported, readExportedProgram } from "../export/mod.ts";
import { graphToText, isTensorMeta, valueToText } from "../graph/mod.ts";
import { type CompiledGraph, onCompile } from "../inductor/mod.ts";
import { compiledToText, measuredToText } from "./explain_target.ts";
import { UsageError } from "./output.ts";
import { checkReadable } from "./paths.ts";
import { readInputs } from "./run.ts";

/** What is asked for beside the model. */
export interface ExplainModelOptions {
  readonly device: Device;
  readonly mode: CompileMode;
  /** A safetensors file with `input_0`, `input_1`, …; needed where launches are timed. */
  readonly inputs?: string;
  readonly chromeTrace?: string;
  /** Which model of the file, if it holds several. */
  readonly model?: string;
}

/**
 * Explains an exported program. On the CPU no C++ is compiled, unless inputs are given: then launches are timed too.
 *
 * @throws {UsageError} if times are asked for without inputs; {UnsupportedError} naming what is not supported and where it stands; errors of reading the file
 */
export async function explainModel(path: string, options: ExplainModelOptions): Promise<string> {
  const { device, inputs, chromeTrace, model } = options;
  if (chromeTrace !== undefined && inputs === undefined) {
    throw new UsageError("explain: --chrome-trace times launches of a model: add --inputs FILE");
  }
  checkReadable("explain", path);
  if (inputs !== undefined) checkReadable("explain: --inputs", inputs);
  const program = await readExportedProgram(path, { device, ...(model === undefined ? {} : { model }) });
  const graphs: [string, CompiledGraph][] = [];
  const call = (() => {
    using _ = onCompile(({ kind, graph }) => void graphs.push([kind, graph]));
    return compileExported(program, { device, options: { tier: "js" } });
  })();
  const parts = [`graph of ${program.name}`, graphToText(program.graph)];
  if (call.reason !== null) {
    const where = call.kind === "compiled" ? "compiled in parts" : "run node by node";
    parts.push("", `${where}: ${call.reason}`);
  }
  for (const [kind, graph] of graphs) parts.push(compiledToText(kind, graph));
  if (inputs === undefined) return parts.join("\n");
  const values = readInputs(
    program.userInputs.map(({ name, value }) => ({ name, text: valueToText(value), isTensor: isTensorMeta(value) })),
    inputs,
    device,
  );
  parts.push(measuredToText(
    () => {
      const run = compileExported(program, { device, mode: device === cpu ? "aot" : options.mode });
      return () => run(values);
    },
    device,
    chromeTrace ?? null,
  ));
  return parts.join("\n");
}
