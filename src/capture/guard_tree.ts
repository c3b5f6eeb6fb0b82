/**
 * The guards of all entries of a function as one tree: what they share is checked once.
 *
 * Enters: compiled guards, as lines. Guards of one function read their sources in the same order and name what they read alike, so equal beginnings are equal lines over equal constants; where lines
 * part, the tree branches, in the order of the entries. Leaves: a function that gives the number of the first entry that holds and fetches its values. The parts are
 * functions of their own, because V8 does not optimise long ones. Mirrors the guard manager tree of TorchDynamo.
 */
import { isDType } from "../tensor/mod.ts";
import type { CompiledGuard, GuardInput } from "./guard_types.ts";
import { guardHelpers } from "./guard_helpers.ts";
import { readsFor } from "./guard_loops.ts";

/** V8 does not optimise very long functions. */
const MOST_LINES = 300;

/** Lines `from` to `to` of guard `guard`, then one of the branches; a branch without branches is the end of an entry. */
interface Branch {
  readonly guard: number;
  readonly from: number;
  readonly to: number;
  readonly branches: readonly Branch[];
}

type Find = (args: readonly unknown[], self: unknown, values: unknown[]) => number;

const CONSTANT = /"(?:[^"\\]|\\.)*"|\bc\[(\d+)\]/g;

/** The guards of several entries. */
export class GuardTree {
  /** How many checks the tree has; the guards alone have as many as `apart`. */
  readonly checks: number;
  readonly apart: number;
  readonly text: string;
  readonly #constants: unknown[] = [];
  readonly #constantAt = new Map<unknown, number>();
  readonly #guards: readonly (readonly string[])[];
  readonly #parts: string[] = [];
  readonly #find: Find;

  /** All guards belong to one function; `captures` are what it states. */
  constructor(guards: readonly CompiledGuard[], captures: GuardInput["captures"]) {
    this.#guards = guards.map(({ lines, constants }) => lines.map((line) => this.#shared(line, constants)));
    const root = this.#split(guards.map((_, i) => i), 0);
    const body = this.#emit(root);
    const text = `${this.#parts.join("\n")}\nreturn function find(a, t, values) {\n  const k = ${
      captures === null ? "null" : "captures()"
    };\n${body}\n  return -1;\n};`;
    this.text = text;
    this.checks = text.split("return false;").length - 1;
    this.apart = guards.reduce((n, g) => n + g.sentences.length, 0);
    const make = new Function("c", "h", "captures", text) as (
      c: readonly unknown[],
      h: unknown,
      captures: GuardInput["captures"],
    ) => Find;
    this.#find = make(this.#constants, guardHelpers, captures);
  }

  /** The number of the first entry whose guard holds, its values in `values`; or -1. */
  find(args: readonly unknown[], self: unknown, values: unknown[]): number {
    return this.#find(args, self, values);
  }

  /** A line over the constants of the tree. */
  #shared(line: string, constants: readonly unknown[]): string {
    return line.replace(CONSTANT, (text: string, index: string | undefined) => {
      if (index === undefined) return text;
      const value = constants[Number(index)];
      let at = this.#constantAt.get(value);
      if (at === undefined) this.#constantAt.set(value, at = this.#constants.push(value) - 1);
      return `c[${at}]`;
    });
  }

  #split(group: readonly number[], from: number): Branch {
    const guard = group[0] ?? 0;
    const lines = this.#guards[guard] ?? [];
    const others = group.slice(1).map((g) => this.#guards[g] ?? []);
    let to = group.length === 1 ? lines.length : from;
    while (to < lines.length && others.every((o) => o[to] === lines[to])) to++;
    // Equal guards: the one used last serves.
    if (to === lines.length) return { guard, from, to, branches: [] };
    const next = new Map<string | undefined, number[]>();
    for (const g of group) {
      const line = this.#guards[g]?.[to];
      const same = next.get(line);
      if (same === undefined) next.set(line, [g]);
      else same.push(g);
    }
    return { guard, from, to, branches: [...next.values()].map((g) => this.#split(g, to)) };
  }

  #emit(branch: Branch): string {
    const calls: string[] = [];
    const isEnd = branch.branches.length === 0;
    for (let at = branch.from; at < branch.to || calls.length === 0; at += MOST_LINES) {
      calls.push(this.#part(branch.guard, at, Math.min(at + MOST_LINES, branch.to)));
    }
    const inside = isEnd ? `return ${branch.guard};` : branch.branches.map((b) => this.#emit(b)).join("\n");
    return `  if (${calls.join(" && ")}) {\n${inside}\n}`;
  }

  /** A function of some lines, with the reads of earlier lines that they need. */
  #part(guard: number, from: number, to: number): string {
    const all = this.#guards[guard] ?? [];
    const lines = all.slice(from, to);
    const before = readsFor(all, from, lines);
    const name = `part${this.#parts.length}`;
    const text = [...before, ...lines.map((l) => l.replace(/^(if \(.*\)) return \d+;$/, "$1 return false;"))];
    this.#parts.push(`function ${name}(a, t, values, k) {\n${text.map((l) => `  ${l}\n`).join("")}  return true;\n}`);
    return `${name}(a, t, values, k)`;
  }
}

/** Why a guard failed at check `failed`, with what is there now where the check compares a plain value: `args[0].shape[0] was 8, now 9`. */
export function describeFailure(
  { lines, constants, sentences }: CompiledGuard,
  failed: number,
  args: readonly unknown[],
  self: unknown,
): string {
  const sentence = sentences[failed];
  if (sentence === undefined) return "its guards did not hold";
  const at = lines.findIndex((line) => line.endsWith(` return ${failed};`));
  const compared = /^if \(([\w.[\]]+) !== /.exec(lines[at] ?? "")?.[1];
  if (compared === undefined) return sentence;
  const reads = readsFor(lines, at, [compared]).join("\n");
  try {
    const read = new Function("c", "h", "a", "t", `${reads}\nreturn ${compared};`) as (...given: unknown[]) => unknown;
    const now: unknown = read(constants, guardHelpers, args, self);
    const text = describe(now);
    return text === null ? sentence : `${sentence}, now ${text}`;
  } catch {
    // The value came by way of something that is no longer there.
    return sentence;
  }
}

function describe(value: unknown): string | null {
  if (typeof value === "string") return JSON.stringify(value);
  if (isDType(value)) return value.name;
  return typeof value === "object" || typeof value === "function" ? null : String(value);
}
