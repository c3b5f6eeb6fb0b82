/**
 * Weights of convolutions as tensor cores read them: channels innermost, made once.
 *
 * Enters: a graph of inference on a CUDA device whose weights are attributes that it does not write. A weight `[out, in, …kernel]` is laid out as
 * `[out, …kernel, in]`, a depthwise one as `[…kernel, out]`: the shapes stay, strides change. Images of few channels make no vectors of 16 bytes, so the first
 * convolution of a network reads its input with zeros as further channels, and so does its weight. Elements are moved on the host, which needs no kernel.
 * The other half is `layouts.ts`, which lays out what lies between. Mirrors `freezing.py` (`convert_conv_weights_to_channels_last`) of TorchInductor.
 */
import { InternalError } from "../../core/mod.ts";
import {
  type Argument,
  type CallNode,
  type GetAttrNode,
  type Graph,
  isNode,
  isTensorMeta,
  type Node,
  type TensorMeta,
} from "../../graph/mod.ts";
import { getOp } from "../../ops/mod.ts";
import { CpuBuffer } from "../../runtime/cpu/mod.ts";
import { contiguousStride } from "../../symbolic/mod.ts";
import { allocateStorage, deviceMemory, Tensor } from "../../tensor/mod.ts";
import type { FrozenConstants } from "./frozen.ts";

const CONVOLUTIONS: ReadonlySet<string> = new Set([
  "aten.conv1d.default",
  "aten.conv2d.default",
  "aten.conv3d.default",
  "aten.convolution.default",
]);
/** Elements of a half type that one access moves. */
const LANES = 8;

function argumentAt(node: CallNode, key: string): number {
  return node.target.schema.args.findIndex((a) => a.key === key);
}

function argument(node: CallNode, key: string): Argument {
  return node.args[argumentAt(node, key)] ?? null;
}

type Words =
  | Uint8Array<ArrayBuffer>
  | Uint16Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>
  | BigUint64Array<ArrayBuffer>;

function wordsOver(bytes: Uint8Array<ArrayBuffer>, width: number): Words {
  const aligned = bytes.byteOffset % width === 0 ? bytes : bytes.slice();
  const { buffer, byteOffset, byteLength } = aligned;
  switch (width) {
    case 1:
      return aligned;
    case 2:
      return new Uint16Array(buffer, byteOffset, byteLength / 2);
    case 4:
      return new Uint32Array(buffer, byteOffset, byteLength / 4);
    default:
      return new BigUint64Array(buffer, byteOffset, byteLength / 8);
  }
}

/** The elements in row-major order, as bytes on the host; not to be written. */
export function rowMajorBytes(weight: Tensor): Uint8Array<ArrayBuffer> {
  const dense = weight.contiguous();
  const { storage, storageOffset, numel, dtype, device } = dense;
  const { buffer } = storage;
  const [at, length] = [Number(storageOffset) * dtype.bytes, numel * dtype.bytes];
  if (buffer === null) throw new InternalError("a weight without memory is packed");
  return buffer instanceof CpuBuffer
    ? buffer.uint8.subarray(at, at + length)
    : deviceMemory(device).readSync(buffer, at, length);
}

/** A tensor with row-major elements from bytes of the host. */
export function tensorOfBytes(
  shape: readonly number[],
  { dtype, device }: Pick<Tensor, "dtype" | "device">,
  bytes: Uint8Array<ArrayBuffer>,
): Tensor {
  const storage = allocateStorage(device, bytes.length);
  if (storage.buffer instanceof CpuBuffer) storage.buffer.uint8.set(bytes);
  else if (storage.buffer !== null && bytes.length > 0) deviceMemory(device).write(storage.buffer, 0, bytes);
  return new Tensor({ shape, stride: contiguousStride(shape), storageOffset: 0, dtype, device, storage });
}

/**
 * The weight with dimensions in another order of memory, `order` outermost first, and `channels` inputs and `outputs`, those beyond its own zero.
 * Elements are moved as words, which is several times faster than as numbers.
 */
export function packed(
  weight: Tensor,
  order: readonly number[],
  channels: number,
  outputs: number = Number(weight.shape[0]),
): Tensor {
  const from = wordsOver(rowMajorBytes(weight), weight.dtype.bytes);
  const shape = weight.shape.map(Number);
  const strideFrom = shape.map((_, d) => shape.slice(d + 1).reduce((a, b) => a * b, 1));
  const padded = shape.map((size, d) => d === 1 ? channels : d === 0 ? outputs : size);
  const bytes = new Uint8Array(padded.reduce((a, b) => a * b, 1) * weight.dtype.bytes);
  const to = wordsOver(bytes, weight.dtype.bytes);
  const sizes = order.map((d) => padded[d] ?? 1);
  const steps = order.map((d) => strideFrom[d] ?? 0);
  const inner = order.length - 1;
  const length = sizes[inner] ?? 1, step = steps[inner] ?? 1;
  const filled = shape[order[inner] ?? 0] ?? length;
  const at = new Array<number>(inner).fill(0);
  for (let row = 0; row < to.length; row += length) {
    let base = 0;
    let inside = true;
    for (let d = 0; d < inner; d++) {
      base += (at[d] ?? 0) * (steps[d] ?? 0);
      if ((order[d] ?? 2) < 2 && (at[d] ?? 0) >= (shape[order[d] ?? 0] ?? 1)) inside = false;
    }
    if (inside) moveRow(to, row, from, base, step, filled);
    for (let d = inner - 1; d >= 0; d--) {
      at[d] = (at[d] ?? 0) + 1;
      if ((at[d] ?? 0) < (sizes[d] ?? 1)) break;
      at[d] = 0;
    }
  }
  return tensorOfBytes(sizes, weight, bytes).permute(padded.map((_, d) => order.indexOf(d)));
}

function moveRow(to: Words, row: number, from: Words, base: number, step: number, count: number): void {
  for (let i = 0, source = base; i < count; i++, source += step) to[row + i] = from[source] as never;
}

/** The order in which a weight should lie; null where it lies well: channels that make no vectors are read along the window's rows. */
function orderOf({ shape }: TensorMeta, groups: number, channels: number): readonly number[] | null {
  const spatial = shape.slice(2).map((_, d) => d + 2);
  const window = shape.slice(2).reduce<number>((n, s) => n * Number(s), 1);
  if (groups > 1 && shape[1] === 1) return window === 1 ? null : [...spatial, 1, 0];
  return window === 1 || channels % LANES !== 0 ? null : [0, ...spatial, 1];
}

/** Whether a dense weight lies in this order already. */
function liesIn({ shape, stride }: TensorMeta, order: readonly number[]): boolean {
  let step = 1;
  return [...order].reverse().every((d) => {
    const fits = shape[d] === 1 || stride[d] === step;
    step *= Number(shape[d]);
    return fits;
  });
}

/** How many channels the input of a convolution should have: more than its own where a few zeros make vectors of them. */
function channelsFor(node: CallNode, { shape, dtype }: TensorMeta, groups: number): number {
  const channels = Number(shape[1]);
  const width = Number(shape[shape.length - 1]);
  const input = argument(node, "input");
  const isFirst = isNode(input) && input.op === "placeholder" && isTensorMeta(input.value) &&
    input.value.shape.length === shape.length;
  const fits = groups === 1 && dtype.bytes === 2 && channels < LANES && shape.length > 3;
  // A window that is itself a vector wide is read along its rows.
  return fits && isFirst && width > 1 && width % LANES !== 0 ? LANES : channels;
}

/** The convolution's input with channels of zeros behind its own. */
function widened(graph: Graph, node: CallNode, channels: number): Argument {
  const input = argument(node, "input");
  if (!isNode(input) || !isTensorMeta(input.value)) return input;
  const { shape, dtype, device } = input.value;
  const own = Number(shape[1]);
  const pad = shape.slice(1).reverse().flatMap((_, i) => [0, i === shape.length - 2 ? channels - own : 0]);
  const sizes = shape.map((s, d) => d === 1 ? channels : s);
  const stride = sizes.map((_, d) => sizes.slice(d + 1).reduce<number>((n, s) => n * Number(s), 1));
  const value: TensorMeta = { shape: sizes, stride, storageOffset: 0, dtype, device };
  return graph.call(getOp("aten.constant_pad_nd.default"), [input, pad, 0], value, node.location);
}

/** Packs in place; returns how many weights were packed. `written` are nodes whose memory the graph writes. */
export function packWeights(graph: Graph, constants: FrozenConstants, written: ReadonlySet<Node>): number {
  const known = new Map<string, GetAttrNode>();
  let count = 0;
  for (const node of [...graph.nodes]) {
    if (node.op !== "call" || !CONVOLUTIONS.has(node.target.schema.target)) continue;
    const weight = argument(node, "weight");
    const groups = argument(node, "groups");
    if (argument(node, "transposed") === true || typeof groups !== "number") continue;
    if (!isNode(weight) || weight.op !== "getAttr" || written.has(weight) || !isTensorMeta(weight.value)) continue;
    const { value, path } = weight;
    if (!value.shape.every((s) => typeof s === "number") || value.shape.length < 3) continue;
    const input = argument(node, "input");
    if (!isNode(input) || !isTensorMeta(input.value)) continue;
    // How many images there are may depend on the call.
    if (input.value.shape.slice(1).some((s) => typeof s !== "number")) continue;
    const channels = channelsFor(node, value, groups);
    const order = orderOf(value, groups, channels);
    if (order === null || (channels === value.shape[1] && liesIn(value, order))) continue;
    const key = `${path},${channels}`;
    const replaced = graph.insertBefore(node, () => {
      const constant = known.get(key) ??
        constants.add({
          sources: [path],
          compute: (read) => packed(read(path), order, channels),
          ...(constants.recipe(path) === null ? { stored: { kind: "packed", source: path, order, channels } } : {}),
        });
      known.set(key, constant);
      const args = [...node.args];
      args[argumentAt(node, "weight")] = constant;
      if (channels !== value.shape[1]) args[argumentAt(node, "input")] = widened(graph, node, channels);
      return graph.call(node.target, args, node.value, node.location);
    });
    graph.replaceAllUses(node, replaced);
    graph.erase(node);
    count++;
  }
  return count;
}
