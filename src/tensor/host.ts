/**
 * Runs `host` operators: algorithms on contiguous host arrays (sorting, data-dependent shapes).
 *
 * Tensor arguments arrive as copies in row-major order, bfloat16 widened; results are cast to the dtype that `meta` says and put on
 * the arguments' device, with the shape that the algorithm found.
 */
import { type Device, warnOnce } from "../core/mod.ts";
import type { TensorMeta } from "../graph/mod.ts";
import type { HostTensor, NamedArgs, Operator } from "../ops/mod.ts";
import { contiguousStride } from "../symbolic/mod.ts";
import { emptyTensor } from "./dispatch.ts";
import { dtypeOfNumber, inferMeta, mapTensorArgs, wrapNumber } from "./operands.ts";
import { hostFromRaw, rawFromHost } from "./memory.ts";
import { readElements, writeElements } from "./read.ts";
import type { Tensor } from "./tensor.ts";

function hostTensor(t: Tensor): HostTensor {
  return {
    shape: t.shape,
    stride: contiguousStride(t.shape),
    storageOffset: 0,
    dtype: t.dtype,
    device: t.device,
    data: hostFromRaw(t.dtype, readElements(t)),
  };
}

function hostNumber(value: Parameters<typeof wrapNumber>[0]): HostTensor {
  const dtype = dtypeOfNumber(value);
  const { shape, stride, storageOffset, device } = wrapNumber(value);
  const raw = rawFromHost(dtype, [typeof value === "object" ? Number(value) : value]);
  return { shape, stride, storageOffset, device, dtype, data: hostFromRaw(dtype, raw) };
}

/** Says once that an operator's tensors travel to the host and back. */
export function reportHostStep(name: string, device: Device): void {
  warnOnce(
    `${name} has no kernels for ${device.type}: its tensors are copied to the host, computed there and copied back`,
  );
}

/** Runs a host operator and returns its results. */
export function runHost(op: Operator, args: NamedArgs<Tensor>, device: Device): Tensor[] {
  const metas: TensorMeta[] = inferMeta(op, args);
  if (device.type !== "cpu") reportHostStep(op.schema.name, device);
  const results = op.host?.(mapTensorArgs(op, args, hostTensor, hostNumber) as NamedArgs<HostTensor>, metas) ?? [];
  return metas.map((meta, i) => {
    const result = results[i];
    if (result === undefined) throw new TypeError(`${op.target}: the host function gave no result ${i}`);
    const sameShape = result.shape.length === meta.shape.length && result.shape.every((s, d) => s === meta.shape[d]);
    const stride = sameShape ? meta.stride : contiguousStride(result.shape);
    const out = emptyTensor(result.shape, stride, meta.dtype, meta.device ?? device);
    writeElements(out, rawFromHost(meta.dtype, result.data));
    return out;
  });
}
