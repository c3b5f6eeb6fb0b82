/**
 * The packed weights of a compiled graph, from call to call.
 *
 * Enters: which attributes the kernels keep packed, and before each call the tensors. Leaves: states that tell the kernels to pack again what was written or exchanged
 * since, and to give back the pages of a mapped file that only the packed form was made from, so that a program's weights are not twice in memory. Invariant: no
 * packed form that a kernel reads is older than its tensor.
 */
import { cpuAllocator, type CpuBuffer, isMapped } from "../runtime/cpu/mod.ts";
import type { Storage, Tensor } from "../tensor/mod.ts";
import type { KeptMemory } from "./codegen/cpp/emit_module.ts";

/** The kernels know these numbers. */
const PACK = 0n, PACK_AND_GIVE_BACK = 2n;

interface Seen {
  readonly storage: Storage;
  readonly offset: number;
  readonly version: number;
}

function isSeen(seen: Seen | undefined, tensor: Tensor | undefined): boolean {
  return seen !== undefined && tensor !== undefined && seen.storage === tensor.storage &&
    seen.version === tensor.storage.version && seen.offset === Number(tensor.storageOffset);
}

/** Packed weights. */
export class KeptWeights {
  /** States and elements. */
  readonly memory: CpuBuffer;
  readonly #keeps: readonly KeptMemory[];
  /** For each packed weight, what its attributes were when it was packed last; null: not known. */
  readonly #seen: (readonly Seen[] | null)[];

  constructor(keeps: readonly KeptMemory[]) {
    this.#keeps = keeps;
    this.#seen = keeps.map(() => null);
    this.memory = cpuAllocator().allocate(keeps.reduce((end, k) => Math.max(end, k.offset + 64 + k.bytes), 0));
    for (let i = 0; i < keeps.length; i++) this.#state(i, PACK);
  }

  /** Looks at the attributes of a call; null: nothing is known of them. */
  check(attributes: readonly Tensor[] | null): void {
    for (let i = 0; i < this.#keeps.length; i++) {
      const sources = this.#keeps[i]?.attributes ?? [];
      if (attributes === null) {
        this.#seen[i] = null;
        this.#state(i, PACK);
        continue;
      }
      const seen = this.#seen[i] ?? null;
      if (seen !== null && sources.every((at, n) => isSeen(seen[n], attributes[at]))) continue;
      const now = sources.flatMap((at) => attributes[at] ?? []);
      this.#seen[i] = now.map(({ storage, storageOffset }) => ({
        storage,
        offset: Number(storageOffset),
        version: storage.version,
      }));
      // A page that was written is in no file.
      const isClean = now.every(({ storage }) =>
        storage.version === 0 && storage.buffer !== null && isMapped(storage.buffer as CpuBuffer)
      );
      this.#state(i, isClean && this.#keeps[i]?.sole === true ? PACK_AND_GIVE_BACK : PACK);
    }
  }

  /** For each packed weight: 1 if it is packed, else it will be by the next call. */
  states(): number[] {
    const { storage, byteOffset } = this.memory;
    return this.#keeps.map(({ offset }) => Number(new BigInt64Array(storage, byteOffset + offset, 1)[0]));
  }

  #state(i: number, state: bigint): void {
    const { storage, byteOffset } = this.memory;
    new BigInt64Array(storage, byteOffset + (this.#keeps[i]?.offset ?? 0), 1)[0] = state;
  }
}
