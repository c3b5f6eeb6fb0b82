/**
 * Matrix products on Hopper: TMA fills shared memory, wgmma multiplies.
 */
import type { CudaKernelText, EmitContext } from "../codegen/cuda/kernel_text.ts";
import type { ContractionKernel } from "../tile/tile_ir.ts";

/** The kernel for plain operands of half types on an H100; null where it does not apply. */
export function emitHopperContraction(_kernel: ContractionKernel, _context: EmitContext): CudaKernelText | null {
  return null;
}
