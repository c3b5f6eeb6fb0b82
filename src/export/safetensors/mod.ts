/** safetensors files: mapped reading, writing. */
export { parseHeader, type SafetensorsEntry, type SafetensorsHeader } from "./header.ts";
export { loadSafetensors, openSafetensors, SafetensorsFile } from "./read.ts";
export { type NamedTensors, saveSafetensors } from "./write.ts";
