/**
 * What launches take, beside what they ought to take: the rows of `tessera run --profile`.
 *
 * Enters: launches of a plan and the times that their clocks have counted. Leaves: for each, its operators and sizes, arithmetic and bytes, as text and numbers.
 * Times by the wall grow with the machine's load; processor times hardly do, but count threads that wait spinning.
 */
import { extentOf, type LoopVar } from "../loops/mod.ts";
import type { ClockedLaunch } from "./codegen/cpp/emit_module.ts";
import { type Group, userLine } from "./groups.ts";
import type { Hint } from "./loop_space.ts";
import { trafficOf } from "./metrics.ts";
import { groupName } from "./print.ts";
import type { DevicePeaks } from "../runtime/cuda/mod.ts";

/** What one launch has taken. */
export interface LaunchTime {
  /** The buffer that it makes. */
  readonly name: string;
  /** Its operators, and the sizes that it runs over: batch | rows | columns | sum of a contraction. */
  readonly what: string;
  /** Its functions in the C++ text. */
  readonly functions: readonly string[];
  readonly wallMs: number;
  /** Summed over all threads. */
  readonly processorMs: number;
  /** Of a contraction, 10⁹ additions and multiplications; else 0. */
  readonly gflop: number;
  /** Bytes that it reads and writes, in units of 2²⁰. */
  readonly mebibytes: number;
  /** The user's line that its first operator comes from, `file:line:column`; null where nobody knows it. */
  readonly at: string | null;
}

/** The part of its floor that a launch reaches: the longer of moving its bytes and doing its arithmetic, over its time. */
export function floorShare(row: LaunchTime, calls: number, peaks: DevicePeaks): number {
  const floor = Math.max(row.mebibytes * 2 ** 20 / peaks.bytesPerSecond, row.gflop * 1e9 / peaks.flopsPerSecond);
  return floor / Math.max(row.wallMs / calls / 1000, 1e-12);
}

function sizes(vars: readonly LoopVar[], hint: Hint): string {
  return vars.length === 0 ? "1" : vars.map((v) => hint(extentOf(v))).join("×");
}

function volume(vars: readonly LoopVar[], hint: Hint): number {
  return vars.reduce((n, v) => n * hint(extentOf(v)), 1);
}

function spaceOf(group: Group, hint: Hint): string {
  switch (group.kind) {
    case "contraction":
      return [group.batch, group.m, group.n, group.k].map((vars) => sizes(vars, hint)).join(" | ");
    case "loops":
      return group.reduceAxes.length === 0
        ? sizes(group.axes, hint)
        : `${sizes(group.axes, hint)} | ${sizes(group.reduceAxes, hint)}`;
    case "attention":
      return [group.batch, [group.m], [group.n], [group.d], [group.e]].map((vars) => sizes(vars, hint)).join(" | ");
    case "scan":
      return sizes(group.axes, hint);
    case "host":
    case "blocks":
    case "foreach":
      return "";
    default:
      return group satisfies never;
  }
}

function operatorsOf(group: Group): string {
  const counts = new Map<string, number>();
  for (const node of group.origins) {
    if (node.op !== "call") continue;
    const { name } = node.target.schema;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts].map(([name, n]) => n === 1 ? name : `${name}×${n}`).join(" ");
}

/** One row for each launch, in the order of launches. */
export function launchTimes(
  launches: readonly ClockedLaunch[],
  nanoseconds: readonly (readonly [wall: number, processor: number])[],
  hint: Hint,
): LaunchTime[] {
  return launches.map(({ group, functions }, i) => {
    const [wall = 0, processor = 0] = nanoseconds[i] ?? [];
    const { bytesRead, bytesWritten } = trafficOf(group, hint);
    const gflop = group.kind === "attention"
      ? 2e-9 * (volume([...group.batch, group.m, group.n], hint) * volume([group.d], hint) +
        volume([...group.batch, group.m, group.n], hint) * volume([group.e], hint)) /
        (group.causal ? 2 : 1) * (group.role === "forward" ? 1 : group.role === "query" ? 1.5 : 2)
      : group.kind === "contraction"
      ? 2e-9 * volume([...group.batch, ...group.m, ...group.n, ...group.k], hint)
      : 0;
    return {
      name: groupName(group),
      what: `${group.kind} ${operatorsOf(group)} [${spaceOf(group, hint)}]`,
      functions,
      wallMs: wall / 1e6,
      processorMs: processor / 1e6,
      gflop,
      mebibytes: (bytesRead + bytesWritten) / 2 ** 20,
      at: userLine(group),
    };
  });
}

/**
 * The launches that take longest, as lines for people. `calls` is how many calls the times are of; where the device's peaks are known, each launch has its
 * share of them.
 */
export function profileToText(
  rows: readonly LaunchTime[],
  calls: number,
  peaks: DevicePeaks | null = null,
  most = 30,
): string {
  const total = rows.reduce((n, r) => n + r.wallMs, 0);
  const number = (x: number, digits: number, width: number): string => x.toFixed(digits).padStart(width);
  const ran = rows.filter((r) => r.wallMs > 0);
  const lines = ran.sort((a, b) => b.wallMs - a.wallMs).slice(0, most).map((r) => {
    const ms = r.wallMs / calls;
    const rate = r.gflop > 0
      ? `${number(r.gflop / ms * 1e3, 1, 7)} GFLOP/s`
      : `${number(r.mebibytes / 1024 / ms * 1e3, 1, 7)} GiB/s  `;
    return `${number(ms, 3, 9)} ms ${number(r.processorMs / calls, 3, 9)} ms ${
      number(100 * r.wallMs / Math.max(total, 1e-9), 1, 5)
    } % ${rate}${peaks === null ? "" : ` ${number(100 * floorShare(r, calls, peaks), 0, 4)} % of the floor`}  ${
      r.functions.slice(0, 3).join(",")
    } ${r.name}: ${r.what}${r.at === null ? "" : ` at ${r.at}`}`;
  });
  return [`  wall a call processors   share  rate             launch (${rows.length} in all)`, ...lines].join("\n");
}
