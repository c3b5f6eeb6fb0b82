/**
 * A host plan as CUDA modules and launches.
 *
 * Kernels of equal text are one function. Functions are spread over modules of a few each, so that they compile side by side; each module brings
 * the parts of the prelude that it needs. No name of a graph reaches the text.
 */
import { InternalError, log } from "../../../core/mod.ts";
import type { BufferRef } from "../../../loops/mod.ts";
import type { HostPlan, LaunchStep } from "../../host_plan.ts";
import { emitCudaAttention } from "../../templates/cuda_attention.ts";
import { emitCudaContraction } from "../../templates/cuda_contraction.ts";
import { lowerGroup } from "../../tile/lower_group.ts";
import { tileToText } from "../../tile/print.ts";
import type { Kernel, TileKernel } from "../../tile/tile_ir.ts";
import { userLine } from "../../groups.ts";
import { verifyWhenAsked } from "../../tile/verify.ts";
import { emitAlgorithm } from "./algorithms/mod.ts";
import ELEMENTWISE from "./algorithms/cuda_elementwise.cuh" with { type: "text" };
import FOURIER from "./algorithms/cuda_fourier.cuh" with { type: "text" };
import GROUPED from "./algorithms/cuda_grouped.cuh" with { type: "text" };
import LINEAR from "./algorithms/cuda_linear.cuh" with { type: "text" };
import RAGGED from "./algorithms/cuda_ragged.cuh" with { type: "text" };
import RAGGED_HOPPER from "./algorithms/cuda_ragged_hopper.cuh" with { type: "text" };
import SEARCH from "./algorithms/cuda_search.cuh" with { type: "text" };
import SPECTRAL from "./algorithms/cuda_spectral.cuh" with { type: "text" };
import SORT from "./algorithms/cuda_sort.cuh" with { type: "text" };
import BLOCKS from "./blocks/cuda_blocks.cuh" with { type: "text" };
import BLOCK_GROUPS from "./blocks/cuda_groups.cuh" with { type: "text" };
import { emitCudaBlocks } from "./blocks/emit.ts";
import COLLECTIVES from "./collectives.cuh" with { type: "text" };
import { backwardSteps } from "./directions.ts";
import { emitForeach } from "./emit_foreach.ts";
import { emitForeachSums } from "./emit_foreach_sums.ts";
import { CUDA_TARGET, emitCudaTile } from "./emit_tile.ts";
import type { CudaInclude, CudaKernelText, EmitContext } from "./kernel_text.ts";
import type { CudaLaunch, CudaModules, CudaModuleText, CudaOptions, CudaStep } from "./launch.ts";
import PRELUDE from "./prelude.cuh" with { type: "text" };
import ROW_CLUSTER from "./row_cluster.cuh" with { type: "text" };
import RUNS from "./runs.cuh" with { type: "text" };
import FLASH from "../../templates/cuda_flash.cuh" with { type: "text" };
import FLASH_BACKWARD from "../../templates/cuda_flash_backward.cuh" with { type: "text" };
import HALVES from "../../templates/cuda_halves.cuh" with { type: "text" };
import ATTENTION from "../../templates/cuda_attention.cuh" with { type: "text" };
import CLUSTER from "../../templates/cuda_cluster.cuh" with { type: "text" };
import HOPPER from "../../templates/cuda_hopper.cuh" with { type: "text" };
import MMA from "../../templates/cuda_mma.cuh" with { type: "text" };

const INCLUDES: Readonly<Record<CudaInclude, string>> = {
  collectives: COLLECTIVES,
  sort: SORT,
  fourier: FOURIER,
  search: SEARCH,
  elementwise: ELEMENTWISE,
  linear: LINEAR,
  spectral: SPECTRAL,
  mma: MMA,
  grouped: GROUPED,
  blocks: BLOCKS,
  hopper: HOPPER,
  cluster: CLUSTER,
  runs: RUNS,
  row_cluster: ROW_CLUSTER,
  block_groups: BLOCK_GROUPS,
  halves: HALVES,
  attention: ATTENTION,
  ragged: RAGGED,
  flash: FLASH,
  ragged_hopper: RAGGED_HOPPER,
  flash_backward: FLASH_BACKWARD,
};
/** The parts in an order in which each knows what it uses. */
const INCLUDE_ORDER = Object.keys(INCLUDES) as readonly CudaInclude[];
/** Characters of kernels that a module holds before the next is begun. */
const MODULE_SIZE = 12_000;

/** Where the calls of a library are: in no module. */
const LIBRARY = { module: -1, name: "cublaslt" } as const;

/** The options that nvrtc needs for generated text: functions that say nothing, as generic lambdas, are the device's. */
export const CUDA_FLAGS: readonly string[] = ["--device-as-default-execution-space"];

/** The name of an architecture for which text is compiled: features of that chip alone are used where there are any. */
export function architectureName(arch: number): string {
  return arch === 90 || arch === 100 ? `sm_${arch}a` : `sm_${arch}`;
}

/**
 * The whole text of one kernel. It may be launched while the kernel ahead of it still runs, so it touches no memory before it has waited. No thread leaves without having
 * waited: a kernel that has ended therefore says that all kernels before it have, which is what the wait of the next one relies on, as whoever waits knows of the kernel before
 * alone.
 */
export function kernelSource(name: string, text: CudaKernelText): string {
  const threads = text.block[0] * text.block[1] * text.block[2];
  const bounds = text.blocksEach === undefined ? `${threads}` : `${threads}, ${text.blocksEach}`;
  const begin = text.waits === true ? "" : "tsr_wait_previous();\n";
  return `extern "C" __global__ void __launch_bounds__(${bounds}) ${name}(${text.parameters}) {\n${begin}${text.body}\n}\n`;
}

/** A module's text from its kernels. */
export function moduleSource(includes: ReadonlySet<CudaInclude>, functions: readonly string[]): string {
  const parts = INCLUDE_ORDER.filter((name) => includes.has(name));
  return [PRELUDE, ...parts.map((name) => INCLUDES[name]), ...functions].join("\n");
}

/** Emits one kernel. */
export function emitCudaKernel(kernel: Kernel, context: EmitContext): CudaKernelText[] {
  if (kernel.kind === "attention") return [emitCudaAttention(kernel, context)];
  if (kernel.kind === "blocks") return [emitCudaBlocks(kernel, context)];
  return kernel.kind === "tile" ? emitCudaTile(kernel, context) : emitCudaContraction(kernel, context);
}

/** A module that is complete while others are not. */
export interface EmittedModule extends CudaModuleText {
  /** Its place among all modules. */
  readonly index: number;
}

class Modules {
  readonly #known = new Map<string, { readonly module: number; readonly name: string }>();
  readonly #open: { includes: Set<CudaInclude>; texts: string[]; names: string[]; size: number }[] = [];
  #count = 0;
  /** Modules that take no more kernels and were not taken yet. */
  #closed: number[] = [];

  add(text: CudaKernelText): { readonly module: number; readonly name: string } {
    const key = kernelSource("@", text);
    let found = this.#known.get(key);
    if (found !== undefined) return found;
    const heavy = text.includes.has("mma") || text.includes.has("hopper");
    let at = this.#open.findIndex((m) =>
      m.size < MODULE_SIZE && !heavy && !m.includes.has("mma") && !m.includes.has("hopper")
    );
    if (at < 0) {
      at = this.#open.length;
      this.#open.push({ includes: new Set(), texts: [], names: [], size: 0 });
    }
    const module = this.#open[at];
    if (module === undefined) throw new InternalError("no module");
    const name = `k${this.#count++}`;
    if (text.support !== undefined && !module.texts.includes(text.support)) module.texts.push(text.support);
    module.texts.push(kernelSource(name, text));
    module.names.push(name);
    module.size += key.length;
    for (const include of text.includes) module.includes.add(include);
    if (heavy || module.size >= MODULE_SIZE) this.#closed.push(at);
    found = { module: at, name };
    this.#known.set(key, found);
    return found;
  }

  /** What has become complete since this was last asked. */
  takeClosed(): EmittedModule[] {
    const closed = this.#closed.map((index) => ({ index, ...this.#text(index) }));
    this.#closed = [];
    return closed;
  }

  finish(): CudaModuleText[] {
    return this.#open.map((_, index) => this.#text(index));
  }

  #text(index: number): CudaModuleText {
    const module = this.#open[index];
    if (module === undefined) throw new InternalError("no module");
    return { source: moduleSource(module.includes, module.texts), functions: module.names };
  }
}

function originOf(step: LaunchStep): string {
  const names = step.group.origins.map((node) => node.op === "call" ? node.target.schema.name : node.name);
  const line = userLine(step.group);
  return `${[...new Set(names)].join(" + ")}${line === null ? "" : ` at ${line}`}`;
}

/** Inputs and attributes of a plan that writes to none of them: where one is updated in place, another may be a view of it. */
function fixedBuffers({ slots, steps }: HostPlan): ReadonlySet<BufferRef> {
  const given = new Set(slots.flatMap((s) => s.kind === "input" || s.kind === "attribute" ? [s.buffer] : []));
  const updates = slots.some((s) => s.kind === "donated") ||
    steps.some((step) => step.writes.some((buffer) => given.has(buffer)));
  return updates ? new Set() : given;
}

/** Emits a whole plan. */
export function emitCudaModules(plan: HostPlan, options: CudaOptions & Pick<EmitContext, "choose">): CudaModules {
  const emission = cudaEmission(plan, options);
  for (;;) {
    const next = emission.next();
    if (next.done === true) return next.value;
  }
}

/** Emits a plan bit by bit: yields each module as soon as it is complete, so that it can be compiled meanwhile; returns the whole. */
export function* cudaEmission(
  plan: HostPlan,
  options: CudaOptions & Pick<EmitContext, "choose">,
): Generator<EmittedModule, CudaModules, void> {
  const modules = new Modules();
  let scratch = 0;
  const fixed = fixedBuffers(plan);
  const directions = backwardSteps(plan);
  const steps: CudaStep[] = [];
  for (const [at, step] of plan.steps.entries()) {
    const shared = new Set<BufferRef>(step.aliases.flat());
    const backwards = directions[at] === true;
    const context: EmitContext = { ...options, shared, fixed, backwards, scratchId: () => (scratch += 2) - 2 };
    const origin = originOf(step);
    const algorithm = step.group.kind === "host" ? emitAlgorithm(step.group, context) : [];
    if (step.group.kind === "host" && algorithm === null) {
      steps.push({ kind: "host", group: step.group });
      continue;
    }
    const kernels = step.group.kind === "host" ? [] : lowerGroup(step.group, CUDA_TARGET);
    for (const kernel of kernels) {
      verifyWhenAsked(kernel);
      log("tile", () => `${kernel.name} (CUDA)\n${tileToText(kernel)}`);
    }
    const tiles = kernels.filter((kernel): kernel is TileKernel => kernel.kind === "tile");
    const updates = step.group.kind === "foreach" ? emitForeach(tiles, context) : null;
    const sums = updates === null ? null : emitForeachSums(updates.rest, context);
    const texts = [
      ...algorithm ?? [],
      ...updates?.joined ?? [],
      ...sums?.joined ?? [],
      ...(sums?.rest ?? kernels).flatMap((kernel) => emitCudaKernel(kernel, context)),
    ];
    const launches = texts.map((text): CudaLaunch => {
      const { module, name } = text.library === undefined ? modules.add(text) : LIBRARY;
      return {
        module,
        function: name,
        args: text.args,
        grid: text.grid,
        block: text.block,
        ...(text.cluster === undefined ? {} : { cluster: text.cluster }),
        sharedBytes: text.sharedBytes,
        ...(text.library === undefined ? {} : { library: text.library }),
        waits: text.library === undefined,
        early: text.early ?? [],
        origin,
      };
    });
    steps.push({ kind: "launches", launches });
    yield* modules.takeClosed();
  }
  return { modules: modules.finish(), steps, flags: CUDA_FLAGS, architecture: architectureName(options.arch) };
}
