/**
 * Runs a model that PyTorch exported: `torch.export.save(torch.export.export(model, args), "model.pt2")`, then
 * `deno run -A examples/exported_model.ts model.pt2 [--device cuda]`. Inputs are random; the shapes of the results are printed.
 */
import { parseArgs } from "node:util";
import { compileExported, float32, randn, readExportedProgram, Tensor, zeros } from "../mod.ts";
import { print } from "./digits/progress.ts";

const { positionals: [path = "model.pt2"], values: { device } } = parseArgs({
  allowPositionals: true,
  options: { device: { type: "string", default: "cpu" } },
});
const program = await readExportedProgram(path, { device }).catch((error: Error) => {
  Deno.stderr.writeSync(new TextEncoder().encode(`${path}: ${error.message}\n`));
  Deno.exit(1);
});
const run = compileExported(program);
const inputs = program.userInputs.map(({ value }) => {
  if (typeof value !== "object" || value === null || !("dtype" in value)) throw new TypeError("an input is no tensor");
  const shape = value.shape.map((size) => typeof size === "number" ? size : 2); // a dynamic size may be any
  return value.dtype === float32 ? randn(shape, { device }) : zeros(shape, { dtype: value.dtype, device });
});
await run.ready();
for (const y of run(inputs)) if (y instanceof Tensor) print(`${y.dtype.name} [${y.shape.join(", ")}]`);
