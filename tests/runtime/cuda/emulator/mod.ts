/**
 * CUDA without a GPU: a libcuda whose device is the processor and a libnvrtc that compiles generated text with the C++ compiler.
 *
 * Everything above the two libraries is what runs on a real device. Call it before the first use of "cuda".
 */
import {
  findDriver,
  findNvrtc,
  openDriver,
  openNvrtc,
  useCudaLibraries,
} from "../../../../src/runtime/cuda/libraries.ts";
import { nvrtcCandidates } from "../../../../src/runtime/cuda/paths.ts";
import { initialize } from "../../../../src/runtime/cuda/driver.ts";
import { findToolchain } from "../../../../src/runtime/cpu/toolchain.ts";
import { EMULATED_FLAGS } from "./kernels.ts";

/** The number of the fake driver's setting. */
const CAPACITY = 3;
let found: string | null | undefined;

function build(command: readonly string[], args: readonly string[]): void {
  const [program = "", ...first] = command;
  const { success, stderr } = new Deno.Command(program, { args: [...first, ...args], stderr: "piped" }).outputSync();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

/**
 * Makes the libraries, once a process. Returns null, or why it cannot be done.
 *
 * With `compiler: "real"` only the device is emulated and its kernels do nothing: for seeing whether nvrtc takes what is generated.
 */
export function emulateCuda(
  options: { readonly compiler?: "emulated" | "real"; readonly memoryBytes?: number } = {},
): string | null {
  if (found !== undefined) return found;
  // A real device serves better.
  if (initialize(findDriver()).ok && findNvrtc().ok) return found = null;
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
    `-DCOMPILER="${command.join(" ")}"`,
    `-DFLAGS="${EMULATED_FLAGS.join(" ")}"`,
    "-o",
    `${folder}/libnvrtc.so.13`,
    `${sources}fake_libnvrtc.cpp`,
  ]);
  if (options.memoryBytes !== undefined) {
    Deno.dlopen(`${folder}/libcuda.so.1`, { fake_set: { parameters: ["i32", "f64"], result: "void" } })
      .symbols.fake_set(CAPACITY, options.memoryBytes);
  }
  // Its version is one that no real nvrtc has, so what it makes stays apart in the cache.
  useCudaLibraries({
    driver: openDriver([`${folder}/libcuda.so.1`]),
    nvrtc: options.compiler === "real"
      ? openNvrtc(nvrtcCandidates(), null)
      : openNvrtc([{ path: `${folder}/libnvrtc.so.13`, major: 13, builtins: null, chosen: true }], null),
  });
  return found = null;
}
