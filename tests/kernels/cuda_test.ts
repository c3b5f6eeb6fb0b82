/** The tutorials' kernels on "cuda", on an emulated device where there is none. */
import { type StageName, withConfig } from "../../src/core/mod.ts";
import { emulateCuda } from "../runtime/cuda/emulator/mod.ts";
import { check, tutorials } from "./tutorials.ts";

const reason = emulateCuda();

Deno.test({
  name: `the tutorials' kernels are right on "cuda"${reason === null ? "" : ` [skipped: ${reason}]`}`,
  ignore: reason !== null,
  sanitizeResources: false,
  sanitizeOps: false,
  fn: () => {
    // An emulated device has no fastest configuration.
    using _ = withConfig({ verify: true, disabled: new Set<StageName>(["autotune"]) });
    for (const t of tutorials()) check(t, (x) => x.cuda());
  },
});
