/**
 * The memory plan: where in the arena each intermediate buffer lies, so that buffers that are never alive together share memory.
 *
 * One walk over the launches with a list of free blocks: what a launch writes takes the smallest free block that is large enough (or
 * grows the arena), what it was the last to read becomes free afterwards, and neighbours coalesce. An output may take over the block of an input that
 * dies in the same launch, where the caller says that this is safe. Sizes that are expressions live in blocks of their own
 * behind the static part, reused where the new size is provably not larger. Mirrors `memory_planning.py` and the reuse lines of TorchInductor's wrapper.
 */
import { InternalError } from "../core/mod.ts";
import type { BufferRef } from "../loops/mod.ts";
import { add, ceilDiv, constant, type Expr, mul, provablyLe } from "../symbolic/mod.ts";

/** Alignment of every buffer, in bytes: a cache line, and the widest vector. */
export const ALIGNMENT = 64;

/** What one launch does to the arena's buffers. */
export interface MemoryStep {
  /** Arena buffers written for the first time. */
  readonly allocates: readonly BufferRef[];
  /** Arena buffers touched for the last time. */
  readonly frees: readonly BufferRef[];
  /** A written buffer may lie where this one, freed by the same launch, lies. */
  readonly inPlace: ReadonlyMap<BufferRef, readonly BufferRef[]>;
}

/** Where a buffer lies. */
export interface Placement {
  readonly offset: Expr;
  readonly bytes: Expr;
}

/** The arena's layout. */
export interface MemoryPlan {
  readonly placements: ReadonlyMap<BufferRef, Placement>;
  readonly arenaBytes: Expr;
  /** Written buffers that took over the memory of one read in the same launch. */
  readonly reusedInPlace: ReadonlyMap<BufferRef, BufferRef>;
}

/** Bytes of a buffer, rounded up to the alignment. */
export function alignedBytes(buffer: BufferRef): Expr {
  const bytes = mul(buffer.numel, buffer.dtype.bytes);
  return mul(ceilDiv(bytes, ALIGNMENT), ALIGNMENT);
}

interface Block {
  readonly offset: number;
  readonly bytes: number;
}

/** Free parts of the static arena, by offset. */
class FreeList {
  #blocks: Block[] = [];
  #end = 0;

  get end(): number {
    return this.#end;
  }

  take(bytes: number): number {
    if (bytes === 0) return 0;
    let best = -1;
    for (let i = 0; i < this.#blocks.length; i++) {
      const block = this.#blocks[i];
      if (block === undefined || block.bytes < bytes) continue;
      if (best < 0 || block.bytes < (this.#blocks[best]?.bytes ?? 0)) best = i;
    }
    const found = this.#blocks[best];
    if (found !== undefined) {
      if (found.bytes === bytes) this.#blocks.splice(best, 1);
      else this.#blocks[best] = { offset: found.offset + bytes, bytes: found.bytes - bytes };
      return found.offset;
    }
    // A free block at the very end grows with the arena.
    const last = this.#blocks.at(-1);
    if (last !== undefined && last.offset + last.bytes === this.#end) {
      this.#blocks.pop();
      this.#end = last.offset + bytes;
      return last.offset;
    }
    const offset = this.#end;
    this.#end += bytes;
    return offset;
  }

  give(offset: number, bytes: number): void {
    if (bytes === 0) return;
    let low = 0;
    let high = this.#blocks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#blocks[middle]?.offset ?? 0) < offset) low = middle + 1;
      else high = middle;
    }
    let start = offset;
    let size = bytes;
    let remove = 0;
    let at = low;
    const before = this.#blocks[low - 1];
    if (before !== undefined && before.offset + before.bytes === offset) {
      start = before.offset;
      size += before.bytes;
      at = low - 1;
      remove++;
    }
    const after = this.#blocks[low];
    if (after !== undefined && after.offset === offset + bytes) {
      size += after.bytes;
      remove++;
    }
    this.#blocks.splice(at, remove, { offset: start, bytes: size });
  }
}

/** A block of symbolic size behind the static arena. */
interface SymbolicBlock {
  readonly bytes: Expr;
  readonly index: number;
}

/** Plans the arena. With `reuse` false, every buffer gets a place of its own. */
export function planMemory(steps: readonly MemoryStep[], reuse: boolean): MemoryPlan {
  const statics = new FreeList();
  const staticAt = new Map<BufferRef, Block>();
  const symbolic: SymbolicBlock[] = [];
  const symbolicFree: SymbolicBlock[] = [];
  const symbolicAt = new Map<BufferRef, SymbolicBlock>();
  const sizes = new Map<BufferRef, Expr>();
  const reusedInPlace = new Map<BufferRef, BufferRef>();

  const allocate = (buffer: BufferRef, bytes: Expr): void => {
    if (bytes.kind === "const") {
      staticAt.set(buffer, { offset: statics.take(bytes.value), bytes: bytes.value });
      return;
    }
    let at = symbolicFree.findIndex((b) => b.bytes === bytes);
    if (at < 0) at = symbolicFree.findIndex((b) => provablyLe(bytes, b.bytes));
    const found = at < 0 ? undefined : symbolicFree.splice(at, 1)[0];
    const block = found ?? { bytes, index: symbolic.length };
    if (found === undefined) symbolic.push(block);
    symbolicAt.set(buffer, block);
  };
  const free = (buffer: BufferRef): void => {
    const block = staticAt.get(buffer);
    if (block !== undefined) return statics.give(block.offset, block.bytes);
    const other = symbolicAt.get(buffer);
    if (other === undefined) throw new InternalError(`memory plan: ${buffer.label} is freed but was never written`);
    symbolicFree.push(other);
  };

  for (const step of steps) {
    const taken = new Set<BufferRef>();
    for (const buffer of step.allocates) {
      if (sizes.has(buffer)) throw new InternalError(`memory plan: ${buffer.label} is allocated twice`);
      const bytes = alignedBytes(buffer);
      sizes.set(buffer, bytes);
      const donor = reuse
        ? step.inPlace.get(buffer)?.find((d) => sizes.get(d) === bytes && step.frees.includes(d) && !taken.has(d))
        : undefined;
      if (donor === undefined) {
        allocate(buffer, bytes);
        continue;
      }
      taken.add(donor);
      reusedInPlace.set(buffer, donor);
      const block = staticAt.get(donor);
      const other = symbolicAt.get(donor);
      if (block !== undefined) staticAt.set(buffer, block);
      else if (other !== undefined) symbolicAt.set(buffer, other);
    }
    if (reuse) { for (const buffer of step.frees) if (!taken.has(buffer)) free(buffer); }
  }

  let end = constant(statics.end);
  const offsets = symbolic.map((block) => {
    const offset = end;
    end = add(end, block.bytes);
    return offset;
  });
  const placements = new Map<BufferRef, Placement>();
  for (const [buffer, bytes] of sizes) {
    const block = staticAt.get(buffer);
    const other = symbolicAt.get(buffer);
    const offset = block !== undefined ? constant(block.offset) : offsets[other?.index ?? -1];
    if (offset === undefined) throw new InternalError(`memory plan: ${buffer.label} has no place`);
    placements.set(buffer, { offset, bytes });
  }
  return { placements, arenaBytes: end, reusedInPlace };
}
