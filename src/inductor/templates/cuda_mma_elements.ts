/**
 * What mma.sync multiplies in a contraction, and how its operands get there.
 *
 * Halves as they are; int8 with sums of int32; fp8 as it is where the device has instructions for it (Ada, Hopper) and both operands are copied, else widened to float16, in which it is
 * exact; float32 as tf32 where the caller allows it. Elements of 8 bits lie along k in shared memory: there is no instruction that turns them.
 */
import { bfloat16, float16, float32, float8_e4m3fn, int32, int8, isFloat8 } from "../../core/mod.ts";
import type { ContractionKernel } from "../tile/tile_ir.ts";
import { type OperandPlan, planOperand } from "./cuda_operands.ts";

/** Operands and their elements. */
export interface MmaElement {
  readonly a: OperandPlan;
  readonly b: OperandPlan;
  /** The type of elements in shared memory, and of sums. */
  readonly text: "bf16" | "f16" | "signed char" | "e4m3" | "e5m2" | "float";
  readonly bytes: 1 | 2 | 4;
  readonly sum: "float" | "int";
  /** How tiles lie in shared memory; null as they are read. */
  readonly lies: "k" | null;
}

/** The first architecture that multiplies fp8. */
const ADA = 89;

/** What mma.sync multiplies here; null where it does not. */
export function chooseMma(kernel: ContractionKernel, arch: number, tf32: boolean): MmaElement | null {
  if (arch < 80) return null;
  const [a, b] = [planOperand(kernel.a, 8, true), planOperand(kernel.b, 8, true)];
  const [x, y] = [a.half, b.half];
  if (kernel.accumulate === int32) {
    if (x !== int8 || y !== int8) return null;
    return { a: alongK(a), b: alongK(b), text: "signed char", bytes: 1, sum: "int", lies: "k" };
  }
  if (kernel.accumulate !== float32) return null;
  if (x !== null && x === y && x !== int8 && !isFloat8(x)) {
    return { a, b, text: x === bfloat16 ? "bf16" : "f16", bytes: 2, sum: "float", lies: null };
  }
  const isNarrow = (plan: OperandPlan): boolean => plan.half === float16 || (plan.half !== null && isFloat8(plan.half));
  if (isNarrow(a) && isNarrow(b)) {
    const asTheyAre = [a, b].every(({ copy, along }) => copy !== null && along === "k");
    if (arch >= ADA && x === y && asTheyAre) {
      return { a, b, text: x === float8_e4m3fn ? "e4m3" : "e5m2", bytes: 1, sum: "float", lies: "k" };
    }
    return { a: widened(a), b: widened(b), text: "f16", bytes: 2, sum: "float", lies: null };
  }
  if (!tf32) return null;
  const [wideA, wideB] = [kernel.a, kernel.b].map((program) => planOperand(program, 4, false, float32)) as [
    OperandPlan,
    OperandPlan,
  ];
  return { a: wideA, b: wideB, text: "float", bytes: 4, sum: "float", lies: null };
}

/** Read through registers unless it is copied along k. */
function alongK(plan: OperandPlan): OperandPlan {
  return plan.along === "k" ? plan : { ...plan, copy: null };
}

/** Fp8 through registers, from which float16 is stored; runs are of the length of halves'. */
function widened(plan: OperandPlan): OperandPlan {
  return plan.half === float16 ? plan : { ...plan, lanes: Math.min(8, plan.lanes), copy: null };
}
