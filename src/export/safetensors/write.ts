/**
 * Writes safetensors files.
 *
 * Enters: tensors by name, on any device and of any strides. Leaves: a file in which each tensor is contiguous and aligned to 8 bytes at
 * least where its dtype needs it: wider dtypes stand first, and the header is padded. It is written beside its place and renamed, so that nobody
 * sees half of it.
 */
import { readElementsAsync } from "../../tensor/read.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { safetensorsDtype } from "./header.ts";

/** Tensors by name. */
export type NamedTensors = ReadonlyMap<string, Tensor> | Readonly<Record<string, Tensor>>;

const HEADER_ALIGNMENT = 8;

interface Slot {
  readonly name: string;
  readonly tensor: Tensor;
  readonly bytes: number;
}

/** The header's bytes, its length included, and the tensors in the order of their data. */
function layout(tensors: NamedTensors, metadata: Readonly<Record<string, string>>): [Uint8Array<ArrayBuffer>, Slot[]] {
  const pairs = tensors instanceof Map ? [...tensors] : Object.entries(tensors as Readonly<Record<string, Tensor>>);
  const slots: Slot[] = pairs.map(([name, tensor]: [string, Tensor]) => {
    if (name === "__metadata__") throw new RangeError('safetensors: a tensor cannot be called "__metadata__"');
    return { name, tensor, bytes: tensor.numel * tensor.dtype.bytes };
  });
  slots.sort((a, b) => b.tensor.dtype.bytes - a.tensor.dtype.bytes);
  const header: [string, unknown][] = Object.keys(metadata).length > 0 ? [["__metadata__", metadata]] : [];
  let at = 0;
  for (const { name, tensor, bytes } of slots) {
    const shape = tensor.shape.map(Number);
    header.push([name, { dtype: safetensorsDtype(tensor.dtype), shape, data_offsets: [at, at + bytes] }]);
    at += bytes;
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  const length = Math.ceil(json.length / HEADER_ALIGNMENT) * HEADER_ALIGNMENT;
  const bytes = new Uint8Array(8 + length).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(json, 8);
  return [bytes, slots];
}

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
  const [header, slots] = layout(tensors, metadata);
  const temporary = `${path}.${crypto.randomUUID()}.part`;
  const file = await Deno.open(temporary, { write: true, createNew: true });
  try {
    try {
      const writer = file.writable.getWriter();
      await writer.write(header);
      for (const { tensor } of slots) {
        const raw = await readElementsAsync(tensor);
        await writer.write(new Uint8Array(raw.buffer, raw.byteOffset, raw.byteLength));
      }
      await writer.close();
    } catch (error) {
      // The stream closes the file when it fails; closing twice is what is ignored here.
      try {
        file.close();
      } catch { /* closed already */ }
      throw error;
    }
    await Deno.rename(temporary, path);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw error;
  }
}
