/**
 * What products cost on Hopper's tensor cores, in microseconds. Written by `tools/fit_contractions.ts` from `bench/data/contractions_h100.jsonl`: do not edit.
 */
import type { ContractionCosts } from "./contraction_cost.ts";

/** 278 measurements, typical error 13 %. */
export const HOPPER_COSTS: ContractionCosts = {
  device: "NVIDIA H100 80GB HBM3",
  launch: 4.608,
  piece: 1.461,
  join: 1.597,
  stream: 2,
  bytesPerMicrosecond: 2161000,
  widths: [
    { width: 64, step: 0.3057, end: 0.8763, turn: 0.7935 },
    { width: 128, step: 0.3832, end: 2.361, turn: 2.199 },
    { width: 192, step: 0.5096, end: 4, turn: 1.05 },
    { width: 256, step: 0.7033, end: 4.873, turn: 1.3 },
  ],
};
