/** Models from files: PyTorch's exported programs, safetensors. */
export * from "./inspect.ts";
export * from "./pt2/mod.ts";
export * from "./safetensors/mod.ts";
export { FormatError, ZipArchive, type ZipEntry, type ZipLimits } from "./zip/archive.ts";
export {
  type CompiledExport,
  type CompiledStats,
  compileExported,
  type CompileExportedOptions,
} from "./compile_program.ts";
export { type KeptInput, type KeptOptions, type KeptProgram, openKept } from "./kept_program.ts";
