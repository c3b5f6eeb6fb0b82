/**
 * The graph of groups while they are fused: who needs whom, who touches which buffer, and whether a fusion would close a cycle.
 *
 * The graph keeps a topological order at all times. So a path between two groups can only lead through groups between them, which bounds the
 * search for cycles; a merge moves what the later one needs before it and what needs the earlier one behind it, within that stretch (the
 * algorithm of Pearce and Kelly). Searches have a budget, and give up on the fusion rather than on time.
 */
import { expectDefined, InternalError } from "../core/mod.ts";
import type { BufferRef } from "../loops/mod.ts";
import { readBuffers, scatteredBuffers, writtenBuffers } from "./dependencies.ts";
import type { Group } from "./groups.ts";

/** A group in the graph. Dead once it has been merged. */
export interface FusionNode {
  readonly id: number;
  readonly group: Group;
  readonly first: number;
  readonly last: number;
  readonly needs: Set<FusionNode>;
  readonly users: Set<FusionNode>;
  /** Position in the graph's order: greater than that of everything it needs. */
  order: number;
  isAlive: boolean;
}

/** Groups that one search for a path may visit. */
const SEARCH_BUDGET = 256;

/** Groups, their order, and tables by buffer. */
export class FusionGraph {
  readonly #nodes = new Set<FusionNode>();
  readonly #writers = new Map<BufferRef, Set<FusionNode>>();
  readonly #readers = new Map<BufferRef, Set<FusionNode>>();
  #nextId = 0;

  /** `groups` come in an order that respects dependencies. */
  constructor(groups: readonly Group[]) {
    groups.forEach((group, at) => {
      const node = this.#add(group, at, at, at);
      const needed = [...readBuffers(group), ...scatteredBuffers(group)];
      for (const buffer of needed) {
        for (const writer of this.#writers.get(buffer) ?? []) if (writer !== node) link(writer, node);
      }
      this.#index(node);
    });
  }

  /** Groups that are alive. */
  get nodes(): FusionNode[] {
    return [...this.#nodes];
  }

  /** Groups that write the buffer. */
  writersOf(buffer: BufferRef): ReadonlySet<FusionNode> {
    return this.#writers.get(buffer) ?? new Set();
  }

  /** Groups that read the buffer from memory. */
  readersOf(buffer: BufferRef): ReadonlySet<FusionNode> {
    return this.#readers.get(buffer) ?? new Set();
  }

  #add(group: Group, first: number, last: number, order: number): FusionNode {
    const node: FusionNode = {
      id: this.#nextId++,
      group,
      first,
      last,
      needs: new Set(),
      users: new Set(),
      order,
      isAlive: true,
    };
    this.#nodes.add(node);
    return node;
  }

  #index(node: FusionNode): void {
    for (const b of writtenBuffers(node.group)) putIn(this.#writers, b, node);
    for (const b of readBuffers(node.group)) putIn(this.#readers, b, node);
  }

  #unindex(node: FusionNode): void {
    for (const b of writtenBuffers(node.group)) this.#writers.get(b)?.delete(node);
    for (const b of readBuffers(node.group)) this.#readers.get(b)?.delete(node);
  }

  /**
   * Why running both in one kernel would need something that needs the kernel, or null if it would not: a path between them through
   * a third group.
   */
  cycleReason(a: FusionNode, b: FusionNode): string | null {
    const stretch = this.#stretch(a, b);
    if (stretch === null) return "too many groups lie between them to rule out a cycle";
    if (stretch.isCycle) return "another kernel between them needs the first and is needed by the second";
    return null;
  }

  /** What lies between two groups: what the later one needs, what needs the earlier one. Null if the budget ran out. */
  #stretch(a: FusionNode, b: FusionNode): Stretch | null {
    const [early, late] = a.order < b.order ? [a, b] : [b, a];
    const before = reach(late, early, (n) => n.needs, (n) => n.order > early.order);
    if (before === null) return null;
    if (before === "met") return { isCycle: true, before: [], after: [] };
    const after = reach(early, late, (n) => n.users, (n) => n.order < late.order);
    if (after === null) return null;
    return { isCycle: after === "met", before, after: after === "met" ? [] : after };
  }

  /** Replaces both by their fusion. There must be no path between them through a third group. */
  merge(a: FusionNode, b: FusionNode, group: Group): FusionNode {
    const stretch = this.#stretch(a, b);
    if (stretch === null || stretch.isCycle) throw new InternalError("fusion would close a cycle");
    const byOrder = (x: FusionNode, y: FusionNode): number => x.order - y.order;
    const before = stretch.before.sort(byOrder);
    const after = stretch.after.sort(byOrder);
    const slots = [...before, ...after, a, b].map((n) => n.order).sort((x, y) => x - y);
    before.forEach((node, i) => node.order = slots[i] ?? node.order);
    after.forEach((node, i) => node.order = slots[slots.length - after.length + i] ?? node.order);
    const order = expectDefined(slots[before.length], "the place of a merged group");
    const merged = this.#add(group, Math.min(a.first, b.first), Math.max(a.last, b.last), order);
    for (const old of [a, b]) {
      old.isAlive = false;
      this.#nodes.delete(old);
      this.#unindex(old);
      for (const need of old.needs) {
        need.users.delete(old);
        if (need !== a && need !== b) link(need, merged);
      }
      for (const user of old.users) {
        user.needs.delete(old);
        if (user !== a && user !== b) link(merged, user);
      }
    }
    this.#index(merged);
    return merged;
  }

  /** All groups in the graph's order. */
  inOrder(): FusionNode[] {
    const out = this.nodes.sort((x, y) => x.order - y.order);
    for (const node of out) {
      for (const need of node.needs) {
        if (need.order >= node.order) throw new InternalError("the order of groups is broken");
      }
    }
    return out;
  }
}

interface Stretch {
  readonly isCycle: boolean;
  readonly before: FusionNode[];
  readonly after: FusionNode[];
}

/** What `start` reaches by `next` among groups that are `inside`; "met" if a path of more than one step leads to `goal`. */
function reach(
  start: FusionNode,
  goal: FusionNode,
  next: (node: FusionNode) => ReadonlySet<FusionNode>,
  inside: (node: FusionNode) => boolean,
): FusionNode[] | "met" | null {
  const seen = new Set<FusionNode>();
  const stack: FusionNode[] = [start];
  while (stack.length > 0) {
    const node = stack.pop() as FusionNode;
    for (const other of next(node)) {
      if (other === goal) {
        if (node !== start) return "met";
        continue;
      }
      if (seen.has(other) || !inside(other)) continue;
      if (seen.size === SEARCH_BUDGET) return null;
      seen.add(other);
      stack.push(other);
    }
  }
  return [...seen];
}

function link(from: FusionNode, to: FusionNode): void {
  from.users.add(to);
  to.needs.add(from);
}

function putIn<K, V>(map: Map<K, Set<V>>, key: K, value: V): void {
  const set = map.get(key);
  if (set === undefined) map.set(key, new Set([value]));
  else set.add(value);
}

/** A binary heap: the least element first. */
export class MinHeap<T> {
  readonly #items: T[] = [];
  readonly #compare: (a: T, b: T) => number;

  constructor(compare: (a: T, b: T) => number) {
    this.#compare = compare;
  }

  /** Adds an element. */
  push(item: T): void {
    const items = this.#items;
    let at = items.length;
    items.push(item);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (this.#compare(items[parent] as T, item) <= 0) break;
      items[at] = items[parent] as T;
      at = parent;
    }
    items[at] = item;
  }

  /** Takes the least element. */
  pop(): T | undefined {
    const items = this.#items;
    const top = items[0];
    const last = items.pop();
    if (last === undefined || items.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && this.#compare(items[child + 1] as T, items[child] as T) < 0) child++;
      if (this.#compare(last, items[child] as T) <= 0) break;
      items[at] = items[child] as T;
      at = child;
    }
    items[at] = last;
    return top;
  }
}
