/**
 * Which operators may fail for what their data are: those that take indices, and algorithms on the host that refuse some data.
 */
import type { OpTarget } from "../graph/mod.ts";
import { isOperator } from "../ops/mod.ts";

const INDEXING =
  /^(index|gather|scatter|take|put$|embedding|nll_loss|cross_entropy_loss|one_hot|pick_|multi_?\w*margin_loss|ctc_loss|masked_scatter)/;

const indexing = new WeakMap<OpTarget, boolean>();

/** Whether an operator takes indices, which may be out of range. */
export function isIndexing(op: OpTarget): boolean {
  let known = indexing.get(op);
  if (known === undefined) indexing.set(op, known = INDEXING.test(op.schema.name.replace(/^_(unsafe_)?/, "")));
  return known;
}

/** Whether an operator may throw when it runs. Calls of graphs (control flow) are taken to. */
export function mayFailOnData(op: OpTarget): boolean {
  return !isOperator(op) || op.host !== null || isIndexing(op);
}
