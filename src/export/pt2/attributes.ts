/**
 * The tensors that a program holds: parameters, buffers, constants, loaded when first asked for.
 *
 * Enters: the checked configuration and how to get a file's bytes. Leaves: tensors over those bytes, without a copy where they are aligned. Paths that
 * share a file share memory, as tied weights do. Invariant: shape, strides and offset of a tensor stay inside its file.
 */
import { cpu, type Device } from "../../core/mod.ts";
import type { Size } from "../../symbolic/mod.ts";
import { deviceMemory } from "../../tensor/memory.ts";
import { spanOf } from "../../tensor/read.ts";
import { allocateStorage, Storage, Tensor } from "../../tensor/tensor.ts";
import { alignedBuffer, FormatError, quoteName } from "../zip/archive.ts";
import type { PayloadData, SymValue } from "./schema.ts";
import { dtypeCodeName, dtypeOfCode } from "./types.ts";

/** Bytes of a file. */
export interface FilePlace {
  readonly offset: number;
  readonly byteLength: number;
}

/** One entry of a weights or constants configuration. */
export interface Payload extends PayloadData {
  /** The size of the file in bytes. */
  readonly byteLength: number;
  /** Identifies the file: equal keys share memory. */
  readonly file: string;
  /** The file's bytes, verified. */
  readonly read: () => Uint8Array<ArrayBuffer>;
  /** Where the bytes lie in the archive; null where they do not lie there as they are. */
  readonly place: () => FilePlace | null;
}

/** What is known of an attribute without loading it. */
export interface AttributeInfo {
  readonly path: string;
  readonly isParameter: boolean;
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Identifies the memory: tied weights share it. */
  readonly file: string;
  /** Size of the memory in bytes. */
  readonly byteLength: number;
}

function plain(values: readonly SymValue<number>[], where: string): number[] {
  return values.map((v) => {
    if (typeof v === "number") return v;
    throw new FormatError(`${where}: a stored tensor has the symbolic size ${quoteName(v.text)}`);
  });
}

/** Attributes of one program. */
export class Attributes {
  readonly #label: string;
  readonly #payloads: ReadonlyMap<string, Payload>;
  readonly #device: Device | null;
  readonly #storages = new Map<string, Storage>();
  readonly #tensors = new Map<string, Tensor>();

  /** @param device Where tensors are put; null for where the file says (always the CPU's memory first). */
  constructor(label: string, payloads: ReadonlyMap<string, Payload>, device: Device | null) {
    this.#label = label;
    this.#payloads = payloads;
    this.#device = device;
  }

  get paths(): string[] {
    return [...this.#payloads.keys()];
  }

  has(path: string): boolean {
    return this.#payloads.has(path);
  }

  /** Shape and dtype of a stored tensor. @throws {FormatError} if there is none, or its description is wrong. */
  info(path: string): AttributeInfo {
    const { meta, isParameter, file, byteLength } = this.#described(path);
    const shape = plain(meta.sizes, this.#where(path));
    return { path, isParameter, dtype: dtypeCodeName(meta.dtype), shape, file, byteLength };
  }

  /** Where the memory of this path lies in the archive; null where it does not lie there as it is. @throws {FormatError} as {@linkcode Attributes.info} */
  place(path: string): FilePlace | null {
    return this.#described(path).place();
  }

  /**
   * The tensor of this path; the same object each time.
   *
   * @throws {FormatError} if it is missing, damaged, or does not fit its file; {TypeError} for a dtype without tensors.
   */
  tensor(path: string): Tensor {
    const known = this.#tensors.get(path);
    if (known !== undefined) return known;
    const where = this.#where(path);
    const payload = this.#described(path);
    const { meta } = payload;
    const dtype = dtypeOfCode(meta.dtype);
    if (dtype === null) {
      throw new TypeError(`${where} is ${dtypeCodeName(meta.dtype)}, of which there are no tensors here`);
    }
    const shape = plain(meta.sizes, where), stride = plain(meta.strides, where);
    const [storageOffset = 0] = plain([meta.storageOffset], where);
    const span = spanOf(shape, stride);
    const needed = span === 0 ? 0 : (storageOffset + span) * dtype.bytes;
    if (needed > payload.byteLength) {
      throw new FormatError(
        `${where}: ${dtype.name}[${shape.join(", ")}] needs ${needed} bytes of ${
          quoteName(payload.file)
        }, which has ${payload.byteLength}`,
      );
    }
    const storage = this.#storage(payload, dtype.isComplex ? dtype.bytes / 2 : dtype.bytes);
    const target = this.#device ?? cpu;
    const made = new Tensor({
      shape,
      stride,
      storageOffset: span === 0 ? 0 : storageOffset as Size,
      dtype,
      device: target,
      storage,
    });
    made.isParameter = payload.isParameter;
    this.#tensors.set(path, made);
    return made;
  }

  /** Puts another tensor in the place of a stored one. */
  replace(path: string, tensor: Tensor): void {
    this.#tensors.set(path, tensor);
  }

  #storage(payload: Payload, alignment: number): Storage {
    const key = `${payload.file}/${alignment}`;
    let storage = this.#storages.get(key);
    if (storage === undefined) {
      const bytes = payload.read();
      const device = this.#device ?? cpu;
      if (device === cpu) storage = new Storage(alignedBuffer(bytes, alignment));
      else {
        storage = allocateStorage(device, bytes.length);
        if (storage.buffer !== null && bytes.length > 0) deviceMemory(device).write(storage.buffer, 0, bytes);
      }
      this.#storages.set(key, storage);
    }
    return storage;
  }

  #where(path: string): string {
    return `${this.#label}: attribute ${quoteName(path)}`;
  }

  #described(path: string): Payload & { readonly meta: NonNullable<PayloadData["meta"]> } {
    const payload = this.#payloads.get(path);
    if (payload === undefined) throw new FormatError(`${this.#where(path)}: the file holds no tensor of this path`);
    const { meta } = payload;
    if (payload.pickled || meta === null) {
      throw new FormatError(`${this.#where(path)} is a pickled object, which is not read; export plain tensors`);
    }
    return { ...payload, meta };
  }
}
