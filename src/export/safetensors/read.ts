/**
 * Reads safetensors files: tensors over the mapped file, without a copy.
 *
 * Enters: a path. Leaves: CPU tensors whose memory is the file's pages, read from disk when first touched. The mapping is private, so writing
 * to a tensor never changes the file. A tensor whose data are not aligned for its dtype is copied.
 */
import { cpu } from "../../core/mod.ts";
import { mapFile } from "../../runtime/cpu/mapped_file.ts";
import { Storage, Tensor } from "../../tensor/tensor.ts";
import { alignedBuffer, FormatError, quoteName } from "../zip/archive.ts";
import { parseHeader, type SafetensorsEntry, type SafetensorsHeader } from "./header.ts";

/** An open safetensors file. */
export class SafetensorsFile {
  readonly #label: string;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #header: SafetensorsHeader;
  readonly #tensors = new Map<string, Tensor>();

  /** Reads the header of a file in memory; `label` is what errors call it. @throws {FormatError} */
  constructor(bytes: Uint8Array<ArrayBuffer>, label: string) {
    this.#label = label;
    this.#bytes = bytes;
    this.#header = parseHeader(bytes, label);
  }

  /** Names in the order of the header. */
  get names(): string[] {
    return [...this.#header.entries.keys()];
  }

  /** Names, dtypes, shapes, positions. */
  get entries(): SafetensorsEntry[] {
    return [...this.#header.entries.values()];
  }

  /** The texts under `__metadata__`. */
  get metadata(): Readonly<Record<string, string>> {
    return this.#header.metadata;
  }

  has(name: string): boolean {
    return this.#header.entries.has(name);
  }

  /**
   * One tensor, on the CPU; the same object each time.
   *
   * @throws {FormatError} if there is none of this name; {TypeError} if its dtype has no tensors in Tessera.
   */
  tensor(name: string): Tensor {
    const known = this.#tensors.get(name);
    if (known !== undefined) return known;
    const entry = this.#header.entries.get(name);
    if (entry === undefined) throw new FormatError(`${this.#label}: there is no tensor ${quoteName(name)}`);
    const { dtype, dtypeName, shape, start, end } = entry;
    if (dtype === null) {
      throw new TypeError(
        `${this.#label}: tensor ${quoteName(name)} is ${dtypeName}, of which there are no tensors here`,
      );
    }
    const alignment = dtype.isComplex ? dtype.bytes / 2 : dtype.bytes;
    const storage = new Storage(alignedBuffer(this.#bytes.subarray(start, end), alignment));
    const made = new Tensor({ shape, dtype, device: cpu, storage });
    this.#tensors.set(name, made);
    return made;
  }

  /** All tensors by name. */
  tensors(): Map<string, Tensor> {
    return new Map(this.names.map((name) => [name, this.tensor(name)]));
  }
}

/**
 * Opens a safetensors file.
 *
 * @throws {FormatError} if the file breaks the format; {Deno.errors.NotFound} and the like.
 *
 * @example
 * ```ts ignore
 * const weights = openSafetensors("model.safetensors");
 * console.log(weights.names, weights.tensor("embed.weight").shape);
 * ```
 */
export function openSafetensors(path: string): SafetensorsFile {
  return new SafetensorsFile(mapFile(path).uint8, path);
}

/** All tensors of a safetensors file by name; errors as in {@linkcode openSafetensors}. */
export function loadSafetensors(path: string): Map<string, Tensor> {
  return openSafetensors(path).tensors();
}
