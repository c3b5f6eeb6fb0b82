/**
 * What is done to the graph of a program whose parameters are known, before it is lowered: a straight list of passes.
 *
 * Enters: a graph of inference, not yet functional, and the tensors behind its attributes. Each pass rewrites in place and returns how much it changed; each is a stage
 * of `TESSERA_DISABLE`. Invariant: the graph computes what it did, as long as {@linkcode FrozenConstants.refresh} is asked before each run.
 */
import { config, cpu, isStageEnabled, log, type StageName } from "../../core/mod.ts";
import { type Graph, isTensorMeta, type Node, rewriteDeadCode, verifyGraph, writtenNodes } from "../../graph/mod.ts";
import { findToolchain } from "../../runtime/cpu/mod.ts";
import type { Tensor } from "../../tensor/mod.ts";
import { batchLinears } from "./batched_linears.ts";
import { einsumProducts } from "./einsum_products.ts";
import { findAttention } from "./find_attention.ts";
import { foldBatchNorm } from "./fold_batch_norm.ts";
import { foldConstants } from "./fold_constants.ts";
import { FrozenConstants } from "./frozen.ts";
import { joinSplits } from "./join_splits.ts";
import { mergeLinears } from "./merge_linears.ts";
import { packWeights } from "./pack_weights.ts";
import { padChannels } from "./pad_channels.ts";
import { padRows } from "./pad_rows.ts";
import { numberPadding } from "./same_padding.ts";
import { splitScores } from "./split_scores.ts";

export { batchLinears } from "./batched_linears.ts";
export { einsumProducts } from "./einsum_products.ts";
export { findAttention } from "./find_attention.ts";
export { foldBatchNorm } from "./fold_batch_norm.ts";
export { foldConstants } from "./fold_constants.ts";
export { FrozenConstants, type FrozenRecipe } from "./frozen.ts";
export { joinSplits } from "./join_splits.ts";
export { mergeLinears } from "./merge_linears.ts";
export { packWeights } from "./pack_weights.ts";
export { padChannels } from "./pad_channels.ts";
export { padRows } from "./pad_rows.ts";
export { numberPadding } from "./same_padding.ts";
export { splitScores } from "./split_scores.ts";
export { computeStored, sourcesOf, type StoredConstant } from "./stored_constants.ts";

interface Pass {
  readonly stage: StageName;
  readonly run: (graph: Graph, constants: FrozenConstants, written: ReadonlySet<Node>) => number;
}

const PASSES: readonly Pass[] = [
  { stage: "batch_norm_folding", run: (graph, _, written) => numberPadding(graph, written) },
  { stage: "batch_norm_folding", run: foldBatchNorm },
  { stage: "constant_folding", run: foldConstants },
  { stage: "split_joining", run: (graph, _, written) => joinSplits(graph, written) },
  { stage: "linear_merging", run: mergeLinears },
  { stage: "attention", run: (graph, _, written) => splitScores(graph, written) },
];
/** Constants are made on the host here, so that no kernel has to be compiled for them. */
const CUDA_PASSES: readonly Pass[] = [
  { stage: "batch_norm_folding", run: (graph, _, written) => numberPadding(graph, written) },
  { stage: "batch_norm_folding", run: foldBatchNorm },
  { stage: "layouts", run: padChannels },
  { stage: "layouts", run: packWeights },
  { stage: "layouts", run: padRows },
  { stage: "layouts", run: batchLinears },
  { stage: "attention", run: (graph, _, written) => einsumProducts(graph, written) },
  { stage: "attention", run: (graph, _, written) => findAttention(graph, written) },
  { stage: "linear_merging", run: mergeLinears },
];

/** Whether products keep packed weights: JavaScript would choose between weights again at each multiplication. */
function packsWeights(): boolean {
  return isStageEnabled("cpp") && findToolchain().ok;
}

/** Runs the passes of the device that the graph is on; returns the tensors that it reads now. */
export function freezeProgram(graph: Graph, attributes: ReadonlyMap<string, Tensor>): FrozenConstants {
  const constants = new FrozenConstants(graph, attributes);
  const isOnCpu = graph.nodes.every((n) => !isTensorMeta(n.value) || n.value.device === cpu);
  const written = writtenNodes(graph);
  for (const { stage, run } of isOnCpu ? PASSES : CUDA_PASSES) {
    if (!isStageEnabled(stage) || (isOnCpu && stage === "linear_merging" && !packsWeights())) continue;
    const count = run(graph, constants, written);
    if (config().verify) verifyGraph(graph);
    if (count > 0) log("graph", () => `${stage}: ${count}`);
  }
  rewriteDeadCode(graph);
  return constants;
}
