/**
 * Index expressions as vectors of 32-bit lanes.
 *
 * Only what varies over the vector's axis is computed in lanes; the rest is one scalar. Positions fit 32 bits: kernels address at most 2^31 elements by
 * lanes. Divisors are scalars (extents), so a division is a product with the reciprocal.
 */
import { InternalError } from "../../../core/mod.ts";
import {
  add,
  type BoolExpr,
  constant,
  constantTerm,
  constantValue,
  type Expr,
  freeSymbols,
  mul,
  type Sym,
  termsOf,
} from "../../../symbolic/mod.ts";

/** What the printer needs of its function. */
export interface LaneContext {
  /** Whether a symbol differs from lane to lane. */
  isVector(sym: Sym): boolean;
  /** The lanes of a symbol, for the current part. */
  lanes(sym: Sym): string;
  /** The text of an expression without vector symbols. */
  scalar(e: Expr): string;
}

/** Whether an expression differs from lane to lane. */
export function variesOverLanes(e: Expr | BoolExpr, context: LaneContext): boolean {
  for (const sym of freeSymbols(e)) if (context.isVector(sym)) return true;
  return false;
}

/** An expression as a `vi32`. */
export function laneText(e: Expr, context: LaneContext): string {
  if (!variesOverLanes(e, context)) return `vset((int)${context.scalar(e)})`;
  switch (e.kind) {
    case "const":
    case "symbol":
      if (e.kind === "symbol") return context.lanes(e.symbol);
      break;
    case "add": {
      let rest: Expr = constant(constantTerm(e));
      const parts: string[] = [];
      for (const { coefficient, factor } of termsOf(e)) {
        if (!variesOverLanes(factor, context)) {
          rest = add(rest, mul(coefficient, factor));
          continue;
        }
        const text = laneText(factor, context);
        parts.push(coefficient === 1 ? text : coefficient === -1 ? `-${text}` : `${text} * ${coefficient}`);
      }
      if (constantValue(rest) !== 0) parts.push(`(int)${context.scalar(rest)}`);
      return `(${parts.join(" + ")})`;
    }
    case "mul": {
      const scalars = e.factors.filter((f) => !variesOverLanes(f, context));
      const vectors = e.factors.filter((f) => variesOverLanes(f, context)).map((f) => laneText(f, context));
      if (scalars.length > 0) vectors.push(`(int)${context.scalar(mul(...scalars))}`);
      return `(${vectors.join(" * ")})`;
    }
    case "floorDiv":
    case "mod":
      if (variesOverLanes(e.b, context) || e.b.lower <= 0) {
        const name = e.kind === "mod" ? "tsr_floor_mod" : "tsr_floor_div";
        return `${name}(${laneText(e.a, context)}, ${laneText(e.b, context)})`;
      }
      return `${e.kind === "mod" ? "tsr_rem" : "tsr_div"}(${laneText(e.a, context)}, (int)${context.scalar(e.b)})`;
    case "min":
    case "max":
      return e.args.map((arg) => laneText(arg, context)).reduce((a, b) => `v${e.kind}(${a}, ${b})`);
    case "where":
      return `vselect(${laneBool(e.cond, context)}, ${laneText(e.a, context)}, ${laneText(e.b, context)})`;
    default:
      return e satisfies never;
  }
  throw new InternalError("a constant does not vary over lanes");
}

const SIGNS = { eq: "==", ne: "!=", lt: "<", le: "<=" } as const;

function laneBool(e: BoolExpr, context: LaneContext): string {
  switch (e.kind) {
    case "bool":
      return `tsr_mask(${e.value ? 1 : 0})`;
    case "and":
    case "or":
      return `(${e.args.map((arg) => laneBool(arg, context)).join(e.kind === "and" ? " & " : " | ")})`;
    case "eq":
    case "ne":
    case "lt":
    case "le":
      return `(${laneText(e.a, context)} ${SIGNS[e.kind]} ${laneText(e.b, context)})`;
    default:
      return e satisfies never;
  }
}
