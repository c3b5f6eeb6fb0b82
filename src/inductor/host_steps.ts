/**
 * Steps of a plan that run on the host: operators that are algorithms rather than loops (sorting, say).
 *
 * The group's buffers are contiguous; the operator's own function reads typed arrays and its results are written into the outputs.
 */
import { type BlockMemory, interpretBlocks, type Place } from "../blocks/mod.ts";
import { InternalError, narrowFloat } from "../core/mod.ts";
import { type Argument, isNode, isTensorMeta, type Node, type TensorMeta } from "../graph/mod.ts";
import { type ArgValue, type HostTensor, isOperator, type NamedArgs } from "../ops/mod.ts";
import type { CpuBuffer } from "../runtime/cpu/memory.ts";
import { contiguousStride, evaluate, exprOf, type Size, type Sym } from "../symbolic/mod.ts";
import { blockMemory, hostFromRaw, rawOver } from "../tensor/mod.ts";
import type { BufferRef } from "../loops/mod.ts";
import { isControlOperator } from "../capture/mod.ts";
import { controlStep } from "./control_steps.ts";
import type { HostStep } from "../runtime/js/executable.ts";
import type { HostRunner } from "./js_tier.ts";
import type { BlocksGroup, HostGroup } from "./groups.ts";
import type { HostPlan } from "./host_plan.ts";

function metasOf(node: Node): TensorMeta[] {
  const value = node.value;
  if (isTensorMeta(value)) return [value];
  if (Array.isArray(value)) return value.filter(isTensorMeta);
  throw new InternalError(`${node.name} yields no tensor`);
}

/** Makes the steps that run a plan's host groups. */
export function hostRunner(plan: HostPlan): HostRunner {
  return (group, slotOf) =>
    group.kind === "blocks" ? blocksStep(group, slotOf, plan.sizes) : hostStep(group, slotOf, plan.sizes);
}

/** The step that interprets a kernel. */
function blocksStep(group: BlocksGroup, slotOf: (buffer: BufferRef) => number, sizeSyms: readonly Sym[]): HostStep {
  const slots = new Map([...group.inputs, ...group.outputs].map((buffer) => [buffer, slotOf(buffer)]));
  return (buffers, sizes) => {
    const memory = new Map(
      [...slots].map(([buffer, slot]) => {
        const bytes = (buffers[slot] as CpuBuffer).uint8;
        const whole = bytes.subarray(0, bytes.byteLength - bytes.byteLength % buffer.dtype.bytes);
        return [buffer, blockMemory(buffer.dtype, rawOver(buffer.dtype, whole))];
      }),
    );
    const of = ({ buffer }: Place): BlockMemory => memory.get(buffer) ?? fail(buffer);
    interpretBlocks(group.program, of, new Map(sizeSyms.map((sym, i) => [sym, sizes[i] ?? NaN])));
  };
}

function fail(buffer: BufferRef): never {
  throw new InternalError(`${buffer.label} has no memory`);
}

/** The step that runs one group. `sizeSyms`: the plan's size symbols, in order. */
export function hostStep(group: HostGroup, slotOf: (buffer: BufferRef) => number, sizeSyms: readonly Sym[]): HostStep {
  const node = group.node;
  if (node.op === "call" && isControlOperator(node.target)) {
    return controlStep(group, node, node.target, slotOf, sizeSyms);
  }
  if (node.op !== "call" || !isOperator(node.target) || node.target.host === null) {
    throw new InternalError(`${node.name} is no host operator`);
  }
  const op = node.target;
  const host = node.target.host;
  const inputSlots = new Map<Node, number>();
  const nodes: Node[] = [];
  const collect = (arg: Argument): void => {
    if (isNode(arg)) { if (!nodes.includes(arg)) nodes.push(arg); }
    else if (Array.isArray(arg)) { for (const a of arg as readonly Argument[]) collect(a); }
  };
  node.args.forEach(collect);
  nodes.forEach((n, i) => {
    const buffer = group.inputs[i];
    if (buffer !== undefined) inputSlots.set(n, slotOf(buffer));
  });
  const outSlots = group.outputs.map(slotOf);
  const position = new Map<Sym, number>(sizeSyms.map((s, i) => [s, i]));
  return (buffers, sizes) => {
    const concrete = (meta: TensorMeta): TensorMeta => {
      const shape = meta.shape.map((s: Size) => evaluate(exprOf(s), (sym) => sizes[position.get(sym) ?? -1] ?? NaN));
      return { ...meta, shape, stride: contiguousStride(shape), storageOffset: 0 };
    };
    const read = (meta: TensorMeta, buffer: CpuBuffer): HostTensor => {
      const shaped = concrete(meta);
      const numel = shaped.shape.reduce<number>((n, s) => n * Number(s), 1);
      const raw = rawOver(meta.dtype, buffer.uint8.subarray(0, numel * meta.dtype.bytes));
      return { ...shaped, data: hostFromRaw(meta.dtype, raw) };
    };
    const convert = (arg: Argument): ArgValue<HostTensor> => {
      if (isNode(arg)) {
        const slot = inputSlots.get(arg);
        if (!isTensorMeta(arg.value) || slot === undefined) {
          throw new InternalError(`${arg.name} reached a host operator without memory`);
        }
        return read(arg.value, buffers[slot] as CpuBuffer);
      }
      return Array.isArray(arg) ? (arg as readonly Argument[]).map(convert) : arg as ArgValue<HostTensor>;
    };
    const args: Record<string, ArgValue<HostTensor>> = {};
    op.schema.args.forEach((schema, i) => {
      args[schema.key] = convert(node.args[i] ?? null);
    });
    const metas = metasOf(node).map(concrete);
    const results = host(args as NamedArgs<HostTensor>, metas);
    results.forEach((result, i) => {
      const slot = outSlots[i];
      const meta = metas[i];
      if (slot === undefined || meta === undefined) return;
      const buffer = buffers[slot] as CpuBuffer;
      const target = rawOver(meta.dtype, buffer.uint8.subarray(0, result.data.length * meta.dtype.bytes));
      const narrow = narrowFloat(meta.dtype);
      if (narrow !== null) {
        for (let k = 0; k < result.data.length; k++) target[k] = narrow.toBits(Number(result.data[k]));
      } else for (let k = 0; k < result.data.length; k++) target[k] = result.data[k] as never;
    });
  };
}
