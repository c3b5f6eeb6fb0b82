/**
 * What goes wrong with CUDA on a machine is named by `tessera doctor`, with what mends it; and by a program that uses "cuda" anyway. A libcuda and an nvrtc
 * that answer as broken machines do stand in for the real ones.
 */
import assert from "node:assert/strict";
import { findToolchain } from "../../src/runtime/cpu/toolchain.ts";
import { runScript } from "../helpers/run_script.ts";
import { buildEmulator } from "../runtime/cuda/emulator/mod.ts";

const toolchain = findToolchain();
const supported = Deno.build.os === "linux" && Deno.build.arch === "x86_64";
const reason = !supported ? "the fake driver is for Linux on x86-64" : toolchain.ok ? null : toolchain.problem;
const main = new URL("../../src/cli/main.ts", import.meta.url).pathname;
let folder: string | undefined;

function libraries(): string {
  if (folder === undefined) {
    if (!toolchain.ok) throw new Error("an ignored test ran");
    const made = folder = Deno.makeTempDirSync({ prefix: "tessera-fake-machine-" });
    globalThis.addEventListener("unload", () => Deno.removeSync(made, { recursive: true }));
    buildEmulator(folder, toolchain.toolchain.command, { minor: 0 });
  }
  return folder;
}

/** Environment of a machine whose driver answers so. */
const machine = (answers: string): Record<string, string> => ({
  TESSERA_CUDA_PATH: libraries(),
  FAKE_CUDA: answers,
  TESSERA_CACHE_DIR: `${libraries()}/cache`,
  CXX: "false",
});

const CASES: readonly (readonly [name: string, answers: string, said: readonly RegExp[]])[] = [
  ["a machine that is well", "", [/CUDA device 0: .*Fake H100.*a kernel was compiled, loaded and run/]],
  ["no GPU", "devices=0", [/works but shows no device/, /CUDA_VISIBLE_DEVICES/]],
  ["a kernel module of another version", "initStatus=803", [
    /cuInit: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH \(803\)/,
    /reboot/,
  ]],
  ["a GPU that has vanished", "initStatus=999", [/CUDA_ERROR_UNKNOWN \(999\).*fallen off the bus/, /nvidia-smi/]],
  ["a driver that is too old", "version=11020", [
    /serves CUDA 11\.2; 11\.4 is the oldest/,
    /Install a newer NVIDIA driver/,
  ]],
  ["a driver older than nvrtc", "version=12040", [
    /serves CUDA 12\.4, but the only nvrtc found is 13\.0/,
    /Install a newer NVIDIA driver, or an nvrtc of CUDA 12/,
  ]],
  ["a GPU that nvrtc no longer knows", "capability=75", [
    /no longer compiles for compute capability 7\.5/,
    /older nvrtc/,
  ]],
  [
    "a GPU that another process holds alone",
    "cuDevicePrimaryCtxRetain=46",
    [/cuDevicePrimaryCtxRetain.*CUDA_ERROR_DEVICE_UNAVAILABLE \(46\)/, /in use by a process that holds it alone/],
  ],
  ["a GPU that others have filled", "cuDevicePrimaryCtxRetain=2", [
    /CUDA_ERROR_OUT_OF_MEMORY \(2\)/,
    /end other processes/,
  ]],
  ["code for another architecture", "cuLibraryLoadData=209", [/CUDA_ERROR_NO_BINARY_FOR_GPU/, /another architecture/]],
  [
    "a kernel that faults",
    "cuEventSynchronize=700",
    [/CUDA_ERROR_ILLEGAL_ADDRESS \(700\)/, /compute-sanitizer/],
  ],
];

for (const [name, answers, said] of CASES) {
  Deno.test({
    name: `doctor explains ${name}${reason === null ? "" : ` [skipped: ${reason}]`}`,
    ignore: reason !== null,
    fn: async () => {
      const { code, out, err } = await runScript(main, ["doctor"], machine(answers));
      assert.equal(code, 0, err);
      for (const pattern of said) assert.match(out, pattern);
    },
  });
}

Deno.test({
  name: `a program that asks for "cuda" where it does not work hears why and what to do${
    reason === null ? "" : ` [skipped: ${reason}]`
  }`,
  ignore: reason !== null,
  fn: async () => {
    const file = `${libraries()}/program.ts`;
    const mod = new URL("../../mod.ts", import.meta.url).href;
    Deno.writeTextFileSync(
      file,
      `import { tensor } from ${JSON.stringify(mod)};
      try { console.log(tensor([1, 2], { device: "cuda" }).mul(2).toArray()); } catch (error) { console.log(String(error)); }`,
    );
    const config = `--config=${new URL("../../deno.json", import.meta.url).pathname}`;
    const say = async (answers: string, more: Record<string, string> = {}): Promise<string> => {
      const { stdout } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "--no-check", config, file],
        env: { NO_COLOR: "1", ...machine(answers), ...more },
      }).output();
      return new TextDecoder().decode(stdout);
    };
    assert.match(await say(""), /\[ 2, 4 \]/);
    assert.match(await say("devices=0"), /TypeError: device "cuda:0": .* shows no device\. Look at `nvidia-smi`/);
    assert.match(await say("cuMemAllocFromPoolAsync=2"), /CudaOutOfMemoryError|out of memory: asked for/);
    assert.match(await say("cuEventSynchronize=700"), /ILLEGAL_ADDRESS[\s\S]*Launched last[\s\S]* from .*mul/);
    // With each launch waited for, the launch itself is the one that fails.
    const found = await say("cuStreamSynchronize=700", { TESSERA_DISABLE: "cuda_async" });
    assert.match(found, /cuStreamSynchronize: CUDA_ERROR_ILLEGAL_ADDRESS[\s\S]*newest first[^\n]*\n {2}\w+ from .*mul/);
  },
});
