/**
 * What products cost on Hopper's tensor cores, in microseconds. Written by `tools/fit_contractions.ts` from `bench/data/contractions_h100.jsonl`: do not edit.
 */
import type { ContractionCosts } from "./contraction_cost.ts";

/** 310 measurements, typical error 13 %. */
export const HOPPER_COSTS: ContractionCosts = {
  device: "NVIDIA H100 80GB HBM3",
  launch: 4.694,
  piece: 1.423,
  join: 1.687,
  stream: 11.58,
  bytesPerMicrosecond: 2166000,
  widths: [
    { width: 64, step: 0.3057, end: 0.8517, turn: 0.7829 },
    { width: 128, step: 0.3732, end: 2.379, turn: 2.248 },
    { width: 192, step: 0.5186, end: 3.764, turn: 1.05 },
    { width: 256, step: 0.6865, end: 4.949, turn: 1.3 },
  ],
};
