/**
 * What products cost on Hopper's tensor cores, in microseconds. Written by `tools/fit_contractions.ts` from `bench/data/contractions_h100.jsonl`: do not edit.
 */
import type { ContractionCosts } from "./contraction_cost.ts";

/** 445 measurements, typical error 9 %. */
export const HOPPER_COSTS: ContractionCosts = {
  device: "NVIDIA H100 80GB HBM3",
  launch: 5.693,
  piece: 0.6023,
  join: 3.687,
  stream: 25.52,
  straddle: 0.003213,
  pair: 1.047,
  work: 0.06827,
  workAlone: 0.2563,
  bytesPerMicrosecond: 2400000,
  tiles: [
    { height: 128, width: 64, step: 0.2726, end: 0.4805, turn: 0.5629 },
    { height: 128, width: 96, step: 0.3447, end: 0.485, turn: 0.03668 },
    { height: 128, width: 128, step: 0.3624, end: 0.5884, turn: 0.5712 },
    { height: 128, width: 160, step: 0.4267, end: 1.443, turn: 2.925 },
    { height: 128, width: 192, step: 0.521, end: 1.279, turn: 0.1021 },
    { height: 128, width: 256, step: 0.6375, end: 1.77, turn: 3 },
    { height: 192, width: 128, step: 0.5236, end: 1.648, turn: 2.5 },
    { height: 192, width: 160, step: 0.6899, end: 0.8847, turn: 2.875 },
    { height: 192, width: 192, step: 0.7654, end: 0.7966, turn: 3.25 },
    { height: 256, width: 128, step: 0.6736, end: 1.188, turn: 3 },
    { height: 256, width: 192, step: 0.884, end: 5.123, turn: 4 },
  ],
};
