/**
 * A compiled plan as the CUDA runtime sees it: functions, what their arguments are, and how large everything is.
 *
 * Numbers that depend on the sizes of a call are functions of them; slots are positions in the call's list of buffers. Made from an emitter's launches
 * by the compiler; nothing here knows graphs.
 */

import type { SlotSource } from "../kernel.ts";
import type { HostStep } from "../cpu/executable.ts";
import type { Dim3 } from "./layout.ts";
import type { Launchable } from "./launchable.ts";
import type { PlannedTensorMap } from "./tensor_map.ts";

/** A number that may depend on the sizes of a call. */
export type SizeFunction = (sizes: readonly number[]) => number;

/** What stands in a parameter of a kernel. */
export type CudaPlanArg =
  /** A pointer to the slot's memory, which must be a multiple of `align`, or so many bytes behind it. */
  | { readonly kind: "slot"; readonly slot: number; readonly align: number; readonly offset?: number }
  | { readonly kind: "size"; readonly value: SizeFunction; readonly type: "i32" | "i64" }
  /** Memory for one step; the launches of a step that name the same id share it. */
  | { readonly kind: "scratch"; readonly bytes: SizeFunction; readonly zeroed: boolean; readonly id: number }
  /** A map of such memory, from its beginning. */
  | {
    readonly kind: "scratchMap";
    readonly bytes: SizeFunction;
    readonly id: number;
    readonly map: (sizes: readonly number[]) => Omit<PlannedTensorMap, "address">;
  }
  | {
    readonly kind: "tensorMap";
    readonly slot: number;
    /** Bytes between the slot's memory and the map's. */
    readonly offset: SizeFunction;
    readonly map: (sizes: readonly number[]) => Omit<PlannedTensorMap, "address">;
  }
  | { readonly kind: "error" };

/** One kernel launch. */
export interface CudaPlanLaunch {
  readonly fn: Launchable;
  readonly args: readonly CudaPlanArg[];
  readonly grid: readonly [SizeFunction, SizeFunction, SizeFunction];
  readonly block: Dim3;
  readonly cluster?: Dim3;
  readonly sharedBytes: number;
  /** Whether it waits for the launch before it by itself, and so may begin before that has ended. Default: no. */
  readonly waits?: boolean;
  /** Slots that it reads before it waits: the caller's, and nothing in the plan writes them. */
  readonly early?: readonly number[];
}

/** One step. */
export type CudaPlanStep =
  | { readonly kind: "launches"; readonly launches: readonly CudaPlanLaunch[] }
  /** An algorithm on the host's memory. `run` gets a list in which the slots of `reads` and `writes` are set. */
  | {
    readonly kind: "host";
    readonly name: string;
    readonly reads: readonly number[];
    readonly writes: readonly number[];
    readonly run: HostStep;
  };

/** A plan with its functions loaded. */
export interface CudaPlan {
  readonly name: string;
  readonly steps: readonly CudaPlanStep[];
  readonly sources: readonly SlotSource[];
  readonly arenaBytes: SizeFunction;
  /** Bytes of each slot that are in use, from where the slot begins. */
  readonly slotBytes: readonly SizeFunction[];
}
