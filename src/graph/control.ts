/**
 * Higher-order operators: calls that run graphs of their own.
 *
 * A {@linkcode ControlTarget} carries its graphs; what they read is an operand, so that they hold no tensors. Captured control flow and that of exported
 * programs are the same calls. Results are a list. {@linkcode runControl} says what each kind means, on any kind of value. `sizes` are the sizes that
 * a graph speaks of and no operand shows; they come last. Mirrors `torch.ops.higher_order`.
 */
import { InternalError } from "../core/mod.ts";
import type { Graph } from "./graph.ts";
import type { CallNode, OpTarget } from "./node.ts";
import { hasEffects } from "./passes/effects.ts";
import { parseSchema, type Schema } from "./schema.ts";

/** What a call does with its graphs. */
export type ControlKind = "cond" | "while_loop" | "map_impl" | "scan" | "checkpoint";

/** A call that runs graphs. */
export interface ControlTarget extends OpTarget {
  readonly control: ControlKind;
  /** cond: true, false. while_loop: condition, body. The others: body. */
  readonly graphs: readonly Graph[];
  readonly hasEffects: boolean;
}

/** The schemas of higher-order operators. */
export const CONTROL_SCHEMAS: Readonly<Record<ControlKind, Schema>> = {
  cond: parseSchema("higher_order::cond(Tensor pred, Tensor[] operands, SymInt[] sizes=[]) -> Tensor[]"),
  while_loop: parseSchema(
    "higher_order::while_loop(Tensor[] carried, Tensor[] additional, SymInt[] sizes=[]) -> Tensor[]",
  ),
  map_impl: parseSchema("higher_order::map_impl(Tensor[] xs, Tensor[] additional, SymInt[] sizes=[]) -> Tensor[]"),
  scan: parseSchema(
    "higher_order::scan(Tensor[] init, Tensor[] xs, Tensor[] additional, SymInt[] sizes=[]) -> Tensor[]",
  ),
  checkpoint: parseSchema("higher_order::checkpoint(Tensor[] operands, SymInt[] sizes=[]) -> Tensor[]"),
};

/** What each graph of a kind is called in the text. */
export const CONTROL_GRAPHS: Readonly<Record<ControlKind, readonly string[]>> = {
  cond: ["true", "false"],
  while_loop: ["condition", "body"],
  map_impl: ["body"],
  scan: ["body"],
  checkpoint: ["body"],
};

/** Rounds after which a `while_loop` is taken for endless. */
const MAX_ROUNDS = 100_000_000;

/** Tells whether a call runs graphs of its own. */
export function isControl(target: OpTarget): target is ControlTarget {
  return "control" in target;
}

/** A target that runs these graphs. */
export function controlTarget(control: ControlKind, graphs: readonly Graph[], schema?: Schema): ControlTarget {
  return {
    control,
    graphs,
    schema: schema ?? CONTROL_SCHEMAS[control],
    hasEffects: graphs.some((g) => g.calls.some(hasEffects)),
  };
}

/** How a graph of a call is fed: operands of the whole call that each graph gets after its own, and how many are its own. */
export function operandsOf(node: CallNode, target: ControlTarget): number | null {
  const lists = target.control === "cond" ? node.args.slice(1) : node.args;
  return lists.every((list) => Array.isArray(list))
    ? (lists as readonly (readonly unknown[])[]).reduce((n, list) => n + list.length, 0)
    : null;
}

/** What {@linkcode runControl} asks of the values that it moves. */
export interface ControlValues<T> {
  run(graph: Graph, inputs: readonly T[]): readonly T[];
  isTrue(value: T): boolean;
  /** The slices of tensors along their first dimension. */
  slices(xs: readonly T[]): readonly (readonly T[])[];
  /** What rounds gave, each put together along a new first dimension; `graph` is what gave it, `from` its first such result. */
  stack(rows: readonly (readonly T[])[], graph: Graph, from: number): readonly T[];
}

function list<T>(value: unknown): readonly T[] {
  if (!Array.isArray(value)) throw new InternalError("a list of operands was expected");
  return value as readonly T[];
}

/** Runs a call. `args` are in schema order. */
export function runControl<T>(target: ControlTarget, args: readonly unknown[], on: ControlValues<T>): readonly T[] {
  const [first, second = first] = target.graphs;
  if (first === undefined || second === undefined) throw new InternalError(`${target.control} has no graph`);
  switch (target.control) {
    case "cond":
      return on.run(on.isTrue(args[0] as T) ? first : second, [...list<T>(args[1]), ...list<T>(args[2])]);
    case "while_loop": {
      let carried = list<T>(args[0]);
      const rest = [...list<T>(args[1]), ...list<T>(args[2])];
      const goes = (): boolean => {
        const [go] = on.run(first, [...carried, ...rest]);
        if (go === undefined) throw new InternalError("while_loop: the condition gives nothing");
        return on.isTrue(go);
      };
      for (let round = 0; goes(); round++) {
        if (round >= MAX_ROUNDS) throw new RangeError(`while_loop: no end after ${MAX_ROUNDS} rounds`);
        carried = on.run(second, [...carried, ...rest]);
      }
      return carried;
    }
    case "map_impl": {
      const rest = [...list<T>(args[1]), ...list<T>(args[2])];
      return on.stack(on.slices(list<T>(args[0])).map((row) => on.run(first, [...row, ...rest])), first, 0);
    }
    case "scan": {
      let carried = list<T>(args[0]);
      const count = carried.length;
      const rest = [...list<T>(args[2]), ...list<T>(args[3])];
      const rows = on.slices(list<T>(args[1])).map((row) => {
        const results = on.run(first, [...carried, ...row, ...rest]);
        carried = results.slice(0, count);
        return results.slice(count);
      });
      return [...carried, ...on.stack(rows, first, count)];
    }
    case "checkpoint":
      return on.run(first, [...list<T>(args[0]), ...list<T>(args[1])]);
    default:
      return target.control satisfies never;
  }
}
