/**
 * What products cost on Hopper's tensor cores, in microseconds. Written by `tools/fit_contractions.ts` from `bench/data/contractions_h100.jsonl`: do not edit.
 */
import type { ContractionCosts } from "./contraction_cost.ts";

/** 403 measurements, typical error 13 %. */
export const HOPPER_COSTS: ContractionCosts = {
  device: "NVIDIA H100 80GB HBM3",
  launch: 4.468,
  piece: 0.7174,
  join: 3.459,
  stream: 43.74,
  straddle: 0.002212,
  pair: 1.036,
  bytesPerMicrosecond: 2314000,
  tiles: [
    { height: 128, width: 64, step: 0.3056, end: 1.738, turn: 0.3604 },
    { height: 128, width: 96, step: 0.3419, end: 1.489, turn: 0.6698 },
    { height: 128, width: 128, step: 0.373, end: 1.941, turn: 0.8776 },
    { height: 128, width: 160, step: 0.4631, end: 2.667, turn: 1.745 },
    { height: 128, width: 192, step: 0.4714, end: 5.833, turn: 2.582 },
    { height: 128, width: 256, step: 0.6336, end: 4.78, turn: 1.3 },
    { height: 192, width: 128, step: 0.54, end: 3, turn: 1.3 },
    { height: 192, width: 160, step: 0.66, end: 3.5, turn: 1.3 },
    { height: 192, width: 192, step: 0.77, end: 4, turn: 1.3 },
    { height: 256, width: 128, step: 0.6514, end: 1.873, turn: 1.3 },
    { height: 256, width: 192, step: 0.8278, end: 16, turn: 1.8 },
  ],
};
