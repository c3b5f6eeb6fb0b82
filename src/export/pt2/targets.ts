/**
 * What calls of an exported graph aim at beside the operator table: control flow, reading a number out of a tensor, and what is unsupported.
 *
 * Each is a target of its own, made for one node, so that graphs hold no other kind of node than the operators' calls do. Control flow
 * carries its graphs. Mirrors `torch.ops.higher_order`.
 */
import type { Graph, OpTarget, Schema } from "../../graph/mod.ts";
import { parseSchema } from "../../graph/mod.ts";

/** Higher-order operators that run their graphs. Those that only mark a region are dissolved when they are read. */
export type ControlKind = "cond" | "while_loop" | "map_impl" | "scan";

/** A call that runs graphs. Its arguments are the operands, its results a list. */
export interface ControlTarget extends OpTarget {
  readonly control: ControlKind;
  /** cond: true, false. while_loop: condition, body. map_impl and scan: body. */
  readonly graphs: readonly Graph[];
  readonly hasEffects: boolean;
}

/** A call that yields the one element of a tensor as a number, which a symbol then stands for. */
export interface ItemTarget extends OpTarget {
  readonly readsItem: true;
  /** Others read the symbol, not the node, so the node must stay. */
  readonly hasEffects: true;
}

/** A call that nothing here can run. */
export interface UnsupportedTarget extends OpTarget {
  readonly unsupported: string;
  readonly hasEffects: true;
}

export function isControl(target: OpTarget): target is ControlTarget {
  return "control" in target;
}

export function isItem(target: OpTarget): target is ItemTarget {
  return "readsItem" in target;
}

export function isUnsupported(target: OpTarget): target is UnsupportedTarget {
  return "unsupported" in target;
}

const controlSchemas: Readonly<Record<ControlKind, Schema>> = {
  cond: parseSchema("higher_order::cond(Scalar pred, Tensor[] operands) -> Tensor[]"),
  while_loop: parseSchema("higher_order::while_loop(Tensor[] carried, Tensor[] additional) -> Tensor[]"),
  map_impl: parseSchema("higher_order::map_impl(Tensor[] xs, Tensor[] additional) -> Tensor[]"),
  scan: parseSchema("higher_order::scan(Tensor[] init, Tensor[] xs, Tensor[] additional) -> Tensor[]"),
};

/** How many graphs each kind has. */
export const CONTROL_GRAPHS: Readonly<Record<ControlKind, number>> = { cond: 2, while_loop: 2, map_impl: 1, scan: 1 };

/** The kind of control flow that a higher-order operator's name stands for, or null. */
export function controlKind(name: string): ControlKind | null {
  switch (name) {
    case "cond":
    case "while_loop":
    case "map_impl":
    case "scan":
      return name;
    default:
      return null;
  }
}

/** Whether any call in a graph does more than its results show. */
function hasEffects(graph: Graph): boolean {
  return graph.calls.some(({ target }) =>
    target.schema.args.some((a) => a.mutated) || ("hasEffects" in target && target.hasEffects === true)
  );
}

export function controlTarget(control: ControlKind, graphs: readonly Graph[], schema?: Schema): ControlTarget {
  return { control, graphs, schema: schema ?? controlSchemas[control], hasEffects: graphs.some(hasEffects) };
}

/** cond's condition may be a tensor, too. */
export const COND_ON_TENSOR: Schema = parseSchema("higher_order::cond(Tensor pred, Tensor[] operands) -> Tensor[]");

export const ITEM: ItemTarget = {
  schema: parseSchema("aten::item(Tensor self) -> Scalar"),
  readsItem: true,
  hasEffects: true,
};

/** A target for a call that cannot run: it keeps the tensors it reads and how many results it has. */
export function unsupportedTarget(target: string, reason: string, results: number): UnsupportedTarget {
  const [namespace = "", name = "", overload = "default"] = target.split(".").slice(-3);
  const list = { type: "Tensor", alias: null, mutated: false } as const;
  const schema: Schema = {
    ...parseSchema("unsupported::call(Tensor[] inputs) -> ()"),
    namespace,
    name,
    overload,
    target,
    returns: Array.from({ length: results }, () => ({ ...list, list: results === 1 })),
  };
  return { schema, unsupported: reason, hasEffects: true };
}
