import type { CppFunctionText } from "../codegen/cpp/emit_tile.ts";
import type { ContractionKernel } from "../tile/tile_ir.ts";
export function emitCppContraction(_kernel: ContractionKernel, _lanes: number): CppFunctionText {
  throw new Error("not yet");
}
