/**
 * Writes tensors, on any device and of any strides, as safetensors files.
 */
import { readElementsAsync } from "../../tensor/read.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { writeTensorParts } from "./write_parts.ts";

/** Tensors by name. */
export type NamedTensors = ReadonlyMap<string, Tensor> | Readonly<Record<string, Tensor>>;

/**
 * Writes tensors to a safetensors file.
 *
 * @param metadata Texts for `__metadata__`.
 * @throws {TypeError} for tensors without data; the errors of writing files.
 *
 * @example
 * ```ts ignore
 * await saveSafetensors("out.safetensors", { output_0: tensor([1, 2, 3]) });
 * ```
 */
export async function saveSafetensors(
  path: string,
  tensors: NamedTensors,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const pairs = tensors instanceof Map ? [...tensors] : Object.entries(tensors as Readonly<Record<string, Tensor>>);
  const parts = pairs.map(([name, tensor]: [string, Tensor]) => ({
    name,
    dtype: tensor.dtype,
    shape: tensor.shape.map(Number),
    read: async (): Promise<Uint8Array<ArrayBuffer>> => {
      const raw = await readElementsAsync(tensor);
      return new Uint8Array(raw.buffer, raw.byteOffset, raw.byteLength);
    },
  }));
  await writeTensorParts(path, parts, metadata);
}
