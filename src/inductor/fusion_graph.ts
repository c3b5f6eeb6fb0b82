/**
 * The graph of groups while they are fused: who needs whom, who touches which buffer, and whether a fusion would close a cycle.
 *
 * Every group carries the span of launch positions that it came from. A group can depend on another one only if its span reaches beyond the
 * other's start, which prunes the search for cycles; the search also has a budget, and gives up on the fusion rather than on time.
 */
import { expectDefined } from "../core/mod.ts";
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
      const node = this.#add(group, at, at);
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

  #add(group: Group, first: number, last: number): FusionNode {
    const node: FusionNode = {
      id: this.#nextId++,
      group,
      first,
      last,
      needs: new Set(),
      users: new Set(),
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
    for (const [from, to] of [[a, b], [b, a]] as const) {
      const found = this.#hasDetour(from, to);
      if (found === null) return "too many groups lie between them to rule out a cycle";
      if (found) return "another kernel between them needs the first and is needed by the second";
    }
    return null;
  }

  /** Tells whether a path leads from `from` to `to` through a third group; null if the budget ran out. */
  #hasDetour(from: FusionNode, to: FusionNode): boolean | null {
    const seen = new Set<FusionNode>([to]);
    const stack = [...to.needs].filter((n) => n !== from);
    let budget = SEARCH_BUDGET;
    while (stack.length > 0) {
      const node = stack.pop();
      if (node === undefined || seen.has(node)) continue;
      seen.add(node);
      if (node.last < from.first) continue;
      if (budget-- === 0) return null;
      for (const need of node.needs) {
        if (need === from) return true;
        if (!seen.has(need)) stack.push(need);
      }
    }
    return false;
  }

  /** Replaces both by their fusion. */
  merge(a: FusionNode, b: FusionNode, group: Group): FusionNode {
    const merged = this.#add(group, Math.min(a.first, b.first), Math.max(a.last, b.last));
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

  /** All groups in an order that respects dependencies and otherwise stays near the original one. */
  inOrder(): FusionNode[] {
    const waiting = new Map<FusionNode, number>();
    const ready = new MinHeap<FusionNode>((x, y) => x.first - y.first);
    for (const node of this.#nodes) {
      waiting.set(node, node.needs.size);
      if (node.needs.size === 0) ready.push(node);
    }
    const out: FusionNode[] = [];
    for (let node = ready.pop(); node !== undefined; node = ready.pop()) {
      out.push(node);
      for (const user of node.users) {
        const left = expectDefined(waiting.get(user), "a user's count") - 1;
        waiting.set(user, left);
        if (left === 0) ready.push(user);
      }
    }
    return out;
  }
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
