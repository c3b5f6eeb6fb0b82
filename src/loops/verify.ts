/**
 * Checks the invariants of loop values and loops.
 *
 * Operands of a primitive share their dtype and yield what its rule says; masks are bool; loads have their buffer's dtype; every index symbol
 * belongs to the loop (or is a size); reductions and scans name axes that exist; a contraction's operands depend on their own index
 * groups only. Throws `VerifyError` with the offending value and the rule.
 */
import { bool, type DType, float32, int32, int64, uint32, VerifyError } from "../core/mod.ts";
import type { Expr, Sym } from "../symbolic/mod.ts";
import { freeSymbols, toText } from "../symbolic/mod.ts";
import type { LoopNode } from "./loop_node.ts";
import { indirectPayload } from "./ops.ts";
import { primitive } from "./primitives.ts";
import { valueToText } from "./print.ts";
import type { Value } from "./value.ts";
import { foldValue } from "./walk.ts";

/** Throws with the rule and the value. */
function fail(where: string, rule: string, value: Value): never {
  throw new VerifyError(`${where}: ${rule}; at ${valueToText(value)}`);
}

/** Checks that an index varies over the allowed symbols and sizes only. */
export function verifyIndex(where: string, e: Expr, allowed: ReadonlySet<Sym>): void {
  for (const sym of freeSymbols(e)) {
    if (sym.kind === "index" && !allowed.has(sym)) {
      throw new VerifyError(`${where}: the index ${toText(e)} uses ${sym.name}, which is no axis of this loop`);
    }
  }
}

/** Checks values whose index symbols must be among `allowed`. */
export function verifyValues(where: string, roots: readonly Value[], allowed: ReadonlySet<Sym>): void {
  foldValue(roots, (v) => {
    verifyOne(where, v, allowed);
    return null;
  });
}

function verifyOne(where: string, v: Value, allowed: ReadonlySet<Sym>): void {
  switch (v.kind) {
    case "constant":
      if (typeof v.value === "bigint" && v.dtype !== int64) fail(where, `a bigint of type ${v.dtype.name}`, v);
      return;
    case "index":
      if (!v.dtype.isIntegral || v.dtype === bool) fail(where, `an index as ${v.dtype.name}: cast the integer`, v);
      return verifyIndexAndGathers(where, v.expr, allowed);
    case "load":
      if (v.dtype !== v.buffer.dtype) fail(where, `a load of ${v.buffer.dtype.name} yields ${v.dtype.name}`, v);
      return verifyIndexAndGathers(where, v.index, allowed);
    case "pointwise": {
      const def = primitive(v.op);
      if (v.args.length !== def.arity) fail(where, `${v.op} takes ${def.arity} operands`, v);
      const operands = v.op === "where" ? v.args.slice(1) : v.args;
      const dtype = operands[0]?.dtype;
      if (dtype === undefined || operands.some((o) => o.dtype !== dtype)) fail(where, "operands differ in dtype", v);
      if (v.op === "where" && v.args[0]?.dtype !== bool) fail(where, "the condition of where is not bool", v);
      return verifyResult(where, v, def.result === "bool" ? bool : dtype);
    }
    case "cast":
      if (v.arg.dtype === v.dtype) fail(where, "a cast that changes nothing", v);
      return;
    case "bitcast":
      if (v.arg.dtype.bytes !== v.dtype.bytes) fail(where, "a bitcast between widths", v);
      return;
    case "masked":
      if (v.mask.dtype !== bool) fail(where, "the mask is not bool", v);
      return verifyResult(where, v, v.body.dtype);
    case "philox":
      if ([v.seed, v.stream, v.position].some((x) => x.dtype !== int64)) fail(where, "philox takes int64", v);
      return verifyResult(where, v, uint32);
    case "lookup":
      if (v.at.dtype !== int32) fail(where, "a table is read at an int32", v);
      return verifyResult(where, v, float32);
    default:
      v satisfies never;
  }
}

function verifyResult(where: string, v: Value, dtype: DType): void {
  if (v.dtype !== dtype) fail(where, `yields ${v.dtype.name} where ${dtype.name} follows from its operands`, v);
}

function verifyIndexAndGathers(where: string, e: Expr, allowed: ReadonlySet<Sym>): void {
  verifyIndex(where, e, allowed);
  for (const sym of freeSymbols(e)) {
    if (sym.kind === "indirect") verifyIndex(where, indirectPayload(sym).size, allowed);
  }
}

/** Checks a loop. */
export function verifyLoop(loop: LoopNode): void {
  const where = `loops: ${loop.kind}`;
  switch (loop.kind) {
    case "pointwise":
      return verifyValues(where, [loop.value], new Set(loop.vars));
    case "reduction":
      return verifyValues(where, [loop.value], new Set([...loop.vars, ...loop.reduceVars]));
    case "scan":
      if (loop.vars[loop.axis] === undefined) {
        throw new VerifyError(`${where}: axis ${loop.axis} of ${loop.vars.length}`);
      }
      return verifyValues(where, [loop.value], new Set(loop.vars));
    case "view": {
      if (loop.index.length !== loop.input.shape.length) {
        throw new VerifyError(`${where}: ${loop.index.length} indices into ${loop.input.shape.length} dimensions`);
      }
      for (const e of loop.index) verifyIndex(where, e, new Set(loop.vars));
      return;
    }
    case "scatter": {
      for (const e of loop.target) verifyIndexAndGathers(where, e, new Set(loop.vars));
      return verifyValues(where, [loop.value], new Set(loop.vars));
    }
    case "contraction": {
      verifyValues(`${where}: first operand`, [loop.a], new Set([...loop.batch, ...loop.m, ...loop.k]));
      verifyValues(`${where}: second operand`, [loop.b], new Set([...loop.batch, ...loop.n, ...loop.k]));
      for (const e of loop.out) verifyIndex(where, e, new Set([...loop.batch, ...loop.m, ...loop.n]));
      return;
    }
    default:
      loop satisfies never;
  }
}
