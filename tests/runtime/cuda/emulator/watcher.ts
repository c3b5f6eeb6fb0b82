/**
 * The TypeScript side of `watch.cpp`: which memory kernels may touch, in which order threads run, and what was found.
 *
 * The memory that a launch may touch comes from the plan: before each segment of launches the tensors of its steps are named, each with its own bytes, so that an
 * access behind a tensor is found although the arena goes on there.
 */
import { Binding } from "../../../../src/runtime/cuda/binding.ts";
import { CudaExecutable } from "../../../../src/runtime/cuda/executable.ts";
import type { CudaPlanArg, CudaPlanLaunch } from "../../../../src/runtime/cuda/plan.ts";

/** One thing that a kernel should not do. */
export interface Finding {
  readonly kernel: string;
  /** As `write-after-read`, `read outside of the tensors`. */
  readonly kind: string;
  /** Where and who. */
  readonly text: string;
  /** The line of the generated text; empty if unknown. */
  readonly line: string;
}

/** Steers and asks what watches emulated kernels. */
export interface Watcher {
  /** The order of threads and blocks: 0 as numbered, 1 backwards, others mixed. */
  order(seed: number): void;
  /** The byte that new memory is filled with. */
  fill(byte: number): void;
  /** What was found since the last call, each once a kernel and place. */
  findings(): Finding[];
}

const FILL = 7;

/** Opens the fake driver's watcher, and lets it know what each launch may touch. */
export function openWatcher(path: string, set: (what: number, value: number) => void): Watcher {
  const { symbols } = Deno.dlopen(path, {
    watch_order: { parameters: ["u32"], result: "void" },
    watch_allow: { parameters: ["buffer", "i32"], result: "void" },
    watch_early: { parameters: ["buffer", "i32"], result: "void" },
    watch_reports: { parameters: ["buffer", "u64"], result: "u64" },
  });
  restrict((pairs, early) => {
    symbols.watch_allow(pairs, pairs === null ? -1 : pairs.length >> 1);
    symbols.watch_early(early, early === null ? 0 : early.length >> 1);
  });
  return {
    order: (seed) => symbols.watch_order(seed),
    fill: (byte) => set(FILL, byte),
    findings: () => {
      const bytes = new Uint8Array(new ArrayBuffer(Number(symbols.watch_reports(null, 0n))));
      if (bytes.length === 0) return [];
      symbols.watch_reports(bytes, BigInt(bytes.length));
      return new TextDecoder().decode(bytes).trim().split("\n").map((row) => {
        const [kernel = "", kind = "", text = "", code = ""] = row.split("\t");
        return { kernel, kind, text, line: lineOf(code) };
      });
    },
  };
}

/** Pairs of addresses; null for all that is allocated, or for nothing. */
type Ranges = BigUint64Array<ArrayBuffer> | null;

/** Names the memory of each launch to `allow` before it runs, and what of it may be read early; null allows all that is allocated. */
function restrict(allow: (pairs: Ranges, early: Ranges) => void): void {
  let plan: CudaExecutable["plan"] | null = null;
  const run = CudaExecutable.prototype.run;
  CudaExecutable.prototype.run = function (buffers, sizes): void {
    plan = this.plan;
    run.call(this, buffers, sizes);
  };
  const send = Binding.prototype.run;
  Binding.prototype.run = function (segment, stream, _record): void {
    let step = -1;
    let planned: readonly CudaPlanLaunch[] = [];
    let at = 0;
    for (const launch of segment.launches) {
      if (launch.step !== step) {
        step = launch.step;
        at = 0;
        const own = plan?.steps[step];
        // Launches without any block are left out.
        planned = own?.kind === "launches" ? own.launches.filter((l) => l.grid.every((f) => f(this.sizes) > 0)) : [];
      }
      const { args, fn, waits, early = [] } = planned[at++] ?? {};
      if (args === undefined || fn !== launch.fn) throw new TypeError("launches do not follow the plan");
      const ranges = args.flatMap((arg, i) =>
        rangeOf(
          this,
          arg,
          () => arg.kind === "scratchMap" ? mapped(launch.args.tensorMap(i)) : launch.args.addressIn(i),
        )
      );
      const ahead = early.flatMap((slot) => rangeOf(this, { kind: "slot", slot, align: 1 }, () => 0));
      allow(new BigUint64Array(ranges.map(BigInt)), new BigUint64Array(ahead.map(BigInt)));
      try {
        // Every kernel that waits by itself is checked as one that begins early, the first of a segment too.
        const shape = { ...launch.shape, ...(waits === true ? { overlapPrevious: true } : {}) };
        send.call(this, { ...segment, launches: [{ ...launch, shape }], graph: null }, stream, false);
      } finally {
        allow(null, null);
      }
    }
  };
}

/** The address in a tensor map, as the driver without a device writes them. */
function mapped(map: Uint8Array<ArrayBuffer>): number {
  return Number(new DataView(map.buffer, map.byteOffset).getBigUint64(16, true));
}

/** The memory that an argument gives. Words of 4 bytes that it has part in belong to it: atomics of narrow types compare whole words. */
function rangeOf(binding: Binding, arg: CudaPlanArg, address: () => number): number[] {
  switch (arg.kind) {
    case "slot":
    case "tensorMap": {
      const from = binding.addressOf(arg.slot);
      return [from - from % 4, 4 * Math.ceil((from + (binding.slotBytes[arg.slot] ?? 0)) / 4)];
    }
    case "scratchMap":
    case "scratch":
      return [address(), address() + arg.bytes(binding.sizes)];
    case "size":
    case "error":
      return [];
    default:
      return arg satisfies never;
  }
}

/** The line of generated text that a place in machine code comes from, by `addr2line`; the file and offset where there is none. */
function lineOf(code: string): string {
  const [file = "", offset = ""] = code.split("+");
  if (offset === "") return "";
  try {
    const { stdout } = new Deno.Command("addr2line", { args: ["-e", file, offset] }).outputSync();
    return new TextDecoder().decode(stdout).trim().replace(/^.*\//, "");
  } catch {
    return code;
  }
}
