/**
 * What lowering refuses, and the groups of loops whose results are always stored.
 *
 * Enters: a call of a graph; a loop with the memory of its result. Leaves: the operator, or the error that names what should have been done before; a group of one stage.
 */
import { CompileError } from "../core/mod.ts";
import type { CallNode, Node } from "../graph/mod.ts";
import type { BufferRef, ContractionLoop, LoopVar, ScanLoop } from "../loops/mod.ts";
import { asIndex } from "../loops/mod.ts";
import { isOperator, type Operator } from "../ops/mod.ts";
import type { ContractionGroup, ScanGroup } from "./groups.ts";
import { flatIndex, type Layout } from "./lowered.ts";

/**
 * The operator of a call.
 *
 * @throws {CompileError} if it is not of the table, or writes to its argument.
 */
export function operatorOf(node: CallNode): Operator {
  const op = node.target;
  if (!isOperator(op)) {
    throw new CompileError(`${op.schema.target} is not in the operator table: cannot lower ${node.name}`);
  }
  if (op.functional !== null) {
    throw new CompileError(
      `${op.target} writes to its argument: functionalise the graph before it is lowered (${node.name})`,
    );
  }
  return op;
}

/** @throws {CompileError} for operators that have to be decomposed, or run between graphs. */
export function refuseUnloweredForms(node: CallNode, op: Operator): void {
  if (op.kind === "decompose") {
    throw new CompileError(
      `${op.target} has only a decomposition: expand it before the graph is lowered (${node.name})`,
    );
  }
  if (op.isDataDependent) {
    throw new CompileError(
      `${op.target} has a result whose shape depends on data: it runs between graphs (${node.name})`,
    );
  }
}

/** Where a result is stored. */
interface Place {
  readonly buffer: BufferRef;
  readonly layout: Layout;
}

export function scanGroup(loop: ScanLoop, scanAxis: LoopVar, out: Place, origins: ReadonlySet<Node>): ScanGroup {
  return {
    kind: "scan",
    origins: [...origins],
    stored: new Set([out.buffer]),
    reasons: [],
    axes: loop.vars,
    scanAxis,
    op: loop.op,
    value: loop.value,
    out: out.buffer,
    index: flatIndex(out.layout, asIndex(loop.vars)),
  };
}

export function contractionGroup(loop: ContractionLoop, out: Place, origins: ReadonlySet<Node>): ContractionGroup {
  const { batch, m, n, k, a, b, accumulate } = loop;
  return {
    kind: "contraction",
    origins: [...origins].sort((x, y) => x.id - y.id),
    stored: new Set([out.buffer]),
    reasons: [],
    batch,
    m,
    n,
    k,
    a,
    b,
    accumulate,
    result: out.buffer,
    resultIndex: flatIndex(out.layout, loop.out),
    epilogue: [],
  };
}
