/**
 * The packed weights of a compiled graph, from call to call.
 *
 * Enters: which attributes the kernels keep packed, and before each call the tensors. Leaves: states that tell the kernels to pack again what was written or exchanged
 * since, and to give back the pages of a mapped file that only the packed form was made from, so that a program's weights are not twice in memory. Invariant: no
 * packed form that a kernel reads is older than its tensor.
 */
import { type CpuBuffer, isMapped, type PackedPlace, PackedWeights } from "../runtime/cpu/mod.ts";
import type { Storage, Tensor } from "../tensor/mod.ts";

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
  readonly #packed: PackedWeights;
  /** For each packed weight, what its attributes were when it was packed last; null: not known. */
  readonly #seen: (readonly Seen[] | null)[];

  constructor(places: readonly PackedPlace[]) {
    this.#packed = new PackedWeights(places);
    this.#seen = places.map(() => null);
  }

  /** States and elements. */
  get memory(): CpuBuffer {
    return this.#packed.memory;
  }

  /** Looks at the attributes of a call; null: nothing is known of them. */
  check(attributes: readonly Tensor[] | null): void {
    for (const [i, { attributes: sources }] of this.#packed.places.entries()) {
      if (attributes === null) {
        this.#seen[i] = null;
        this.#packed.repack(i, false);
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
      this.#packed.repack(i, isClean);
    }
  }

  /** For each packed weight: 1 if it is packed, else it will be by the next call. */
  states(): number[] {
    return this.#packed.states();
  }
}
