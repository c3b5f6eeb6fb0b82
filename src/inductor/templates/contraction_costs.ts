/**
 * What products cost on Hopper's tensor cores, in microseconds. Written by `tools/fit_contractions.ts` from `bench/data/contractions_h100.jsonl`: do not edit.
 */
import type { ContractionCosts } from "./contraction_cost.ts";

/** 425 measurements, typical error 10 %. */
export const HOPPER_COSTS: ContractionCosts = {
  device: "NVIDIA H100 80GB HBM3",
  launch: 5.714,
  piece: 0.6257,
  join: 3.594,
  stream: 25.63,
  straddle: 0.003218,
  pair: 1.046,
  work: 0.07728,
  workAlone: 0.2754,
  bytesPerMicrosecond: 2385000,
  tiles: [
    { height: 128, width: 64, step: 0.2713, end: 0.4455, turn: 0.521 },
    { height: 128, width: 96, step: 0.3415, end: 0.4705, turn: 0.04283 },
    { height: 128, width: 128, step: 0.3629, end: 0.5267, turn: 0.53 },
    { height: 128, width: 160, step: 0.4262, end: 1.412, turn: 2.795 },
    { height: 128, width: 192, step: 0.521, end: 1.174, turn: 0.3739 },
    { height: 128, width: 256, step: 0.6297, end: 1.903, turn: 3 },
    { height: 192, width: 128, step: 0.5259, end: 1.458, turn: 2.5 },
    { height: 192, width: 160, step: 0.6998, end: 0.5978, turn: 2.875 },
    { height: 192, width: 192, step: 0.773, end: 0.926, turn: 3.25 },
    { height: 256, width: 128, step: 0.6726, end: 1.031, turn: 3 },
    { height: 256, width: 192, step: 0.8921, end: 5.27, turn: 4 },
  ],
};
