/**
 * New calls of passes: described by the operator itself, so that what follows sees the shapes and strides that it will have.
 */
import { type Argument, type CallNode, type Graph, isNode, isTensorMeta } from "../../graph/mod.ts";
import { type ArgValue, getOp, type NamedArgs } from "../../ops/mod.ts";
import { fakeTensor, inferMeta, type Tensor } from "../../tensor/mod.ts";

function faked(value: Argument): unknown {
  if (Array.isArray(value)) return value.map(faked);
  return isNode(value) && isTensorMeta(value.value) ? fakeTensor(value.value) : value;
}

/** Adds a call at the graph's place of insertion; arguments that are left out take their defaults. @throws what the operator says of them */
export function addCall(
  graph: Graph,
  target: string,
  args: readonly Argument[],
  location: CallNode["location"] = null,
): CallNode {
  const op = getOp(target);
  const given = op.schema.args.map(({ defaultValue }, i) => args[i] ?? defaultValue);
  const named = Object.fromEntries(op.schema.args.map(({ key }, i) => [key, faked(given[i] ?? null)]));
  return graph.call(
    op,
    given,
    inferMeta(op, named as Record<string, ArgValue<Tensor>> as NamedArgs<Tensor>)[0] ?? null,
    location,
  );
}
