/**
 * CUDA without a GPU: a libcuda whose device is the processor and a libnvrtc that compiles generated text with the C++ compiler.
 *
 * Both are built into a folder that TESSERA_CUDA_PATH then names, so everything above the two libraries is what runs on a real device. Call it before the
 * first use of "cuda" in the process.
 */
import { findToolchain } from "../../../../src/runtime/cpu/toolchain.ts";

let found: string | null | undefined;

function build(command: readonly string[], args: readonly string[]): void {
  const [program = "", ...first] = command;
  const { success, stderr } = new Deno.Command(program, { args: [...first, ...args], stderr: "piped" }).outputSync();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

/** Makes the libraries, once a process. Returns null, or why it cannot be done. */
export function emulateCuda(): string | null {
  if (found !== undefined) return found;
  const { os, arch } = Deno.build;
  if (os !== "linux" || arch !== "x86_64") return found = "the emulated CUDA is for Linux on x86-64";
  const toolchain = findToolchain();
  if (!toolchain.ok) return found = toolchain.problem;
  const { command } = toolchain.toolchain;
  const folder = Deno.makeTempDirSync({ prefix: "tessera-emulated-cuda-" });
  globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
  const sources = new URL("./", import.meta.url).pathname;
  const common = ["-std=c++17", "-shared", "-fPIC", "-w", "-O1"];
  build(command, [...common, "-o", `${folder}/libcuda.so.1`, `${sources}../fake_libcuda.cpp`, "-ldl"]);
  build(command, [
    ...common,
    `-DFOLDER="${folder}"`,
    `-DSOURCES="${sources}"`,
    `-DCOMPILER="${command.join(" ")}"`,
    "-o",
    `${folder}/libnvrtc.so.13`,
    `${sources}fake_libnvrtc.cpp`,
  ]);
  Deno.env.set("TESSERA_CUDA_PATH", folder);
  // What is compiled here must not be found by a process with a real device.
  Deno.env.set("TESSERA_CACHE_DIR", `${Deno.env.get("TESSERA_CACHE_DIR") ?? "/tmp/tessera-emulated-cache"}/emulated`);
  return found = null;
}
