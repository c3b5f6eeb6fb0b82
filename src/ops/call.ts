/**
 * An operator as data, called as a function: for definitions that are made of others by name.
 *
 * What enters are the arguments by name, with all defaults in place; what leaves are the results. Mirrors `OpOverload.__call__` of PyTorch.
 */
import { camelCase } from "../graph/mod.ts";
import type { NamedArgs, Operator } from "./define.ts";
import type { Functional } from "./functional.ts";
import type { TensorValue } from "./value.ts";

type Call = (...args: readonly unknown[]) => TensorValue | readonly TensorValue[];

/** Calls an operator of the table with all its arguments, as a function of F: the overload is found from what they are. @throws {TypeError} if F has none. */
export function callOperator(
  F: Functional,
  op: Operator,
  args: NamedArgs<TensorValue>,
): TensorValue | readonly TensorValue[] {
  const functions = F as unknown as Readonly<Record<string, Call | undefined>>;
  const run = functions[camelCase(op.schema.name)];
  if (run === undefined) throw new TypeError(`${op.target} is not a function of F`);
  const { args: all } = op.schema;
  const named = Object.fromEntries(all.filter((a) => a.kwargOnly).map((a) => [a.key, args[a.key]]));
  const positional = all.filter((a) => !a.kwargOnly).map((a) => args[a.key]);
  return Object.keys(named).length === 0 ? run(...positional) : run(...positional, named);
}
