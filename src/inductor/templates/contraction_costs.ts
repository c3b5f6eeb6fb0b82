/**
 * What products cost on Hopper's tensor cores, in microseconds. Written by `tools/fit_contractions.ts` from `bench/data/contractions_h100.jsonl`: do not edit.
 */
import type { ContractionCosts } from "./contraction_cost.ts";

/** 429 measurements, typical error 11 %. */
export const HOPPER_COSTS: ContractionCosts = {
  device: "NVIDIA H100 80GB HBM3",
  launch: 5.297,
  piece: 0.8718,
  join: 3.054,
  stream: 41.81,
  straddle: 0.002679,
  pair: 1.039,
  work: 0.0798,
  workAlone: 0.3507,
  bytesPerMicrosecond: 2430000,
  tiles: [
    { height: 128, width: 64, step: 0.2683, end: 1.03, turn: 0.8829 },
    { height: 128, width: 96, step: 0.3539, end: 0.7613, turn: 0.1714 },
    { height: 128, width: 128, step: 0.3776, end: 0.4562, turn: 0.1126 },
    { height: 128, width: 160, step: 0.4587, end: 1.509, turn: 2.139 },
    { height: 128, width: 192, step: 0.4914, end: 2.93, turn: 3.573 },
    { height: 128, width: 256, step: 0.6494, end: 2.047, turn: 3 },
    { height: 192, width: 128, step: 0.4967, end: 2.175, turn: 2.5 },
    { height: 192, width: 160, step: 0.6488, end: 1.82, turn: 2.875 },
    { height: 192, width: 192, step: 0.7507, end: 2.321, turn: 3.25 },
    { height: 256, width: 128, step: 0.6465, end: 1.542, turn: 3 },
    { height: 256, width: 192, step: 0.8782, end: 9.634, turn: 4 },
  ],
};
