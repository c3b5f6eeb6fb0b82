// deno-lint-ignore-file no-console
/**
 * Whole models in halves on CUDA: the default, max-autotune with libraries among the candidates, and, with --generated, over generated kernels alone.
 *
 *     deno run -A bench/cuda_autotune.ts [resnet50 vit_base gpt2 bert] [--json] [--generated] [--budget SECONDS]
 *
 * Needs a GPU and nvrtc. Batches are those of the list of models: 32 images, 8 × 256 tokens. Results are compared with those of the default; times are medians of replays of
 * the recorded graph. Nothing is read from the disk cache but single kernels.
 */
import {
  compile,
  type CompileMode,
  device,
  float16,
  int64,
  type nn,
  noGrad,
  randint,
  randn,
  type Tensor,
  withConfig,
} from "../mod.ts";
import type { AutotuneBackend } from "../src/core/config.ts";
import { float32, onEvent } from "../src/core/mod.ts";
import { onCompile } from "../src/inductor/mod.ts";
import { choiceToText } from "../src/inductor/templates/cuda_choices.ts";
import { cudaContext, median } from "../src/runtime/cuda/mod.ts";
import type { CudaTier } from "../src/inductor/cuda_tier.ts";
import { onDevice } from "./on_device.ts";
import { bertBase } from "./models/zoo/bert.ts";
import { gpt2Small } from "./models/zoo/gpt2.ts";
import { resnet50 } from "./models/zoo/resnet.ts";
import { vitBase } from "./models/zoo/vit.ts";

interface Model {
  readonly forward: (x: Tensor) => Tensor;
  readonly input: Tensor;
}

const made = <M extends nn.Module>(make: () => M): M => onDevice(device("cuda"), make).to(float16).to("cuda").eval();
const image = (): Tensor => randn([32, 3, 224, 224], { device: "cuda" }).to(float16);
const ids = (vocabulary: number): Tensor => randint(3, vocabulary, [8, 256], { dtype: int64 }).cuda();

const MODELS: Readonly<Record<string, () => Model>> = {
  resnet50: () => {
    const model = made(resnet50);
    return { forward: (x) => model.forward(x), input: image() };
  },
  vit_base: () => {
    const model = made(vitBase);
    return { forward: (x) => model.forward(x), input: image() };
  },
  gpt2: () => {
    const model = made(gpt2Small);
    return { forward: (x) => model.forward(x), input: ids(50257) };
  },
  bert: () => {
    const model = made(bertBase);
    return { forward: (x) => model.forward(x)[0], input: ids(30522) };
  },
};

const SETTINGS: readonly (readonly [name: string, mode: CompileMode, backends: readonly AutotuneBackend[]])[] = [
  ["default", "default", []],
  ["max-autotune", "max-autotune", ["generated", "cublaslt", "cudnn"]],
  ["max-autotune, generated", "max-autotune", ["generated"]],
];

const context = cudaContext(0);
const budget = Number(Deno.args[Deno.args.indexOf("--budget") + 1]);
const limits = Deno.args.includes("--budget") ? { autotuneBudgetMs: 1000 * budget } : {};
const names = Deno.args.filter((a) => a in MODELS);
console.log(`${context.info.name}; milliseconds a call, compilation and measurements in seconds`);
for (const name of names.length > 0 ? names : Object.keys(MODELS)) {
  const started = performance.now();
  const { forward, input } = (MODELS[name] as () => Model)();
  console.log(`${name.padEnd(9)} made in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  let expected: Tensor | null = null;
  for (const [setting, mode, backends] of SETTINGS.slice(0, Deno.args.includes("--generated") ? 3 : 2)) {
    using _ = withConfig({ disabled: new Set(["cache"]), autotuneBackends: new Set(backends), ...limits });
    const tiers: CudaTier[] = [];
    const said: string[] = [];
    using _graphs = onCompile(({ graph }) => {
      if (graph.cuda !== null) tiers.push(graph.cuda);
    });
    using _events = onEvent(({ kind, message }) => {
      if (kind === "autotune") said.push(message);
    });
    const begin = performance.now();
    const f = compile((x: Tensor) => forward(x), { mode });
    const call = (): Tensor => noGrad(() => f(input));
    const result = call();
    context.synchronize();
    const seconds = (performance.now() - begin) / 1000;
    for (let i = 0; i < 5; i++) call();
    const times = Array.from({ length: 30 }, () => {
      using start = context.stream.record({ timing: true });
      call();
      using end = context.stream.record({ timing: true });
      end.synchronize();
      return end.millisecondsSince(start);
    });
    // On the device: a language model's results are a hundred million numbers.
    const wide = result.to(float32);
    expected ??= wide;
    const off = (wide.sub(expected).abs().max().item() as number) / (expected.abs().max().item() as number);
    console.log(
      `${name.padEnd(9)} ${setting.padEnd(24)} ${median(times).toFixed(3).padStart(8)} ms  compiled in ${
        seconds.toFixed(1).padStart(5)
      } s  differs by ${off.toExponential(1)}${off < 0.05 ? "" : "  WRONG"}  ${said.at(-1) ?? ""}`,
    );
    const chosen = new Map<string, number>();
    for (const { choice } of tiers.flatMap((t) => t.tuned)) {
      const way = choiceToText(choice);
      chosen.set(way, (chosen.get(way) ?? 0) + 1);
    }
    if (chosen.size > 0) console.log(`          ${[...chosen].map(([way, n]) => `${n} × ${way}`).join("; ")}`);
    if (Deno.args.includes("--json")) { for (const line of said) console.log(`          ${line}`); }
  }
}
