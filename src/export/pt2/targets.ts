/**
 * What calls of an exported graph aim at beside the operator table: control flow, reading a number out of a tensor, and what is unsupported.
 *
 * Each is a target of its own, made for one node, so that graphs hold no other kind of node than the operators' calls do. Control flow
 * carries its graphs. Mirrors `torch.ops.higher_order`.
 */
import type { ControlKind, OpTarget, Schema } from "../../graph/mod.ts";
import { parseSchema } from "../../graph/mod.ts";

export { type ControlKind, type ControlTarget, isControl } from "../../graph/mod.ts";

/** A call that yields the one element of a tensor as a number, which a symbol then stands for. */
export interface ItemTarget extends OpTarget {
  readonly readsItem: true;
  /** Others read the symbol, not the node, so the node must stay. */
  readonly hasEffects: true;
  /** What an error says if the number is 0. */
  readonly assertion?: string;
}

/** A call that nothing here can run. */
export interface UnsupportedTarget extends OpTarget {
  readonly unsupported: string;
  readonly hasEffects: true;
}

export function isItem(target: OpTarget): target is ItemTarget {
  return "readsItem" in target;
}

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

/** The condition of an exported cond may be a number. */
export const COND_ON_NUMBER: Schema = parseSchema(
  "higher_order::cond(Scalar pred, Tensor[] operands, SymInt[] sizes=[]) -> Tensor[]",
);

export const ITEM: ItemTarget = {
  schema: parseSchema("aten::item(Tensor self) -> Scalar"),
  readsItem: true,
  hasEffects: true,
};

/** A call that raises if the one element of a tensor is 0. */
export function assertTarget(message: string | null): ItemTarget {
  return { ...ITEM, assertion: message ?? "an assertion of the exported program does not hold" };
}

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
