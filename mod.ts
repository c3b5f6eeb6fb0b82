/**
 * Tessera: PyTorch 2's compiler stack for TypeScript on Deno.
 *
 * @module
 */
export * from "./src/core/mod.ts";
export * from "./src/tensor/public.ts";
export * from "./src/autograd/mod.ts";
export * as nn from "./src/nn/mod.ts";
export * as optim from "./src/optim/mod.ts";
export * as data from "./src/data/mod.ts";
export * from "./src/capture/mod.ts";
export { aotBackend, type CompiledProgram, type CompileRequest, interpretProgram } from "./src/aot_autograd/mod.ts";
export { CompiledGraph, onCompile } from "./src/inductor/mod.ts";
export { type LoopInput, type LoopNode, ops as loopOps, pointwise, reduction, type Value } from "./src/loops/mod.ts";
export * from "./src/kernels/mod.ts";
export { Block, type BlockAxis, BlockTensor, Tile, Variable } from "./src/blocks/mod.ts";
export {
  type CompiledExport,
  compileExported,
  type CompileExportedOptions,
  type ExportedProgram,
  loadSafetensors,
  openSafetensors,
  readExportedProgram,
  type ReadOptions,
  type RunValue,
  SafetensorsFile,
  saveSafetensors,
} from "./src/export/mod.ts";
