/**
 * The ways in which a contraction can run on CUDA: templates with their tiles, cuBLASLt, epilogues inside or apart.
 *
 * Enters: a contraction in tile IR. Leaves: {@linkcode ContractionChoice}, plain data that can be measured, remembered and read back, and the kernels of one. What a cost model
 * would take comes first.
 */
import type { LibraryAlgorithms } from "../../runtime/cuda/mod.ts";
import type { CudaKernelText, EmitContext } from "../codegen/cuda/kernel_text.ts";
import type { ContractionKernel } from "../tile/tile_ir.ts";
import { clusterWays, emitClusterContraction } from "./cuda_cluster.ts";
import type { ClusterShape } from "./cuda_cluster_plan.ts";
import { emitHopperContraction } from "./cuda_hopper.ts";
import { type HopperShape, type Prepared, prepareHopper, shapesOf } from "./cuda_hopper_plan.ts";
import { emitContractionTemplate, mmaTilings } from "./cuda_contraction.ts";
import { libraryProduct, libraryText } from "./cuda_library.ts";
import { convolutionText, libraryConvolution } from "./cuda_library_convolution.ts";
import { splitContraction } from "./cuda_sums.ts";
import { turnOperands } from "./cuda_turned.ts";

/** One way. `apart`: the epilogue is a kernel of its own. */
export type ContractionChoice =
  | { readonly template: "hopper"; readonly shape: HopperShape; readonly apart: boolean }
  | { readonly template: "cluster"; readonly shape: ClusterShape; readonly apart: boolean }
  | {
    readonly template: "mma";
    readonly m: number;
    readonly n: number;
    readonly pieces: number;
    readonly apart: boolean;
  }
  | { readonly template: "plain"; readonly apart: boolean }
  | { readonly template: "model" }
  | { readonly template: "cublaslt" | "cudnn"; readonly algorithm: number; readonly apart: boolean };

/** A choice in a few words. */
export function choiceToText(choice: ContractionChoice): string {
  const apart = "apart" in choice && choice.apart ? ", epilogue apart" : "";
  switch (choice.template) {
    case "hopper": {
      const { m, n, pieces, tail, turns, mates } = choice.shape;
      const shared = pieces === 1
        ? ""
        : `${tail ? ", last tiles" : ", k"} ${pieces === 0 ? "by steps" : `in ${pieces}`}`;
      return `wgmma ${m}×${n}${shared}${turns ? " in turns" : ""}${mates ? " in pairs" : ""}${apart}`;
    }
    case "cluster": {
      const { m, n, pieces } = choice.shape;
      return `wgmma ${m}×${n} in one round${pieces === 1 ? "" : `, k in clusters of ${pieces}`}${apart}`;
    }
    case "mma":
      return `mma ${choice.m}×${choice.n}${choice.pieces === 1 ? "" : `, k in ${choice.pieces}`}${apart}`;
    case "plain":
      return `plain arithmetic${apart}`;
    case "model":
      return "cost model";
    case "cublaslt":
      return `cuBLASLt ${choice.algorithm}${apart}`;
    case "cudnn":
      return `cuDNN ${choice.algorithm}${apart}`;
    default:
      return choice satisfies never;
  }
}

/** A choice from a file; null if it is none. */
export function readChoice(value: unknown): ContractionChoice | null {
  if (typeof value !== "object" || value === null) return null;
  const { template, shape, apart, m, n, pieces, algorithm } = value as Record<string, unknown>;
  const whole = (x: unknown, most: number): x is number => Number.isInteger(x) && Number(x) >= 0 && Number(x) <= most;
  if (template === "model") return { template };
  if (typeof apart !== "boolean") return null;
  if (template === "plain") return { template, apart };
  if ((template === "cublaslt" || template === "cudnn") && whole(algorithm, 63)) return { template, algorithm, apart };
  if (template === "mma" && whole(m, 256) && whole(n, 256) && whole(pieces, 64)) {
    return { template, m, n, pieces, apart };
  }
  if ((template !== "hopper" && template !== "cluster") || typeof shape !== "object" || shape === null) return null;
  const { m: height, n: columns, pieces: parts, tail, turns, mates } = shape as Record<string, unknown>;
  if (!whole(height, 256) || !whole(columns, 256) || !whole(parts, 64)) return null;
  const cut = { m: height, n: columns, pieces: parts };
  if (template === "cluster") {
    return { template, shape: cut, apart };
  }
  return typeof tail === "boolean" && typeof turns === "boolean" && typeof mates === "boolean"
    ? { template, shape: { ...cut, tail, turns, mates }, apart }
    : null;
}

/** How many shapes of a template are worth measuring. */
const SHAPES = 8;
const ONE_ROUND = 5;

function turnedPrepared(kernel: ContractionKernel, context: EmitContext): Prepared | null {
  const turned = turnOperands(kernel, context);
  return turned === null ? null : prepareHopper(turned.kernel, context);
}

/** What can be measured for a contraction, likely ones first. `algorithms`: how many of each library's. */
export function contractionChoices(
  kernel: ContractionKernel,
  context: EmitContext,
  { cublaslt = 0, cudnn = 0 }: Partial<LibraryAlgorithms> = {},
): ContractionChoice[] {
  const out: ContractionChoice[] = [];
  const tf32 = context.allowTf32 === true;
  const prepared = prepareHopper(kernel, context) ?? turnedPrepared(kernel, context);
  const hasEpilogue = kernel.epilogue.body.length > 3;
  const sums = (): ContractionKernel => splitContraction(kernel, 0).sums;
  if (prepared !== null) {
    const shapes = shapesOf(prepared, context).slice(0, SHAPES);
    const ways = [
      ...shapes.map(({ shape, cost }) => ({ choice: { template: "hopper", shape, apart: false } as const, cost })),
      ...clusterWays(kernel, context).slice(0, ONE_ROUND).map(({ shape, cost }) => ({
        choice: { template: "cluster", shape, apart: false } as const,
        cost,
      })),
    ].sort((x, y) => x.cost - y.cost);
    for (const { choice } of ways) out.push(choice);
    const [first] = shapes;
    if (hasEpilogue && first !== undefined) out.push({ template: "hopper", shape: first.shape, apart: true });
  }
  const tilings = mmaTilings(kernel, context);
  for (const { m, n, pieces } of tilings.slice(0, prepared === null ? 5 : 2)) {
    out.push({ template: "mma", m, n, pieces, apart: false });
  }
  if (prepared === null && tilings.length === 0) out.push({ template: "plain", apart: false });
  const whole = libraryProduct(kernel, tf32) !== null;
  const parts = !whole && hasEpilogue && libraryProduct(sums(), tf32) !== null;
  for (let algorithm = 0; algorithm < (whole || parts ? cublaslt : 0); algorithm++) {
    out.push({ template: "cublaslt", algorithm, apart: parts });
  }
  // What is a plain product is cuBLASLt's.
  if (cudnn === 0 || whole) return out;
  const inside = libraryConvolution(kernel) !== null;
  if (!inside && (!hasEpilogue || libraryConvolution(sums()) === null)) return out;
  for (let algorithm = 0; algorithm < cudnn; algorithm++) {
    out.push({ template: "cudnn", algorithm, apart: !inside });
  }
  return out;
}

/** The kernels of a choice; null where it does not fit the contraction. */
export function emitChoice(
  kernel: ContractionKernel,
  choice: ContractionChoice,
  context: EmitContext,
): CudaKernelText[] | null {
  if (choice.template === "model") return null;
  if (choice.apart) {
    const split = splitContraction(kernel, context.scratchId());
    const product = emitChoice(split.sums, { ...choice, apart: false }, context);
    return product === null ? null : [...split.placed(product), ...split.epilogue(context)];
  }
  switch (choice.template) {
    case "hopper": {
      const turned = turnOperands(kernel, context);
      if (turned !== null) {
        const product = emitChoice(turned.kernel, choice, context);
        return product === null ? null : turned.placed(product);
      }
      const prepared = prepareHopper(kernel, context);
      const { m, n, pieces, tail, turns, mates } = choice.shape;
      const known = prepared !== null &&
        shapesOf(prepared, context).some(({ shape: s }) =>
          s.m === m && s.n === n && s.pieces === pieces && s.tail === tail && s.turns === turns && s.mates === mates
        );
      const text = known ? emitHopperContraction(kernel, context, choice.shape) : null;
      return text === null ? null : [text];
    }
    case "cluster": {
      const { m, n, pieces } = choice.shape;
      const known = clusterWays(kernel, context).some(({ shape: s }) => s.m === m && s.n === n && s.pieces === pieces);
      const text = known ? emitClusterContraction(kernel, context, choice.shape) : null;
      return text === null ? null : [text];
    }
    case "mma": {
      const tiling = mmaTilings(kernel, context).find((t) =>
        t.m === choice.m && t.n === choice.n && t.pieces === choice.pieces
      );
      return tiling === undefined ? null : emitContractionTemplate(kernel, context, tiling);
    }
    case "plain":
      return mmaTilings(kernel, context).length > 0 ? null : emitContractionTemplate(kernel, context);
    case "cublaslt": {
      const product = libraryProduct(kernel, context.allowTf32 === true, choice.algorithm);
      return product === null ? null : [libraryText(product, context)];
    }
    case "cudnn": {
      const convolution = libraryConvolution(kernel, choice.algorithm);
      return convolution === null ? null : [convolutionText(convolution, context)];
    }
    default:
      return choice satisfies never;
  }
}
