/**
 * Padding of convolutions in words becomes numbers, so that all that knows convolutions knows these: folding of batch norms, packing of weights, wider channels.
 *
 * Enters: a graph before it is functional. "valid" is no padding; "same" is as much as the window reaches beyond its middle, which is the same on both sides only where the
 * reach is even: other convolutions stay as they are, and are decomposed later.
 */
import { type Argument, type CallNode, type Graph, isNode, isTensorMeta, type Node } from "../../graph/mod.ts";
import { getOp } from "../../ops/mod.ts";

const WORDED = /^aten\.(conv[123]d)\.padding$/;

/** The padding of each spatial dimension; null where both sides differ, or sizes are not known. */
function numbersOf(node: CallNode, [word, dilation]: readonly Argument[]): number[] | null {
  const [, weight] = node.args;
  if (weight === undefined || !isNode(weight) || !isTensorMeta(weight.value)) return null;
  const window = weight.value.shape.slice(2);
  if (word === "valid") return window.map(() => 0);
  if (word !== "same" || !Array.isArray(dilation)) return null;
  const padding = window.map((size, d) => {
    const step: unknown = dilation[d] ?? dilation[0] ?? 1;
    return typeof size === "number" && typeof step === "number" ? (size - 1) * step / 2 : NaN;
  });
  return padding.every((p) => Number.isInteger(p)) ? padding : null;
}

/** Rewrites in place; returns how many convolutions there were. `written` are nodes whose memory the graph writes. */
export function numberPadding(graph: Graph, written: ReadonlySet<Node>): number {
  const gone: Node[] = [];
  for (const node of [...graph.nodes]) {
    if (node.op !== "call" || written.has(node)) continue;
    const name = WORDED.exec(node.target.schema.target)?.[1];
    if (name === undefined) continue;
    const [input = null, weight = null, bias = null, stride = [1], word = "valid", dilation = [1], groups = 1] =
      node.args;
    const padding = numbersOf(node, [word, dilation]);
    if (padding === null) continue;
    const args = [input, weight, bias, stride, padding, dilation, groups];
    const made = graph.insertBefore(
      node,
      () => graph.call(getOp(`aten.${name}.default`), args, node.value, node.location),
    );
    graph.replaceAllUses(node, made);
    gone.push(node);
  }
  if (gone.length > 0) graph.erase(...gone);
  return gone.length;
}
