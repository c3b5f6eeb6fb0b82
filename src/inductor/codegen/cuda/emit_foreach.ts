/**
 * Many small independent kernels as one launch: the updates of an optimiser.
 *
 * Kernels over one axis that differ only in its extent and in their buffers become ranges of one grid: a block finds its member by its number, then its
 * pointers and length, and runs the body that all share. What does not fit stays a launch of its own.
 */
import { ceilDiv, constant, constantValue, newSym, symbol } from "../../../symbolic/mod.ts";
import { tileToText } from "../../tile/print.ts";
import type { Axis, TileKernel } from "../../tile/tile_ir.ts";
import { memoryType } from "../cpp/types.ts";
import type { Scopes } from "../scopes.ts";
import { CudaFunction } from "./function.ts";
import { sizeName } from "./texts.ts";
import { type CudaKernelText, type EmitContext, line, POINTER_ALIGN } from "./kernel_text.ts";
import type { CudaArg } from "./launch.ts";
import { lanesFor } from "./nests.ts";
import { SameOrder } from "./same_order.ts";

const THREADS = 256;
/** Runs that a thread has at most. */
const RUNS = 4;
/** Bytes that parameters may take everywhere. */
const PARAMETER_BYTES = 4096;

/** Pointers in one launch, with one that is no member's. */
export function mostPointers({ parameterBytes = PARAMETER_BYTES }: EmitContext): number {
  return Math.floor(parameterBytes / 8) - 1;
}

interface Member {
  readonly kernel: TileKernel;
  readonly length: number;
}

/** The kernel with its extent as a size, if it may be a member. */
function generic(kernel: TileKernel): TileKernel | null {
  const [axis, ...more] = kernel.axes;
  if (axis === undefined || more.length > 0 || kernel.sizes.length > 0 || kernel.parallelAxes !== 1) return null;
  const length = constantValue(axis.extent);
  if (length === null || length >= 2 ** 30 || kernel.reads.length + kernel.writes.length > 64) return null;
  if (kernel.body.some((s) => s.kind === "for" || s.kind === "combine" || s.kind === "bind")) return null;
  const size = newSym("n", { kind: "size", lower: 0, upper: 2 ** 30 });
  const own: Axis = { ...axis, extent: symbol(size) };
  return { ...kernel, axes: [own], sizes: [size] };
}

/** Joins kernels; those that cannot be joined come back. */
export function emitForeach(
  kernels: readonly TileKernel[],
  context: EmitContext,
): { readonly joined: CudaKernelText[]; readonly rest: TileKernel[] } {
  const byText = new Map<string, { shape: TileKernel; members: Member[] }>();
  const rest: TileKernel[] = [];
  const order = new SameOrder();
  for (const given of kernels) {
    const kernel = order.rewrite(given);
    const shape = generic(kernel);
    const length = constantValue(kernel.axes[0]?.extent ?? constant(0));
    if (shape === null || length === null) {
      rest.push(kernel);
      continue;
    }
    const text = tileToText(shape);
    const found = byText.get(text);
    if (found === undefined) byText.set(text, { shape, members: [{ kernel, length }] });
    else found.members.push({ kernel, length });
  }
  const joined: CudaKernelText[] = [];
  for (const { shape, members } of byText.values()) {
    if (members.length === 1) {
      rest.push(...members.map((m) => m.kernel));
      continue;
    }
    const each = Math.floor(mostPointers(context) / (shape.reads.length + shape.writes.length));
    for (let at = 0; at < members.length; at += each) {
      joined.push(emitJoined(shape, members.slice(at, at + each), context));
    }
  }
  return { joined, rest };
}

function emitJoined(shape: TileKernel, members: readonly Member[], context: EmitContext): CudaKernelText {
  const f = new CudaFunction(shape, [shape.body], shape.axes, { shared: context.shared });
  const s = f.scopes;
  const axis = shape.axes[0] as Axis;
  const lanes = lanesFor(shape.body, axis, true);
  const span = THREADS * lanes * RUNS;
  const starts: number[] = [];
  let blocks = 0;
  for (const { length } of members) {
    starts.push(blocks);
    blocks += Math.ceil(length / span);
  }
  const { args, parameters } = writeMember(s, shape, members.map((m) => m.kernel), starts, []);
  writeTable(s, f.index, sizeName(0), members.map((m) => m.length));
  writeTable(s, "int", "first", starts);
  s.line(`${f.index} start = ((${f.index})blockIdx.x - first) * ${span} + (${f.index})threadIdx.x * ${lanes};`);
  s.open(`#pragma unroll 2\nfor (int run = 0; run < ${RUNS}; run++, start += ${THREADS * lanes}) {`);
  s.line(`const int count = (int)tsr_min((long)${sizeName(0)} - start, ${lanes}l);`);
  s.line("if (count <= 0) break;");
  f.chunk(shape.body, { symbol: axis.symbol, lanes, base: "start", count: "count" });
  s.close();
  return {
    parameters,
    body: s.text("  "),
    includes: new Set(),
    args,
    grid: line(ceilDiv(blocks, 1)),
    block: [THREADS, 1, 1],
    sharedBytes: 0,
  };
}

/** Writes a block's member `m` and its pointers `p0`, `p1` …; the pointers of all, and those of `more` behind them, are one parameter. `starts` are the first blocks of members. */
export function writeMember(
  s: Scopes,
  shape: TileKernel,
  members: readonly TileKernel[],
  starts: readonly number[],
  more: readonly { readonly arg: CudaArg; readonly text: string }[],
): { readonly args: CudaArg[]; readonly parameters: string } {
  const types = [
    ...shape.reads.map((b) => `const ${memoryType(b.dtype)}*`),
    ...shape.writes.map((b) => `${memoryType(b.dtype)}*`),
  ];
  const buffers = members.flatMap((kernel) => [...kernel.reads, ...kernel.writes]);
  s.line(`static __constant__ const int starts[${starts.length}] = {${starts.join(", ")}};`);
  s.line("int m = 0;");
  s.line(
    `for (int step = ${2 ** Math.floor(Math.log2(starts.length))}; step > 0; step >>= 1)` +
      ` if (m + step < ${starts.length} && (int)blockIdx.x >= starts[m + step]) m += step;`,
  );
  types.forEach((type, i) => s.line(`${type} const p${i} = (${type})all.p[m * ${types.length} + ${i}];`));
  more.forEach(({ text }, i) => s.line(`${text} = (char*)all.p[${buffers.length + i}];`));
  return {
    args: [
      ...buffers.map((buffer): CudaArg => ({ kind: "buffer", buffer, align: POINTER_ALIGN })),
      ...more.map(({ arg }) => arg),
    ],
    parameters: `const __grid_constant__ tsr_pointers<${buffers.length + more.length}> all`,
  };
}

/** Writes what a block's member has of a table. */
export function writeTable(s: Scopes, type: string, name: string, values: readonly number[]): void {
  const [first] = values;
  if (values.every((v) => v === first)) s.line(`const ${type} ${name} = ${first};`);
  else {
    s.line(`static __constant__ const int ${name}s[${values.length}] = {${values.join(", ")}};`);
    s.line(`const ${type} ${name} = ${name}s[m];`);
  }
}
