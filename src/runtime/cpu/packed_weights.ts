/**
 * The memory in which kernels keep packed weights from call to call.
 *
 * Each packed weight has 64 bytes, the first eight of which are its state, and its elements behind. Before a call the state says whether the kernel has to pack; it leaves 1 where it has.
 */
import { cpuAllocator, type CpuBuffer } from "./memory.ts";

/** The kernels know these numbers. */
const PACK = 0n, PACK_AND_GIVE_BACK = 2n;

/** Where a packed weight lies, and what it is made of. */
export interface PackedPlace {
  /** Where it begins, in bytes. */
  readonly offset: number;
  /** Bytes of the elements. */
  readonly bytes: number;
  /** The attributes that it is made of. */
  readonly attributes: readonly number[];
  /** No other launch reads them. */
  readonly sole: boolean;
}

/** Bytes of the memory of packed weights. */
export function packedBytes(places: readonly PackedPlace[]): number {
  return places.reduce((end, k) => Math.max(end, k.offset + 64 + k.bytes), 0);
}

/** The state that has the next call pack; `clean` as in {@linkcode PackedWeights.repack}. */
export function packedState({ sole }: PackedPlace, clean: boolean): bigint {
  return clean && sole ? PACK_AND_GIVE_BACK : PACK;
}

/** States and elements of packed weights. */
export class PackedWeights {
  readonly places: readonly PackedPlace[];
  readonly memory: CpuBuffer;

  /** All are to be packed. */
  constructor(places: readonly PackedPlace[]) {
    this.places = places;
    this.memory = cpuAllocator().allocate(packedBytes(places));
    for (let i = 0; i < places.length; i++) this.repack(i, false);
  }

  /**
   * Has the next call pack a weight.
   *
   * @param clean what it is made of lies in pages of mapped files that nobody wrote to; they are given back once the weight is packed, if no other launch reads them
   */
  repack(i: number, clean: boolean): void {
    const place = this.places[i];
    if (place !== undefined) this.#states(i)[0] = packedState(place, clean);
  }

  /** For each packed weight: 1 if it is packed, else it will be by the next call. */
  states(): number[] {
    return this.places.map((_, i) => Number(this.#states(i)[0]));
  }

  #states(i: number): BigInt64Array<ArrayBuffer> {
    const { storage, byteOffset } = this.memory;
    return new BigInt64Array(storage, byteOffset + (this.places[i]?.offset ?? 0), 1);
  }
}
