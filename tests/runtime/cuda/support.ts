/** What the CUDA tests share: the fake driver, and skipping with a reason where there is no GPU, nvrtc or C++ compiler. */
import { CudaContext } from "../../../src/runtime/cuda/context.ts";
import { initialize, loadDriver } from "../../../src/runtime/cuda/driver.ts";
import { findNvrtc, openDriver } from "../../../src/runtime/cuda/libraries.ts";
import { cudaContext } from "../../../src/runtime/cuda/mod.ts";
import { NvrtcCompiler } from "../../../src/runtime/cuda/nvrtc.ts";
import { DiskCache } from "../../../src/runtime/disk_cache.ts";
import { findToolchain } from "../../../src/runtime/cpu/toolchain.ts";

/** What of the fake driver can be steered, by the number that `fake_set` takes. */
const KNOB = {
  devices: 0,
  version: 1,
  initStatus: 2,
  capacity: 3,
  held: 4,
  pools: 5,
  sticky: 6,
  capability: 8,
} as const;

/** The fake driver: a library without a device whose kernels are written in C++. */
export interface FakeDriver {
  readonly path: string;
  set(knob: keyof typeof KNOB, value: number): void;
  /** Bytes allocated on the device. */
  used(): number;
  /** Recorded graphs, or loaded code, that nobody has given back. */
  alive(what: "graphs" | "code"): number;
  /** Grid, block, shared bytes, cluster, cooperation, overlap of the last launch. */
  lastLaunch(): number[];
}

let fake: FakeDriver | null | undefined;

/** Builds a library without a device from a file beside this one; null without a C++ compiler. */
export function buildFake(name: string, source: string): string | null {
  const found = findToolchain();
  if (!found.ok || Deno.build.os !== "linux") return null;
  const directory = Deno.makeTempDirSync({ prefix: "tessera-fake-cuda-" });
  globalThis.addEventListener("unload", () => Deno.removeSync(directory, { recursive: true }));
  const path = `${directory}/${name}`;
  const [command = "", ...args] = found.toolchain.command;
  const built = new Deno.Command(command, {
    args: [
      ...[...args, "-std=c++17", "-shared", "-fPIC", "-w", "-O1", "-o", path],
      new URL(`./${source}`, import.meta.url).pathname,
    ],
    stderr: "piped",
  }).outputSync();
  if (!built.success) throw new Error(new TextDecoder().decode(built.stderr));
  return path;
}

/** Builds the fake driver once a process; null without a C++ compiler. */
export function fakeDriver(): FakeDriver | null {
  if (fake !== undefined) return fake;
  const path = buildFake("libcuda.so.1", "fake_libcuda.cpp");
  if (path === null) return fake = null;
  const { symbols } = Deno.dlopen(path, {
    fake_reset: { parameters: [], result: "void" },
    fake_set: { parameters: ["i32", "f64"], result: "void" },
    fake_last_launch: { parameters: ["buffer"], result: "void" },
    fake_used: { parameters: [], result: "f64" },
    fake_alive: { parameters: ["i32"], result: "f64" },
  });
  symbols.fake_reset();
  return fake = {
    path,
    set: (knob, value) => symbols.fake_set(KNOB[knob], value),
    used: () => symbols.fake_used(),
    alive: (what) => symbols.fake_alive(what === "graphs" ? 0 : 1),
    lastLaunch: () => {
      const out = new Uint32Array(new ArrayBuffer(256));
      symbols.fake_last_launch(out);
      return [...out.subarray(0, 10)];
    },
  };
}

/** A new context on the fake driver. */
export function fakeContext(ordinal = 0): CudaContext {
  const built = fakeDriver();
  if (built === null) throw new Error("no fake driver");
  const driver = initialize(openDriver([built.path]));
  if (!driver.ok) throw new Error(driver.problem.problem);
  return new CudaContext(driver.value, ordinal);
}

/** Registers a test on the fake driver; without a C++ compiler its name says why it is skipped. */
export function fakeTest(name: string, fn: (fake: FakeDriver) => void | Promise<void>): void {
  const found = findToolchain();
  const reason = Deno.build.os !== "linux" ? "the fake driver is for Linux" : found.ok ? null : found.problem;
  Deno.test({
    name: reason === null ? name : `${name} [skipped: ${reason}]`,
    ignore: reason !== null,
    // Contexts live as long as the process, as the driver's do.
    sanitizeResources: false,
    sanitizeOps: false,
    fn: async () => {
      const built = fakeDriver();
      if (built === null) throw new Error("an ignored test ran");
      const defaults = { devices: 1, version: 13_000, initStatus: 0, capacity: 2 ** 30, held: 0, pools: 1, sticky: 0 };
      const reset = (): void => {
        for (const [knob, value] of Object.entries(defaults)) built.set(knob as keyof typeof KNOB, value);
      };
      reset();
      try {
        await fn(built);
      } finally {
        reset();
      }
    },
  });
}

/** Registers a test that compiles with nvrtc. */
export function nvrtcTest(name: string, fn: (compiler: NvrtcCompiler) => void | Promise<void>): void {
  const found = findNvrtc();
  Deno.test({
    name: found.ok ? name : `${name} [skipped: ${found.problem.problem}]`,
    ignore: !found.ok,
    sanitizeResources: false,
    sanitizeOps: false,
    fn: async () => {
      if (!found.ok) throw new Error("an ignored test ran");
      const directory = Deno.makeTempDirSync({ prefix: "tessera-test-" });
      try {
        await fn(new NvrtcCompiler(found.value, { cache: new DiskCache({ directory }) }));
      } finally {
        Deno.removeSync(directory, { recursive: true });
      }
    },
  });
}

/** Registers a test that needs a device and nvrtc. */
export function gpuTest(name: string, fn: (context: CudaContext) => void | Promise<void>, devices = 1): void {
  const driver = loadDriver();
  const nvrtc = findNvrtc();
  const reason = !driver.ok
    ? driver.problem.problem
    : !nvrtc.ok
    ? nvrtc.problem.problem
    : driver.value.devices.length < devices
    ? `it needs ${devices} devices`
    : null;
  Deno.test({
    name: reason === null ? name : `${name} [skipped: ${reason}]`,
    ignore: reason !== null,
    sanitizeResources: false,
    sanitizeOps: false,
    fn: () => fn(cudaContext(0)),
  });
}
