/**
 * Results of a call in the file: what they name, and what is known of them before anything runs.
 *
 * Enters: outputs of a node as data, or described values. Leaves: names with their places in nested lists, and whether sizes depend on data.
 */
import { type Argument, isNode, isTensorMeta, type NodeValue } from "../../graph/mod.ts";
import { freeSymbols, isSymInt, type Sym } from "../../symbolic/mod.ts";
import type { ArgumentData } from "./schema.ts";

/** One result of a call: the name to define, if any, and what it is. */
export interface Result {
  readonly data: ArgumentData;
  readonly path: readonly number[];
}

/** Whether all results of a node are symbolic numbers, which stand in tables of the file. */
export function isSymbolic(outputs: readonly ArgumentData[]): boolean {
  return outputs.length > 0 && outputs.every((o) => /^sym(Int|Float|Bool)$|^(int|float|bool)$/.test(o.kind));
}

/** The results that outputs name, lists opened. */
export function resultsOf(outputs: readonly ArgumentData[]): Result[] {
  return outputs.flatMap((data, i): Result[] =>
    data.kind === "tensors"
      ? data.names.map((name, j) => ({ data: { kind: "tensor", name }, path: [i, j] }))
      : [{ data, path: [i] }]
  );
}

export function isMask(argument: Argument): boolean {
  return isNode(argument) && isTensorMeta(argument.value) && ["bool", "uint8"].includes(argument.value.dtype.name);
}

export function mentionsUnbacked(value: NodeValue): boolean {
  if (isSymInt(value)) return [...freeSymbols(value.expr)].some((s: Sym) => s.kind === "unbacked");
  if (isTensorMeta(value)) return value.shape.some((s) => mentionsUnbacked(s));
  return Array.isArray(value) && value.some((v: NodeValue) => mentionsUnbacked(v));
}
