/**
 * Generated CUDA text as functions of this process: `emulate.h` before it, launchers after it, compiled as C++.
 *
 * For tests of single kernels, which need neither driver nor nvrtc; `mod.ts` stands in for both. The two share the header, the rules of
 * execution and {@linkcode EMULATED_FLAGS}.
 */
import { findToolchain } from "../../../../src/runtime/cpu/toolchain.ts";
import { precompiledFlags } from "./precompiled.ts";

const folder = new URL("./", import.meta.url).pathname;

/** What the C++ compiler gets for generated text, whoever calls it. */
export const EMULATED_FLAGS: readonly string[] = [
  "-std=gnu++20",
  "-x",
  "c++",
  "-shared",
  "-fPIC",
  "-w",
  "-O1",
  "-fwrapv",
  "-fno-strict-aliasing",
  "-fno-tree-vectorize",
  "-I",
  folder,
];

/** More of them, for kernels of which every access is watched (`watch.h`): calls before each access, which no library answers. */
export const WATCHED_FLAGS: readonly string[] = [
  "-g1",
  "-DTSR_WATCHED",
  "-fsanitize=kernel-address",
  "--param=asan-instrumentation-with-call-threshold=0",
  "--param=asan-stack=0",
  "--param=asan-globals=0",
];

/** Runs a kernel: seven numbers (grid, block, dynamic shared bytes) and its arguments as words of 8 bytes. */
export type EmulatedKernel = (dims: Uint32Array<ArrayBuffer>, words: BigInt64Array<ArrayBuffer>) => void;

function emulatedText(source: string, functions: readonly string[]): string {
  return [
    `#include "emulate.h"`,
    "#line 1",
    source,
    ...(source.includes("struct f16") ? [`#include "emulate_end.h"`] : []),
    ...functions.map((name) =>
      `extern "C" void run_${name}(const unsigned* dims, long long* words) { tsr_launch_words(${name}, words, dims); }`
    ),
  ].join("\n");
}

/** Compiles a module for the processor; throws what the compiler says of it. */
export function emulatedKernels(source: string, functions: readonly string[]): Map<string, EmulatedKernel> {
  const found = findToolchain();
  if (!found.ok) throw new Error(found.problem);
  const directory = Deno.makeTempDirSync({ prefix: "tessera-emulated-" });
  try {
    const path = `${directory}/module.cpp`;
    Deno.writeTextFileSync(path, emulatedText(source, functions));
    const [command = "", ...first] = found.toolchain.command;
    const flags = [...precompiledFlags(found.toolchain.command, EMULATED_FLAGS), ...EMULATED_FLAGS];
    const args = [...first, ...flags, "-o", `${path}.so`, path];
    const { success, stderr } = new Deno.Command(command, { args, stderr: "piped" }).outputSync();
    if (!success) throw new Error(new TextDecoder().decode(stderr).slice(0, 4000));
    const kernels = new Map<string, EmulatedKernel>();
    for (const name of functions) {
      const run = { name: `run_${name}`, parameters: ["buffer", "buffer"], result: "void" } as const;
      const { symbols } = Deno.dlopen(`${path}.so`, { run });
      kernels.set(name, symbols.run);
    }
    return kernels;
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}
