/**
 * What products cost on Hopper's tensor cores, in microseconds. Written by `tools/fit_contractions.ts` from `bench/data/contractions_h100.jsonl`: do not edit.
 */
import type { ContractionCosts } from "./contraction_cost.ts";

/** 449 measurements, typical error 9 %. */
export const HOPPER_COSTS: ContractionCosts = {
  device: "NVIDIA H100 80GB HBM3",
  launch: 5.688,
  piece: 0.6035,
  join: 3.68,
  stream: 25.51,
  straddle: 0.003213,
  pair: 1.047,
  work: 0.06795,
  workAlone: 0.2561,
  bytesPerMicrosecond: 2397000,
  tiles: [
    { height: 128, width: 64, step: 0.273, end: 0.4795, turn: 0.562 },
    { height: 128, width: 96, step: 0.3448, end: 0.4859, turn: 0.03646 },
    { height: 128, width: 128, step: 0.3625, end: 0.6005, turn: 0.6155 },
    { height: 128, width: 160, step: 0.4262, end: 1.45, turn: 2.887 },
    { height: 128, width: 192, step: 0.521, end: 1.286, turn: 0.1021 },
    { height: 128, width: 256, step: 0.6372, end: 1.78, turn: 3 },
    { height: 192, width: 128, step: 0.5233, end: 1.658, turn: 2.5 },
    { height: 192, width: 160, step: 0.6894, end: 0.8976, turn: 2.875 },
    { height: 192, width: 192, step: 0.7654, end: 0.8061, turn: 3.25 },
    { height: 256, width: 128, step: 0.6742, end: 1.19, turn: 3 },
    { height: 256, width: 192, step: 0.8845, end: 5.11, turn: 4 },
  ],
};
