/**
 * Checks before writes: a call that fails for what its data are must leave the caller's memory as it was, so that it can be run again, operator by operator.
 *
 * Enters: groups in order, and the place from which on the caller's memory is written. Leaves: the checks of indices that would come too late, each as a small group of its
 * own that runs before; or the word that this cannot be, because what is checked is only known later. Where kernels go on after a wrong index (C++), the plan
 * stops before the first write. PyTorch's compiled functions do not have this: there a failed call leaves what was written.
 */
import type { Node } from "../graph/mod.ts";
import {
  type BufferRef,
  childrenOf,
  extentOf,
  indirectPayload,
  loadsOf,
  type LoopVar,
  ops,
  symbolsOf,
  type Value,
} from "../loops/mod.ts";
import { int64 } from "../core/mod.ts";
import { add, coefficient, constant, type Expr, freeSymbols, mul, type Sym, symbol } from "../symbolic/mod.ts";
import { attentionLoads, attentionResults } from "./attention_parts.ts";
import { newBuffer } from "./buffers.ts";
import { stepsOf } from "./dependencies.ts";
import type { Group, LoopGroup } from "./groups.ts";

/** An index that a kernel checks when it runs, and the conditions under which it does. */
interface IndexCheck {
  readonly sym: Sym;
  readonly masks: readonly Value[];
}

/** Algorithms on the host that do not fail, whatever their data are. */
const NEVER_FAILS =
  /^(view|sort$|topk$|kthvalue$|(nan)?median$|mode$|nonzero$|_?unique|searchsorted|bucketize|fft_pairs|igamma|special_|hash_tensor|permutation_matrix|cofactor_matrix|(linalg_)?det$|(linalg_)?slogdet$|(linalg_)?matrix_exp$|_standard_gamma_grad)/;

/** Values that a group computes, places that come out of memory among them. */
function rootsOf(group: Group): Value[] {
  switch (group.kind) {
    case "loops":
      return group.stages.flatMap((s) => [s.value, ops.index(s.index)]);
    case "contraction":
      return [
        group.a,
        group.b,
        ops.index(group.resultIndex),
        ...group.epilogue.flatMap((s) => [s.value, ops.index(s.index)]),
      ];
    case "attention":
      return [...attentionLoads(group), ...attentionResults(group).map(({ index }) => ops.index(index))];
    case "scan":
      return stepsOf(group).flatMap((s) => [s.value, ops.index(s.index)]);
    case "foreach":
      return group.members.flatMap(rootsOf);
    case "host":
    case "blocks":
      return [];
    default:
      return group satisfies never;
  }
}

const known = new WeakMap<Group, readonly IndexCheck[] | null>();

/** The checks of a group that others do not contain; null if it may fail in other ways. */
function checksOf(group: Group): readonly IndexCheck[] | null {
  let found = known.get(group);
  if (found === undefined) known.set(group, found = findChecks(group));
  return found;
}

function findChecks(group: Group): readonly IndexCheck[] | null {
  if (group.kind === "blocks") return null;
  if (group.kind === "host") {
    const { node } = group;
    return node.op === "call" && NEVER_FAILS.test(node.target.schema.name) ? [] : null;
  }
  const out: IndexCheck[] = [];
  const seen = new Set<string>();
  const stack = rootsOf(group).map((value): readonly [Value, readonly Value[]] => [value, []]);
  const within = (expr: Expr, masks: readonly Value[]): void => {
    for (const sym of freeSymbols(expr)) {
      if (sym.kind === "indirect") out.push({ sym, masks });
    }
  };
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const [value, masks] = next;
    const key = `${value.id}/${masks.map((m) => m.id)}`;
    if (seen.has(key)) continue;
    seen.add(key);
    // What stands behind a checked index is evaluated with it.
    if (value.kind === "load") within(value.index, masks);
    else if (value.kind === "index") within(value.expr, masks);
    else if (value.kind === "masked") {
      stack.push([value.mask, masks]);
      stack.push([value.body, masks.includes(value.mask) ? masks : [...masks, value.mask]]);
    } else for (const child of childrenOf(value)) stack.push([child, masks]);
  }
  return out;
}

/** Whether a group may fail for what its data are. */
export function mayFail(group: Group): boolean {
  const checks = checksOf(group);
  return checks === null || checks.length > 0;
}

/** The whole of a buffer, if that is what a check looks at; else the buffer alone. */
function contentOf({ sym, masks }: IndexCheck): { readonly buffer: BufferRef; readonly isWhole: boolean } | null {
  let { value } = indirectPayload(sym);
  if (value.kind === "cast" && value.arg.dtype.isIntegral) value = value.arg;
  if (value.kind !== "load") return null;
  const { buffer, index } = value;
  if (masks.length > 0) return { buffer, isWhole: false };
  const vars = new Set([...freeSymbols(index)]);
  let running: Expr = constant(1);
  let rebuilt: Expr = constant(0);
  while (vars.size > 0) {
    const next = [...vars].find((v) => v.kind === "index" && coefficient(index, v) === running);
    if (next === undefined) return { buffer, isWhole: false };
    vars.delete(next);
    rebuilt = add(rebuilt, mul(running, symbol(next)));
    running = mul(running, extentOf(next));
  }
  return { buffer, isWhole: rebuilt === index && running === buffer.numel };
}

/** A group that does nothing but check: it adds up the indices. */
function checkGroup({ sym, masks }: IndexCheck, origins: readonly Node[]): LoopGroup {
  let value: Value = ops.index(symbol(sym), int64);
  for (const mask of masks) value = ops.masked(mask, value, 0);
  const axes = [...symbolsOf([value])].filter((s): s is LoopVar => s.kind === "index");
  const out = newBuffer("checked", int64, constant(1));
  const index = constant(0);
  return {
    kind: "loops",
    axes: [],
    reduceAxes: axes,
    stages: axes.length === 0
      ? [{ kind: "pointwise", space: "outer", out, index, value }]
      : [{ kind: "reduction", out, index, op: "sum", value }],
    origins,
    stored: new Set([out]),
    reasons: ["indices are checked before the caller's memory is written"],
  };
}

/** Which writes to the caller's memory may stand where they are, and what is checked before them. */
export class ChecksFirst {
  readonly #late: { readonly at: number; readonly check: IndexCheck; readonly origins: readonly Node[] }[] = [];
  /** The last group that fails in ways that nobody can check before. */
  #lastUnforeseen = -1;
  /** Buffers all of whose elements are indices of a dimension, by buffer and size, and from where on that is known. */
  readonly #settled = new Map<string, number>();
  readonly #written: (buffer: BufferRef) => readonly number[];
  readonly #hoisted = new Map<string, { readonly group: LoopGroup; before: number }>();

  /** `written` says which groups write a buffer to memory: none for what the caller gives, `[Infinity]` for what is never there. */
  constructor(groups: readonly Group[], written: (buffer: BufferRef) => readonly number[]) {
    this.#written = written;
    groups.forEach((group, at) => {
      const checks = checksOf(group);
      if (checks === null) this.#lastUnforeseen = at;
      for (const check of checks ?? []) {
        const content = contentOf(check);
        if (content?.isWhole === true) {
          const key = settledKey(content.buffer, check.sym);
          if (!this.#settled.has(key)) this.#settled.set(key, at);
        }
        this.#late.push({ at, check, origins: group.origins });
      }
    });
  }

  /** Whether the caller's memory may be written from this group on. Everything that may fail later is then checked before it. */
  allow(from: number): boolean {
    if (this.#lastUnforeseen >= from) return false;
    const needed = this.#late.filter(({ at, check }) => at >= from && !this.#isSettled(check, from));
    const isKnown = needed.every(({ check }) => {
      const values = [indirectPayload(check.sym).value, ...check.masks];
      return loadsOf(values).every((l) => this.#written(l.buffer).every((w) => w < from));
    });
    if (!isKnown) return false;
    for (const { check, origins } of needed) {
      if (this.#isSettled(check, from)) continue;
      const content = contentOf(check);
      if (content?.isWhole === true) this.#settled.set(settledKey(content.buffer, check.sym), from - 0.5);
      const key = `${check.sym.id}/${check.masks.map((m) => m.id)}`;
      const found = this.#hoisted.get(key);
      if (found === undefined) this.#hoisted.set(key, { group: checkGroup(check, origins), before: from });
      else found.before = Math.min(found.before, from);
    }
    return true;
  }

  #isSettled(check: IndexCheck, from: number): boolean {
    const content = contentOf(check);
    if (content === null) return false;
    const since = this.#settled.get(settledKey(content.buffer, check.sym));
    return since !== undefined && since < from && this.#written(content.buffer).every((w) => w < since);
  }

  /** The groups with the checks between them; null stands for one that was dropped. */
  withChecks(groups: readonly (Group | null)[]): Group[] {
    const before = new Map<number, LoopGroup[]>();
    for (const { group, before: at } of this.#hoisted.values()) before.set(at, [...before.get(at) ?? [], group]);
    return groups.flatMap((group, at) => [...before.get(at) ?? [], ...(group === null ? [] : [group])]);
  }
}

function settledKey(buffer: BufferRef, sym: Sym): string {
  const { size, fromEnd } = indirectPayload(sym);
  return `${buffer.id}/${size.id}/${fromEnd}`;
}
