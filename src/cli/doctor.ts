/**
 * What works on this machine, what does not, and the command that mends it.
 *
 * Every check does the thing itself, as small as it can be: JavaScript code is generated and called, a library is compiled, loaded and
 * called, the cache is written. Nothing is concluded from names of files.
 */
import config from "../../deno.json" with { type: "json" };
import { type CacheStats, cacheSummary, diskCache } from "../runtime/mod.ts";
import { findToolchain, hasFfi, threadPool } from "../runtime/cpu/mod.ts";

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
  const checks = [javaScript, compiler, ffi, native, checkCache(cache)];
  return {
    versions: {
      tessera: config.version,
      deno: Deno.version.deno,
      v8: Deno.version.v8,
      typescript: Deno.version.typescript,
    },
    system: { os: Deno.build.os, arch: Deno.build.arch, cores: navigator.hardwareConcurrency },
    devices: [{ name: "cpu", tiers: [...(javaScript.works ? ["js"] : []), ...(native.works ? ["cpp"] : [])] }],
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
