/**
 * What products cost on Hopper's tensor cores, in microseconds. Written by `tools/fit_contractions.ts` from `bench/data/contractions_h100.jsonl`: do not edit.
 */
import type { ContractionCosts } from "./contraction_cost.ts";

/** 454 measurements, typical error 10 %. */
export const HOPPER_COSTS: ContractionCosts = {
  device: "NVIDIA H100 80GB HBM3",
  launch: 5.737,
  piece: 0.6118,
  join: 3.61,
  stream: 25.31,
  straddle: 0.003218,
  pair: 1.045,
  work: 0.06841,
  workAlone: 0.2574,
  bytesPerMicrosecond: 2373000,
  tiles: [
    { height: 128, width: 64, step: 0.2718, end: 0.4426, turn: 0.5259 },
    { height: 128, width: 96, step: 0.3441, end: 0.449, turn: 0.03746 },
    { height: 128, width: 128, step: 0.3624, end: 0.5691, turn: 0.5553 },
    { height: 128, width: 160, step: 0.4264, end: 1.412, turn: 2.843 },
    { height: 128, width: 192, step: 0.5231, end: 1.207, turn: 0.1262 },
    { height: 128, width: 256, step: 0.6378, end: 1.73, turn: 3 },
    { height: 192, width: 128, step: 0.5233, end: 1.616, turn: 2.5 },
    { height: 192, width: 160, step: 0.6897, end: 0.8504, turn: 2.875 },
    { height: 192, width: 192, step: 0.7655, end: 0.7401, turn: 3.25 },
    { height: 256, width: 128, step: 0.6746, end: 1.13, turn: 3 },
    { height: 256, width: 192, step: 0.8943, end: 5.264, turn: 4 },
  ],
};
