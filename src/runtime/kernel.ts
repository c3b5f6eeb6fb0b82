/**
 * What runs a compiled plan, whatever language its kernels are in.
 *
 * A plan addresses memory by slots. The caller owns the slots of inputs, attributes and outputs and passes their buffers; the arena's slots are ranges
 * of one buffer that the executable owns and keeps between calls; an alias is another slot's memory under its own number.
 * {@linkcode SlotTable} keeps the whole list without allocating in a call whose sizes have not changed.
 */
import type { Buffer } from "./buffer.ts";
import { cpuAllocator, type CpuBuffer, CpuBuffer as Cpu } from "./cpu/memory.ts";

/** Where a slot's memory comes from. Offsets and byte counts are functions of the plan's sizes. */
export type SlotSource =
  /**
   * The caller's memory; `given` if it holds data that the plan reads and, unless another slot is its alias, never writes; `held` if it belongs to the plan, as parameters do: it is where it was
   * in the call before unless the caller says otherwise.
   */
  | { readonly kind: "external"; readonly given?: boolean; readonly held?: boolean }
  | { readonly kind: "alias"; readonly of: number }
  | {
    readonly kind: "arena";
    readonly offset: (sizes: readonly number[]) => number;
    readonly bytes: (sizes: readonly number[]) => number;
  };

/** A compiled plan that can be run, on memory of one kind. Not reentrant. */
export interface Executable<B extends Buffer = CpuBuffer> {
  /** `"js"`, `"cpp"` or `"cuda"`. */
  readonly tier: string;
  /**
   * Runs all steps. `buffers` has one entry for each slot, in order; what stands at slots that are not external is ignored. `sizes` are the values
   * of the plan's size symbols.
   *
   * @throws {RangeError} if a gather or scatter meets an index outside of its dimension
   * @throws {OutOfMemoryError} if a kernel gets no working memory
   */
  run(buffers: readonly (B | undefined)[], sizes: readonly number[]): void;
}

/** The buffers of all slots of a plan, in the CPU's memory. Devices count in addresses: see `cuda/binding.ts`. */
export class SlotTable {
  readonly buffers: CpuBuffer[] = [];
  readonly #sources: readonly SlotSource[];
  readonly #arenaBytes: (sizes: readonly number[]) => number;
  readonly #external: number[] = [];
  readonly #aliases: (readonly [number, number])[] = [];
  #arena: CpuBuffer | null = null;
  #sizes: number[] | null = null;

  constructor(sources: readonly SlotSource[], arenaBytes: (sizes: readonly number[]) => number) {
    this.#sources = sources;
    this.#arenaBytes = arenaBytes;
    sources.forEach((source, i) => {
      if (source.kind === "external") this.#external.push(i);
      if (source.kind === "alias") this.#aliases.push([i, source.of]);
    });
  }

  /** Fills {@linkcode SlotTable.buffers} for a call. Returns whether the arena moved. */
  bind(buffers: readonly (CpuBuffer | undefined)[], sizes: readonly number[]): boolean {
    const moved = !this.#hasSizes(sizes);
    if (moved) this.#layOut(sizes);
    for (const slot of this.#external) {
      const buffer = buffers[slot];
      if (buffer === undefined) throw new TypeError(`run() got no buffer for slot ${slot} of ${this.#sources.length}`);
      this.buffers[slot] = buffer;
    }
    for (const [slot, of] of this.#aliases) this.buffers[slot] = this.buffers[of] as CpuBuffer;
    return moved;
  }

  /** The address of the arena. */
  get arenaAddress(): number {
    return this.#arena === null || this.#arena.byteLength === 0 ? 0 : this.#arena.address;
  }

  /** Lets go of what the caller passed, so that the table keeps no memory alive between calls. */
  release(): void {
    const arena = this.#arena;
    if (arena === null) return;
    for (const slot of this.#external) this.buffers[slot] = arena;
    for (const [slot] of this.#aliases) this.buffers[slot] = arena;
  }

  #hasSizes(sizes: readonly number[]): boolean {
    const known = this.#sizes;
    if (known === null || known.length !== sizes.length) return false;
    for (let i = 0; i < sizes.length; i++) if (known[i] !== sizes[i]) return false;
    return true;
  }

  #layOut(sizes: readonly number[]): void {
    const bytes = this.#arenaBytes(sizes);
    const arena = cpuAllocator().allocate(bytes).pin();
    this.#arena = arena;
    this.#sizes = [...sizes];
    this.#sources.forEach((source, i) => {
      if (source.kind !== "arena") {
        this.buffers[i] = arena;
        return;
      }
      const length = source.bytes(sizes);
      this.buffers[i] = Cpu.wrap(new Uint8Array(arena.storage, arena.byteOffset + source.offset(sizes), length));
    });
  }
}
