/**
 * Settings read from the environment, once, and their programmatic twins.
 *
 * {@linkcode ENVIRONMENT} is the whole of Tessera's environment; the table in the documentation is generated from it.
 * Nothing else reads environment variables. Without `--allow-env` the defaults hold.
 */

/** Every environment variable that Tessera reads, with its meaning. */
export const ENVIRONMENT = {
  TESSERA_CACHE_DIR: "folder of the on-disk cache (default: the user's cache folder, `tessera`)",
  TESSERA_LOGS:
    "comma-separated: guards, graph_breaks, recompiles, graph, aot_graphs, loops, fusion, tile, output_code, autotune, perf_hints; prints these to standard error",
  TESSERA_TRACE:
    "folder that receives what TESSERA_LOGS would print, all of it, as numbered text files in a folder a process",
  TESSERA_DISABLE:
    "comma-separated stages to turn off, to bisect: fusion, inlining, cache, cpp, templates, reuse, verify, cuda_graphs, cuda_async, batch_norm_folding, constant_folding, split_joining, linear_merging, attention, layouts, autotune, dependent_launch",
  TESSERA_CUDA_PATH: "folder in which libcuda and nvrtc are looked for first",
  CXX: "C++ compiler command (default: g++, c++ or clang++, whichever is found)",
} as const;

/** Artefacts that can be logged. */
export type LogName =
  | "guards"
  | "graph_breaks"
  | "recompiles"
  | "graph"
  | "aot_graphs"
  | "loops"
  | "fusion"
  | "tile"
  | "output_code"
  | "autotune"
  | "perf_hints";

/** Stages that can be turned off. */
export type StageName =
  | "fusion"
  | "inlining"
  | "cache"
  | "cpp"
  | "templates"
  | "reuse"
  | "verify"
  | "cuda_graphs"
  | "cuda_async"
  | "batch_norm_folding"
  | "constant_folding"
  | "split_joining"
  | "linear_merging"
  | "attention"
  | "layouts"
  | "autotune"
  | "dependent_launch";

const LOG_NAMES: readonly LogName[] = [
  "guards",
  "graph_breaks",
  "recompiles",
  "graph",
  "aot_graphs",
  "loops",
  "fusion",
  "tile",
  "output_code",
  "autotune",
  "perf_hints",
];
const STAGE_NAMES: readonly StageName[] = [
  "fusion",
  "inlining",
  "cache",
  "cpp",
  "templates",
  "reuse",
  "verify",
  "cuda_graphs",
  "cuda_async",
  "batch_norm_folding",
  "constant_folding",
  "split_joining",
  "linear_merging",
  "attention",
  "layouts",
  "autotune",
  "dependent_launch",
];

/** How exact products of float32 are, as PyTorch names it. */
export type MatmulPrecision = "highest" | "high" | "medium";
const PRECISIONS: readonly MatmulPrecision[] = ["highest", "high", "medium"];

/** Where kernels of matrix products come from. */
export type AutotuneBackend = "generated" | "cublaslt" | "cudnn";

/** The settings in force. */
export interface Config {
  logs: ReadonlySet<LogName>;
  disabled: ReadonlySet<StageName>;
  traceDir: string | null;
  cacheDir: string | null;
  /** Run every IR's verifier after every pass; on in tests. */
  verify: boolean;
  /** How long `mode: "max-autotune"` may measure a graph, in milliseconds. */
  autotuneBudgetMs: number;
  /** What it may choose from: generated kernels, NVIDIA's cuBLASLt for products and cuDNN for convolutions where they are installed. */
  autotuneBackends: ReadonlySet<AutotuneBackend>;
  /** Whether products of float32 may round their operands: "highest" never, "high" and "medium" to tf32 where tensor cores have it. */
  float32MatmulPrecision: MatmulPrecision;
  /** Whether sums whose order would depend on timing are made in a fixed order, on devices where it matters. */
  deterministic: boolean;
  /** Build kernels with clocks around them: `tessera run --profile`. Nothing compiled so is cached. */
  profile: boolean;
}

/** Reads an environment variable; null if unset, empty or not permitted. */
export function readEnvironment(
  name:
    | keyof typeof ENVIRONMENT
    | "HOME"
    | "XDG_CACHE_HOME"
    | "LOCALAPPDATA"
    | "PATH"
    | "LD_LIBRARY_PATH"
    | "VIRTUAL_ENV",
): string | null {
  try {
    const value = Deno.env.get(name);
    return value === undefined || value === "" ? null : value;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) return null;
    throw error;
  }
}

function parseList<T extends string>(name: keyof typeof ENVIRONMENT, known: readonly T[]): ReadonlySet<T> {
  const text = readEnvironment(name);
  const out = new Set<T>();
  for (const part of (text ?? "").split(",").map((s) => s.trim()).filter((s) => s !== "")) {
    const found = known.find((k) => k === part);
    if (found === undefined) throw new RangeError(`${name}: "${part}" is not known: use some of ${known.join(", ")}`);
    out.add(found);
  }
  return out;
}

function initial(): Config {
  return {
    logs: parseList("TESSERA_LOGS", LOG_NAMES),
    disabled: parseList("TESSERA_DISABLE", STAGE_NAMES),
    traceDir: readEnvironment("TESSERA_TRACE"),
    cacheDir: readEnvironment("TESSERA_CACHE_DIR"),
    verify: false,
    profile: false,
    autotuneBudgetMs: 30_000,
    autotuneBackends: new Set<AutotuneBackend>(["generated", "cublaslt", "cudnn"]),
    float32MatmulPrecision: "highest",
    deterministic: false,
  };
}

let current: Config | null = null;

/** The settings in force now. */
export function config(): Config {
  return current ??= initial();
}

/**
 * Changes settings until the returned object is disposed.
 *
 * @example
 * ```ts
 * import { withConfig } from "@tessera/tessera";
 * {
 *   using _ = withConfig({ verify: true });
 *   // every IR is verified in here
 * }
 * ```
 */
export function withConfig(changes: Partial<Config>): Disposable {
  const before = config();
  current = { ...before, ...changes };
  return {
    [Symbol.dispose](): void {
      current = before;
    },
  };
}

/**
 * Sets how exact products of float32 are from now on, as `torch.set_float32_matmul_precision`: "highest" (the default) keeps their bits, "high" and "medium" let
 * tensor cores round operands to tf32, on CUDA devices that have it. Convolutions follow it too. Functions that were compiled before are compiled anew.
 *
 * @throws {RangeError} for another word
 *
 * @example
 * ```ts
 * import { getFloat32MatmulPrecision, setFloat32MatmulPrecision } from "@tessera/tessera";
 * setFloat32MatmulPrecision("high");
 * console.assert(getFloat32MatmulPrecision() === "high");
 * setFloat32MatmulPrecision("highest");
 * ```
 */
export function setFloat32MatmulPrecision(precision: MatmulPrecision): void {
  if (!PRECISIONS.includes(precision)) {
    throw new RangeError(`setFloat32MatmulPrecision: "${String(precision)}" is none of ${PRECISIONS.join(", ")}`);
  }
  current = { ...config(), float32MatmulPrecision: precision };
}

/** How exact products of float32 are now. */
export function getFloat32MatmulPrecision(): MatmulPrecision {
  return config().float32MatmulPrecision;
}

/**
 * Sets whether results have the same bits each time, as `torch.use_deterministic_algorithms`: on CUDA, scatters (`index_add`, gradients of embeddings) then add
 * in the order of their indices instead of by atomics, which is slower. Everything else always gives the same bits. Functions that were compiled before are
 * compiled anew.
 *
 * @throws {TypeError} for what is no boolean
 *
 * @example
 * ```ts
 * import { areDeterministicAlgorithmsEnabled, useDeterministicAlgorithms } from "@tessera/tessera";
 * useDeterministicAlgorithms(true);
 * console.assert(areDeterministicAlgorithmsEnabled());
 * useDeterministicAlgorithms(false);
 * ```
 */
export function useDeterministicAlgorithms(on: boolean): void {
  if (typeof on !== "boolean") {
    throw new TypeError(`useDeterministicAlgorithms: expected true or false, got ${String(on)}`);
  }
  current = { ...config(), deterministic: on };
}

/** Whether results have the same bits each time. */
export function areDeterministicAlgorithmsEnabled(): boolean {
  return config().deterministic;
}

/** The settings that kernels depend on as a text for keys and guards; empty where all are as at the start. */
export function numericsKey(): string {
  const { float32MatmulPrecision: precision, deterministic } = config();
  return `${precision === "highest" ? "" : `/${precision}`}${deterministic ? "/deterministic" : ""}`;
}

/** Tells whether a stage is on. */
export function isStageEnabled(stage: StageName): boolean {
  return !config().disabled.has(stage);
}
