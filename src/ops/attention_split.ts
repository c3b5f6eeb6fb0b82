/**
 * Attention of few queries over many keys, as in decoding: keys are cut into parts, so that there is work for a whole GPU.
 *
 * Each part gives its result and the logarithm of its sum of exponentials; parts are added up with the weights that these say. The parts are one more batch
 * dimension, and adding them up is ordinary operators. Mirrors flash decoding (Dao, Haziza, Massa and Sizov, 2023).
 */
import { bfloat16, float16 } from "../core/mod.ts";
import type { Size } from "../symbolic/mod.ts";
import type { Functional } from "./functional.ts";
import type { TensorValue } from "./value.ts";

/** Queries up to which cutting pays. */
const FEW_QUERIES = 64;
/** Keys of a part, at least. */
const PART = 256;
/** Blocks that fill a large GPU twice. */
const BLOCKS = 264;

/** Into how many parts the keys of a call are cut; 1 for none. */
export function attentionParts(query: TensorValue, key: TensorValue, value: TensorValue): number {
  const isHalf = query.dtype === float16 || query.dtype === bfloat16;
  if (query.device.type !== "cuda" || !isHalf) return 1;
  const sizes = [...query.shape, ...key.shape, ...value.shape];
  if (!sizes.every((s) => typeof s === "number")) return 1;
  const back = (t: TensorValue, d: number): number => Number(t.shape[t.ndim - d] ?? 1);
  const [rows, keys] = [back(query, 2), back(key, 2)];
  if (rows > FEW_QUERIES || [query, value].some((t) => back(t, 1) % 8 !== 0 || back(t, 1) > 128)) return 1;
  const batches = query.shape.slice(0, -2).reduce((n: number, s) => n * Number(s), 1);
  let parts = 1;
  while (batches * parts < BLOCKS && keys % (parts * 2) === 0 && keys / (parts * 2) >= PART) parts *= 2;
  return parts;
}

/** The attention, by parts of its keys. */
export function attentionByParts(
  parts: number,
  query: TensorValue,
  key: TensorValue,
  value: TensorValue,
  mask: TensorValue | null,
  scale: number,
  F: Functional,
): TensorValue {
  const cut = (t: TensorValue): TensorValue => {
    const [keys, width] = [Number(t.shape[t.ndim - 2]), t.shape[t.ndim - 1] ?? 1];
    return t.reshape([...t.shape.slice(0, -2), parts, keys / parts, width]);
  };
  const q = query.unsqueeze(-3).expand([...query.shape.slice(0, -2), parts, ...query.shape.slice(-2)] as Size[]);
  let ownMask = mask;
  if (mask !== null && mask.shape[mask.ndim - 1] !== 1) {
    const keys = Number(mask.shape[mask.ndim - 1]);
    ownMask = mask.reshape([...mask.shape.slice(0, -1), parts, keys / parts]).transpose(-3, -2);
  } else if (mask !== null) ownMask = mask.unsqueeze(-3);
  const [out, lse] = F.attentionForward(q, cut(key), cut(value), ownMask, false, scale) as readonly TensorValue[];
  if (out === undefined || lse === undefined) throw new TypeError("attention_forward: its results are missing");
  const top = lse.amax([-2], true);
  const weight = lse.sub(top.maskedFill(top.eq(-Infinity), 0)).exp();
  const sum = weight.sum([-2], true);
  const share = weight.div(sum.maskedFill(sum.eq(0), 1)).unsqueeze(-1);
  return out.to(lse.dtype).mul(share).sum([-3]).to(query.dtype);
}
