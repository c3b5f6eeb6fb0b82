/**
 * What works on this machine, what does not, and the command that mends it.
 *
 * Every check does the thing itself, as small as it can be: JavaScript code is generated and called, a library is compiled, loaded and
 * called, the cache is written. Nothing is concluded from names of files.
 */
import config from "../../deno.json" with { type: "json" };
import { readEnvironment } from "../core/config.ts";
import { type CacheStats, cacheSummary, diskCache } from "../runtime/mod.ts";
import { findToolchain, hasFfi, threadPool } from "../runtime/cpu/mod.ts";
import {
  capabilityText,
  CudaArguments,
  cudaContext,
  CudaDeviceMemory,
  type CudaDiagnosis,
  CudaModule,
  diagnoseCuda,
  nvrtcCompiler,
  versionText,
} from "../runtime/cuda/mod.ts";

/** One thing that was tried. */
export interface Check {
  readonly name: string;
  readonly works: boolean;
  /** What was found, or what is wrong. */
  readonly detail: string;
  /** What to do; empty if it works. */
  readonly remedy: string;
  /** Whether everything else still works without it, more slowly. */
  readonly optional: boolean;
}

/** The whole report. */
export interface DoctorReport {
  readonly versions: Readonly<Record<string, string>>;
  readonly system: { readonly os: string; readonly arch: string; readonly cores: number };
  /** Devices that programs can use, with the tiers that run on them. */
  readonly devices: readonly { readonly name: string; readonly tiers: readonly string[] }[];
  readonly checks: readonly Check[];
  readonly cache: CacheStats;
  /** Everything that is not optional works. */
  readonly ok: boolean;
}

function attempt(name: string, optional: boolean, remedy: string, check: () => string): Check {
  try {
    return { name, works: true, detail: check(), remedy: "", optional };
  } catch (error) {
    const detail = error instanceof Error ? error.message.split("\n")[0] ?? "" : String(error);
    return { name, works: false, detail, remedy, optional };
  }
}

function checkJavaScript(): Check {
  return attempt("JavaScript kernels", false, "Run without a policy that forbids generated code.", () => {
    const add = new Function("a", "b", "return a + b") as (a: number, b: number) => number;
    if (add(2, 3) !== 5) throw new Error("generated code gives wrong results");
    return "generated code runs";
  });
}

function checkCompiler(): Check {
  const found = findToolchain();
  if (!found.ok) {
    return { name: "C++ compiler", works: false, detail: found.problem, remedy: found.remedy, optional: true };
  }
  const { command, version, isa } = found.toolchain;
  const detail = `${command.join(" ")}: ${version}; ${isa.name}, ${isa.vectorBytes * 8}-bit vectors`;
  return { name: "C++ compiler", works: true, detail, remedy: "", optional: true };
}

function checkFfi(): Check {
  const works = hasFfi();
  return {
    name: "native calls",
    works,
    detail: works ? "permission --allow-ffi is granted" : "Deno may not load libraries",
    remedy: works ? "" : "Run with --allow-ffi (or -A).",
    optional: true,
  };
}

function checkNative(): Check {
  return attempt(
    "C++ kernels",
    true,
    "Mend the compiler and native calls above; until then kernels run as JavaScript.",
    () => {
      const start = performance.now();
      const pool = threadPool();
      const built = performance.now() - start;
      pool.spin(1);
      return `a library was built, loaded and called in ${built.toFixed(0)} ms; ${pool.numThreads} threads`;
    },
  );
}

function checkCache(stats: CacheStats): Check {
  return {
    name: "cache",
    works: !stats.temporary,
    detail: cacheSummary(stats),
    remedy: stats.temporary ? "Set TESSERA_CACHE_DIR to a folder that is yours and can be written." : "",
    optional: true,
  };
}

/** A kernel is compiled, loaded and run on each device. */
function checkCuda(diagnosis: CudaDiagnosis): Check[] {
  const found = (part: { readonly path: string; readonly version: number } | null): string =>
    part === null ? "not found" : `${versionText(part.version)} (${part.path})`;
  const libraries = `driver for CUDA ${found(diagnosis.driver)}; nvrtc ${found(diagnosis.nvrtc)}`;
  if (!diagnosis.usable) {
    return diagnosis.problems.map(({ kind, problem, remedy, tried }) => ({
      name: kind === "no-nvrtc" ? "CUDA compiler" : "CUDA driver",
      works: false,
      detail: tried.length === 0 ? problem : `${problem} Tried: ${tried.slice(0, 6).join("; ")}`,
      remedy,
      optional: true,
    }));
  }
  const devices = diagnosis.devices.map(({ ordinal, name, capability, totalBytes, target }) =>
    target === null
      ? { name: `CUDA device ${ordinal}`, works: false, detail: name, remedy: "See below.", optional: true }
      : attempt(
        `CUDA device ${ordinal}`,
        true,
        "Look at `nvidia-smi`: the device may be full, or in use by a process that holds it alone.",
        () => {
          const ms = runOneKernel(ordinal, target);
          return `${name}, compute capability ${capabilityText(capability)} (${target.arch}), ${
            (totalBytes / 2 ** 30).toFixed(0)
          } GiB; a kernel was compiled, loaded and run in ${ms.toFixed(0)} ms`;
        },
      )
  );
  const others = diagnosis.problems.map(({ problem, remedy }) => ({
    name: "CUDA",
    works: false,
    detail: problem,
    remedy,
    optional: true,
  }));
  return [{ name: "CUDA", works: true, detail: libraries, remedy: "", optional: true }, ...devices, ...others];
}

/** Milliseconds from the text of a kernel to its result. @throws if the result is wrong. */
function runOneKernel(ordinal: number, target: NonNullable<CudaDiagnosis["devices"][number]["target"]>): number {
  const context = cudaContext(ordinal);
  const start = performance.now();
  const source = 'extern "C" __global__ void __launch_bounds__(32) probe(int* p, int n) { *p = 6 * n; }';
  const code = nvrtcCompiler().compileUncached({ source, target, name: "doctor" });
  using module = CudaModule.load(context, code.bytes, "doctor");
  const memory = context.allocator.allocate(4);
  const args = new CudaArguments(["pointer", "i32"]);
  args.setBuffer(0, memory);
  args.setInt(1, 7);
  module.function("probe").launch({ grid: [1, 1, 1], block: [1, 1, 1] }, args);
  const [result] = new Int32Array(new CudaDeviceMemory().readSync(memory, 0, 4).buffer);
  memory.dispose();
  if (result !== 42) throw new Error(`the kernel computed ${result} instead of 42`);
  return performance.now() - start;
}

/** What TESSERA_CUDA_PATH names, if it names no folder: the search goes on without it. */
function checkCudaPath(): Check[] {
  const named = readEnvironment("TESSERA_CUDA_PATH");
  if (named === null) return [];
  const remedy = "Set it to the folder in which libcuda and libnvrtc lie, or to a toolkit's; or unset it.";
  const check = attempt("TESSERA_CUDA_PATH", true, remedy, () => {
    if (!Deno.statSync(named).isDirectory) throw new Error(`${named} is no folder`);
    return named;
  });
  return check.works ? [] : [check];
}

/** Examines the machine. */
export function examine(): DoctorReport {
  const javaScript = checkJavaScript();
  const compiler = checkCompiler();
  const ffi = checkFfi();
  const native: Check = compiler.works && ffi.works ? checkNative() : {
    name: "C++ kernels",
    works: false,
    detail: "they need a compiler and native calls",
    remedy: compiler.works ? ffi.remedy : compiler.remedy,
    optional: true,
  };
  const cache = diskCache().stats();
  const diagnosis = diagnoseCuda();
  const cuda = checkCuda(diagnosis);
  const checks = [javaScript, compiler, ffi, native, ...checkCudaPath(), ...cuda, checkCache(cache)];
  return {
    versions: {
      tessera: config.version,
      deno: Deno.version.deno,
      v8: Deno.version.v8,
      typescript: Deno.version.typescript,
    },
    system: { os: Deno.build.os, arch: Deno.build.arch, cores: navigator.hardwareConcurrency },
    devices: [
      { name: "cpu", tiers: [...(javaScript.works ? ["js"] : []), ...(native.works ? ["cpp"] : [])] },
      ...diagnosis.devices.map(({ ordinal, target }) => ({
        name: `cuda:${ordinal}`,
        tiers: target !== null && cuda.some((c) => c.name === `CUDA device ${ordinal}` && c.works) ? ["cuda"] : [],
      })),
    ],
    checks,
    cache,
    ok: checks.every((check) => check.works || check.optional),
  };
}

/** The report for people. */
export function reportText(report: DoctorReport): string {
  const { os, arch, cores } = report.system;
  const lines = [
    Object.entries(report.versions).map(([name, version]) => `${name} ${version}`).join(", "),
    `${os} ${arch}, ${cores} cores`,
    "",
    ...report.devices.map((d) => `device ${d.name}: ${d.tiers.join(", ") || "no tier works"}`),
    "",
  ];
  for (const check of report.checks) {
    lines.push(`${check.works ? "works " : check.optional ? "absent" : "BROKEN"}  ${check.name}: ${check.detail}`);
    if (!check.works) lines.push(`        → ${check.remedy}`);
  }
  return lines.join("\n");
}
