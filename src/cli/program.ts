/**
 * The commands and their options.
 *
 * Thin: commands find what they work on, call the layer that does it, and print. Exit codes: 0 done, 1 failed with a message on
 * standard error, 2 bad usage.
 */
import { Command, CommanderError, Option } from "commander";
import config from "../../deno.json" with { type: "json" };
import { ENVIRONMENT } from "../core/mod.ts";
import { diskCache } from "../runtime/mod.ts";
import { entriesText, statsText } from "./cache.ts";
import { examine, reportText } from "./doctor.ts";
import { loadTarget } from "./explain.ts";
import { deviceOf, modeOf } from "./mode.ts";
import { EXIT, print, printError, UsageError } from "./output.ts";
import { checkReadable, checkWritable } from "./paths.ts";
import type { RunFlags } from "./run.ts";
import { endWithInput, HANDED_OVER } from "./hand_over.ts";

/** Builds the program; `exit` receives the code of commands that fail without an error. */
function makeProgram(exit: (code: number) => void): Command {
  const program = new Command("tessera")
    .description("Captures, compiles and runs programs on tensors.")
    .version(config.version)
    .showHelpAfterError("(tessera --help shows what there is)")
    .configureOutput({ writeOut: (text) => print(text.trimEnd()), writeErr: (text) => printError(text.trimEnd()) })
    .exitOverride()
    .addHelpText(
      "after",
      `
Examples:
  deno task tessera doctor                         what works on this machine
  deno task tessera explain examples/mlp.ts#model  what a function compiles to
  deno task tessera run model.pt2 --inputs in.safetensors --bench 20
  deno task tessera cache stats                    what is kept on disk

Environment:
${Object.entries(ENVIRONMENT).map(([name, text]) => `  ${name.padEnd(20)} ${text}`).join("\n")}

Exit codes: 0 done, 1 failed, 2 bad usage.`,
    );

  program.command("doctor")
    .description("tell what works here, what does not, and what mends it")
    .addOption(new Option("--json", "print one JSON object"))
    .addHelpText(
      "after",
      `
Examples:
  deno task tessera doctor
  deno task tessera doctor --json | jq .checks
  CXX=clang++ deno task tessera doctor`,
    )
    .action((options: { readonly json?: boolean }) => {
      const report = examine();
      print(options.json === true ? JSON.stringify(report) : reportText(report));
      if (!report.ok) exit(EXIT.failed);
    });

  program.command("explain")
    .argument(
      "<script>",
      "a module and the name of its function, SCRIPT#EXPORT (default export without #), or a .pt2 file",
    )
    .description("show the graphs, breaks, guards and kernels of a function or an exported model")
    .option("--device <device>", "cpu or cuda: where the inputs are moved to", "cpu")
    .option(
      "--mode <mode>",
      "on cuda: default, reduce-overhead or max-autotune, which tells what it measured",
      "default",
    )
    .option("--model <name>", "of a .pt2 file: which model, if it holds several")
    .option("--inputs <file>", "of a .pt2 file: safetensors file as run takes it; launches are timed with it")
    .option("--chrome-trace <file>", "run it, and write its launches as a trace that Perfetto opens")
    .addHelpText(
      "after",
      `
The module exports the function and its inputs, an array or a function that makes one:
  export const inputs = () => [randn([8, 4])];
  export const model = (x: Tensor) => x.relu().sum();

Examples:
  deno task tessera explain script.ts#model
  deno task tessera explain script.ts
  deno task tessera explain script.ts --device cuda    with the time of each kernel
  deno task tessera explain model.pt2
  deno task tessera explain model.pt2 --inputs in.safetensors    with the time of each kernel
  deno task tessera explain script.ts --chrome-trace trace.json`,
    )
    .action(async (
      script: string,
      options: {
        readonly device: string;
        readonly mode: string;
        readonly model?: string;
        readonly inputs?: string;
        readonly chromeTrace?: string;
      },
    ) => {
      const where = deviceOf("explain", options.device);
      const mode = modeOf("explain", options.mode);
      const { model, inputs, chromeTrace } = options;
      if (chromeTrace !== undefined) checkWritable("explain: --chrome-trace", chromeTrace);
      if (script.endsWith(".pt2")) {
        const { explainModel } = await import("./explain_model.ts");
        const given = {
          ...(model === undefined ? {} : { model }),
          ...(inputs === undefined ? {} : { inputs }),
          ...(chromeTrace === undefined ? {} : { chromeTrace }),
        };
        print(await explainModel(script, { device: where, mode, ...given }));
        return;
      }
      if (model !== undefined || inputs !== undefined) {
        const flag = model === undefined ? "--inputs" : "--model";
        throw new UsageError(`explain: ${flag} is for .pt2 files; a script exports its function and inputs`);
      }
      const target = await loadTarget(script);
      const { explainTarget } = await import("./explain_target.ts");
      print(explainTarget(target, where, chromeTrace ?? null, mode));
    });

  program.command("inspect")
    .argument("<model>", "a .pt2 file")
    .description("list operators, parameters, sizes, dynamic dimensions, and what is unsupported and where it stands")
    .option("--model <name>", "which model of the file, if it holds several")
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      `
Examples:
  deno task tessera inspect model.pt2
  deno task tessera inspect model.pt2 --json | jq .unsupported`,
    )
    .action(async (path: string, options: { readonly model?: string; readonly json?: boolean }) => {
      checkReadable("inspect", path);
      const { inspectModel, inspectToText } = await import("../export/mod.ts");
      const report = await inspectModel(path, options.model === undefined ? {} : { model: options.model });
      print(options.json === true ? JSON.stringify(report) : inspectToText(report));
    });

  program.command("run")
    .argument("<model>", "a .pt2 file")
    .description("compile a model and run it on inputs from a file")
    .option("--inputs <file>", "safetensors file with input_0, input_1, … in the order of the flattened inputs")
    .option("--outputs <file>", "safetensors file to write, with output_0, …")
    .option("--device <device>", "cpu, cuda or cuda:1", "cpu")
    .option("--backend <name>", "inductor, aot_eager, eager or reference", "inductor")
    .option("--mode <mode>", "default, reduce-overhead, max-autotune or aot", "default")
    .option("--dtype <dtype>", "run in another float dtype than the model was exported in")
    .option("--bench <calls>", "time this many calls after warming up")
    .option("--model <name>", "which model of the file, if it holds several")
    .option("--profile", "with --bench: time each launch, and list those that take longest")
    .option("--chrome-trace <file>", "with --profile: write the launches as a trace that Perfetto opens")
    .option("--json", "print one JSON object as the last line")
    .addOption(new Option("--hand-over").hideHelp())
    .addHelpText(
      "after",
      `
Examples:
  deno task tessera run model.pt2 --inputs in.safetensors --outputs out.safetensors
  deno task tessera run model.pt2 --inputs in.safetensors --bench 20 --json`,
    )
    .action(async (path: string, options: RunFlags & { readonly json?: boolean }) => {
      const { loadRun } = await import("./load_run.ts");
      const { runModel, runWithProfileToText } = await loadRun();
      if (options.handOver === true) endWithInput();
      const report = await runModel(path, options);
      const { handedOver } = report;
      if (handedOver) exit(HANDED_OVER);
      print(options.json === true || handedOver ? JSON.stringify(report) : runWithProfileToText(report));
    });

  const cache = program.command("cache")
    .description("list, measure or clear the compiled code that is kept on disk")
    .addHelpText(
      "after",
      `
Examples:
  deno task tessera cache list
  deno task tessera cache stats --json
  TESSERA_CACHE_DIR=/tmp/cache deno task tessera cache clear`,
    );
  cache.command("list")
    .description("list entries, the most recently used first")
    .option("--json", "print one JSON array")
    .action((options: { readonly json?: boolean }) => {
      const entries = diskCache().entries();
      print(options.json === true ? JSON.stringify(entries) : entriesText(entries));
    });
  cache.command("stats")
    .description("tell folder, number and size of entries")
    .option("--json", "print one JSON object")
    .action((options: { readonly json?: boolean }) => {
      const store = diskCache();
      const stats = store.stats();
      print(options.json === true ? JSON.stringify(stats) : statsText(stats, store.entries()));
    });
  cache.command("clear")
    .description("remove all entries")
    .action(() => {
      const store = diskCache();
      const removed = store.clear();
      print(`removed ${removed} ${removed === 1 ? "entry" : "entries"} from ${store.directory}`);
    });
  return program;
}

/** Runs the command line and returns the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  let code: number = EXIT.ok;
  const program = makeProgram((c) => code = c);
  if (args.length === 0) {
    printError(program.helpInformation().trimEnd());
    return EXIT.usage;
  }
  try {
    await program.parseAsync([...args], { from: "user" });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    printError(`tessera: ${error instanceof Error ? error.message : String(error)}`);
    return error instanceof UsageError ? EXIT.usage : EXIT.failed;
  }
}
