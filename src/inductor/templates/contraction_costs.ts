/**
 * What products cost on Hopper's tensor cores, in microseconds. Written by `tools/fit_contractions.ts` from `bench/data/contractions_h100.jsonl`: do not edit.
 */
import type { ContractionCosts } from "./contraction_cost.ts";

/** 256 measurements, typical error 13 %. */
export const HOPPER_COSTS: ContractionCosts = {
  device: "NVIDIA H100 80GB HBM3",
  launch: 4.577,
  piece: 1.429,
  join: 1.562,
  bytesPerMicrosecond: 2153000,
  widths: [
    { width: 64, step: 0.3103, end: 0.9332, turn: 0.55 },
    { width: 128, step: 0.3963, end: 2.275, turn: 0.8 },
    { width: 192, step: 0.5094, end: 4.021, turn: 1.05 },
    { width: 256, step: 0.7067, end: 4.73, turn: 1.3 },
  ],
};
