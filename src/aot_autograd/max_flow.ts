/**
 * Maximum flow and minimum cut in a directed graph with capacities: Dinic's algorithm.
 */

interface Edge {
  readonly to: number;
  capacity: number;
  /** Position of the opposite edge in `to`'s list. */
  readonly back: number;
}

/** A flow network; vertices are numbers from 0. */
export class FlowNetwork {
  readonly #edges: Edge[][] = [];

  /** Adds a vertex and returns its number. */
  vertex(): number {
    return this.#edges.push([]) - 1;
  }

  /** Adds an edge. */
  edge(from: number, to: number, capacity: number): void {
    const forth = this.#edges[from] ?? [];
    const back = this.#edges[to] ?? [];
    forth.push({ to, capacity, back: back.length });
    back.push({ to: from, capacity: 0, back: forth.length - 1 });
  }

  /** Pushes as much as possible from `source` to `sink` and returns the vertices that the source still reaches. */
  minimumCut(source: number, sink: number): ReadonlySet<number> {
    for (;;) {
      const level = this.#levels(source);
      if (level[sink] === undefined || level[sink] < 0) {
        return new Set(level.flatMap((l, v) => l >= 0 ? [v] : []));
      }
      const next = new Array<number>(this.#edges.length).fill(0);
      while (this.#augment(source, sink, level, next));
    }
  }

  /** Distances over edges with capacity left; -1 where there is no way. */
  #levels(source: number): number[] {
    const level = new Array<number>(this.#edges.length).fill(-1);
    level[source] = 0;
    const queue = [source];
    for (let at = 0; at < queue.length; at++) {
      const v = queue[at] ?? 0;
      for (const e of this.#edges[v] ?? []) {
        if (e.capacity <= 0 || (level[e.to] ?? 0) >= 0) continue;
        level[e.to] = (level[v] ?? 0) + 1;
        queue.push(e.to);
      }
    }
    return level;
  }

  /** Pushes along one path, found depth first without recursion. */
  #augment(source: number, sink: number, level: readonly number[], next: number[]): boolean {
    const path: Edge[] = [];
    let v = source;
    while (v !== sink) {
      const edges = this.#edges[v] ?? [];
      let at = next[v] ?? 0;
      while (at < edges.length) {
        const e = edges[at] as Edge;
        if (e.capacity > 0 && level[e.to] === (level[v] ?? 0) + 1) break;
        at++;
      }
      next[v] = at;
      const e = edges[at];
      if (e !== undefined) {
        path.push(e);
        v = e.to;
        continue;
      }
      const last = path.pop();
      if (last === undefined) return false;
      v = (this.#edges[last.to]?.[last.back] as Edge).to;
      next[v] = (next[v] ?? 0) + 1;
    }
    let amount = Infinity;
    for (const e of path) amount = Math.min(amount, e.capacity);
    for (const e of path) {
      e.capacity -= amount;
      const opposite = this.#edges[e.to]?.[e.back] as Edge;
      opposite.capacity += amount;
    }
    return true;
  }
}
