/**
 * Compiles the kernels of many plans with nvrtc, as few translation units, and says what ptxas made of each: registers, spills, tensor-core instructions.
 *
 * Kernels of equal text are compiled once. What tensor cores do is read from the machine code (`.text.NAME` of the ELF file), not from the source: the compiler
 * may have taken another way.
 */
import assert from "node:assert/strict";
import { emitCudaModules } from "../../src/inductor/codegen/cuda/emit_module.ts";
import type { HostPlan } from "../../src/inductor/host_plan.ts";
import type { NvrtcLibrary } from "../../src/runtime/cuda/libraries.ts";
import { NvrtcCompiler } from "../../src/runtime/cuda/nvrtc.ts";
import { DiskCache } from "../../src/runtime/disk_cache.ts";

/** Architectures for which kernels are made, with a device of each. */
export const DEVICES = {
  sm_80: { arch: 80, multiprocessors: 108 },
  sm_90a: { arch: 90, multiprocessors: 132 },
} as const;
/** One of {@linkcode DEVICES}. */
export type Architecture = keyof typeof DEVICES;

/** One kernel as compiled. */
export interface CompiledKernel {
  readonly name: string;
  readonly registers: number;
  readonly stackBytes: number;
  /** Bytes of registers that a thread stores to memory. */
  readonly spillBytes: number;
  /** Instructions of tensor cores by warps (HMMA, IMMA, QMMA) and by warpgroups (HGMMA and its kin). */
  readonly byWarps: number;
  readonly byWarpgroups: number;
  /** Accesses of memory before it waits for the kernel ahead, but for boxes that the copy engine brings; null if it does not wait. */
  readonly early: number | null;
  /** Its text. */
  readonly source: string;
}

const BEGIN = /extern "C" __global__/;

/** Texts to compile, and how. */
export interface CudaUnits {
  readonly architecture: Architecture;
  readonly sources: readonly string[];
  readonly flags: readonly string[];
}

/** Translation units of many kernels each: the prelude is compiled only once for all of them. */
export function gatherUnits(plans: readonly HostPlan[], architecture: Architecture): CudaUnits {
  let flags: readonly string[] = [];
  const kernels = new Map<string, string>();
  const units = new Set<string>();
  for (const plan of plans) {
    const emitted = emitCudaModules(plan, DEVICES[architecture]);
    flags = emitted.flags;
    for (const { source } of emitted.modules) {
      const at = source.search(BEGIN);
      if (at < 0) continue;
      // With functions of its own a module stays as it is.
      if (/^template <int TA|^(static|template|struct|TSR) [^\n]*\bk\d+/m.test(source)) {
        units.add(source);
        continue;
      }
      for (const part of source.slice(at).split(/(?=extern "C" __global__)/)) {
        kernels.set(part.replace(/ k\d+\(/, " @("), source.slice(0, at));
      }
    }
  }
  for (const head of new Set(kernels.values())) {
    const own = [...kernels].filter(([, h]) => h === head).map(([text], i) => text.replace(" @(", ` k${i}(`));
    for (let i = 0; i < own.length; i += 40) units.add(head + own.slice(i, i + 40).join("\n"));
  }
  return { architecture, sources: [...units], flags };
}

/** Compiles units side by side. Fails on warnings that mean that the compiler has given up on an instruction. */
export async function compileUnits(
  library: NvrtcLibrary,
  { architecture, sources, flags }: CudaUnits,
): Promise<CompiledKernel[]> {
  const directory = Deno.makeTempDirSync({ prefix: "tessera-kernels-" });
  try {
    // What ptxas says is told only when it works, so nothing is taken from the user's cache.
    const compiler = new NvrtcCompiler(library, { cache: new DiskCache({ directory }) });
    const lists = await Promise.allSettled(sources.map(async (source, i) => {
      const { bytes, log } = await compiler.compile({
        source,
        target: { arch: architecture, kind: "cubin" },
        name: `unit ${i}`,
        options: [...flags, "--ptxas-options=-v"],
      });
      const said = log.split("\n").filter((line) => !/^ptxas\s+(info|\.)/.test(line)).join("\n");
      assert.doesNotMatch(said, /error|serialized|ignored/i);
      return kernelsIn(source, log, bytes);
    }));
    // All have ended before one that failed is told: nvrtc works on other threads.
    const kernels = lists.flatMap((list) => {
      if (list.status === "rejected") throw list.reason;
      return list.value;
    });
    // The kernel ahead may still run: memory is touched only after the wait.
    const wrong = kernels.filter(({ early }) => early !== 0);
    if (DEVICES[architecture].arch >= 90) assert.deepEqual(wrong.map((k) => k.source), []);
    return kernels;
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

/** Registers of a multiprocessor, and bytes that a thread may spill: a few registers, outside of loops. */
const REGISTERS = 65536;
const SPILL_BYTES = 96;

/** Kernels that spill, keep arrays in memory, or need more registers than a multiprocessor has, as sentences. */
export function unfit(kernels: readonly CompiledKernel[]): string[] {
  return kernels.flatMap((k) => {
    const threads = Number(/__launch_bounds__\((\d+)/.exec(k.source)?.[1] ?? 0);
    // A warp gets registers by the 8 a thread.
    const needed = threads * 8 * Math.ceil(k.registers / 8);
    const what = k.spillBytes > SPILL_BYTES
      ? `spills ${k.spillBytes} bytes`
      : needed > REGISTERS
      ? `needs ${needed} registers`
      : null;
    return what === null
      ? []
      : [`${k.name} (${k.registers} registers, stack of ${k.stackBytes} bytes) ${what}:\n${k.source.slice(0, 600)}`];
  });
}

function kernelsIn(source: string, log: string, image: Uint8Array<ArrayBuffer>): CompiledKernel[] {
  const found: CompiledKernel[] = [];
  const code = textSections(image);
  for (const part of log.split(/(?=ptxas info\s*: Compiling entry function)/)) {
    const name = /entry function '(\w+)'/.exec(part)?.[1];
    if (name === undefined) continue;
    const number = (pattern: RegExp): number => Number(pattern.exec(part)?.[1] ?? NaN);
    const machine = code.get(name);
    assert.ok(machine !== undefined, `${name} has no machine code`);
    const at = source.search(new RegExp(`extern "C" __global__[^{]* ${name}\\(`));
    found.push({
      name,
      registers: number(/Used (\d+) registers/),
      stackBytes: number(/(\d+) bytes stack frame/),
      spillBytes: number(/(\d+) bytes spill stores/),
      ...tensorCores(machine),
      early: earlyAccesses(machine),
      source: source.slice(at, source.indexOf('\nextern "C"', at + 1) >>> 0),
    });
  }
  return found;
}

/** Sections of machine code by kernel. */
function textSections(image: Uint8Array<ArrayBuffer>): Map<string, DataView> {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const word = (at: number): number => Number(view.getBigUint64(at, true));
  const [headers, count, names] = [word(40), view.getUint16(60, true), view.getUint16(62, true)];
  const textAt = (at: number): string => {
    const from = word(headers + 64 * names + 24) + at;
    return new TextDecoder().decode(image.subarray(from, image.indexOf(0, from)));
  };
  const found = new Map<string, DataView>();
  for (let i = 0; i < count; i++) {
    const header = headers + 64 * i;
    const name = textAt(view.getUint32(header, true));
    if (!name.startsWith(".text.")) continue;
    found.set(name.slice(6), new DataView(image.buffer, image.byteOffset + word(header + 24), word(header + 32)));
  }
  return found;
}

/** Counts by opcode: the lowest 9 bits of an instruction of 16 bytes, as `nvdisasm` shows them for sm_80 to sm_90a. */
function tensorCores(code: DataView): { byWarps: number; byWarpgroups: number } {
  let [byWarps, byWarpgroups] = [0, 0];
  for (let at = 0; at + 16 <= code.byteLength; at += 16) {
    const opcode = code.getUint16(at, true) & 0x1ff;
    if (opcode === 0x03c || opcode === 0x037 || opcode === 0x03f) byWarps++;
    if (opcode >= 0x1f0 && opcode <= 0x1f3) byWarpgroups++;
  }
  return { byWarps, byWarpgroups };
}

/** Opcodes of what reads or writes memory that is not shared: LD, LDG, ST, STG, LDGSTS, atomics, runs by the copy engine. */
// deno-fmt-ignore
const ACCESSES = new Set([0x180, 0x181, 0x185, 0x186, 0x18a, 0x18b, 0x18e, 0x1a2, 0x1a3, 0x1a6, 0x1a8, 0x1a9, 0x1ae, 0x1ba]);
/** `griddepcontrol.wait`. */
const ACQBULK = 0x82e;

/** In the order of the code, in which the wait stands before all loops. The compiler may move what it believes never changes, so the text alone proves nothing. */
function earlyAccesses(code: DataView): number | null {
  let count = 0;
  for (let at = 0; at + 16 <= code.byteLength; at += 16) {
    const opcode = code.getUint16(at, true);
    if ((opcode & 0xfff) === ACQBULK) return count;
    if (ACCESSES.has(opcode & 0x1ff)) count++;
  }
  return null;
}
