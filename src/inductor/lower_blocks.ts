/**
 * Kernels that somebody wrote, on their way through lowering: an operator's arguments as strided memory, its results as new buffers, its program recorded.
 *
 * What is not in memory yet is stored first; views of memory are index arithmetic of the program. Results that the program adds to begin as zeros.
 */
import { type BlockProgram, type RecordedTensor, statementsOf } from "../blocks/mod.ts";
import { InternalError } from "../core/mod.ts";
import { type Argument, type CallNode, isNode, type TensorMeta } from "../graph/mod.ts";
import { asIndex, type BufferRef, loopVar, ops } from "../loops/mod.ts";
import type { ArgValue, NamedArgs, Operator } from "../ops/mod.ts";
import type { BlocksGroup, LoopGroup } from "./groups.ts";
import { type WrittenResult, writtenResults } from "./lower_host.ts";
import { flatIndex, type InMemory, type LoweredTensor } from "./lowered.ts";

/** What lowering lends. */
export interface BlocksHost {
  tensorOf(argument: unknown): LoweredTensor | null;
  /** Stores what a tensor, or a view, is computed from. */
  realize(tensor: LoweredTensor, reason: string): void;
  /** A copy of a tensor in a layout of its own. */
  copy(tensor: LoweredTensor, reason: string): LoweredTensor;
}

/** A program's group, what must run before it, and where its results are. */
export interface LoweredBlocks {
  readonly groups: readonly (LoopGroup | BlocksGroup)[];
  readonly results: readonly WrittenResult[];
}

/** The names of an operator's results in its kernel. */
function resultNames(count: number): string[] {
  return count === 1 ? ["out"] : Array.from({ length: count }, (_, i) => `out${i}`);
}

function strided(tensor: LoweredTensor, host: BlocksHost): InMemory {
  let found = tensor.inMemory();
  if (found === null && !tensor.isInMemory) {
    host.realize(tensor.base, "a kernel reads strided memory");
    found = tensor.inMemory();
  }
  found ??= host.copy(tensor, "a kernel reads strided memory").inMemory();
  if (found === null) throw new InternalError(`${tensor.node.name} was stored, and is no strided memory`);
  return found;
}

/** Lowers a call of an operator whose meaning is a block program. */
export function lowerBlocks(node: CallNode, op: Operator, host: BlocksHost): LoweredBlocks {
  const record = op.blocks;
  if (record === undefined || record === null) throw new InternalError(`${op.target} has no kernel`);
  const inputs: BufferRef[] = [];
  const convert = (argument: Argument, name: string): ArgValue<RecordedTensor> => {
    if (Array.isArray(argument)) {
      return (argument as readonly Argument[]).map((a, i) => convert(a, `${name}${i}`));
    }
    if (!isNode(argument)) return argument as ArgValue<RecordedTensor>;
    const tensor = host.tensorOf(argument);
    const meta = argument.value;
    if (tensor === null) return meta as ArgValue<RecordedTensor>; // a size
    const { buffer, layout } = strided(tensor, host);
    inputs.push(buffer);
    const { stride, offset } = layout;
    return { name, buffer, shape: (meta as TensorMeta).shape, stride, offset, writes: false };
  };
  const args: Record<string, ArgValue<RecordedTensor>> = {};
  op.schema.args.forEach((schema, i) => args[schema.key] = convert(node.args[i] ?? null, schema.key));
  const metas = (Array.isArray(node.value) ? node.value : [node.value]) as readonly TensorMeta[];
  const names = resultNames(metas.length);
  const results = writtenResults(node);
  const program = record(
    args as NamedArgs<RecordedTensor>,
    results.map(({ buffer, layout }, i): RecordedTensor => ({
      name: names[i] ?? "out",
      buffer,
      shape: metas[i]?.shape ?? [],
      stride: layout.stride,
      offset: layout.offset,
      writes: true,
    })),
  );
  const outputs = results.map((r) => r.buffer);
  const group: BlocksGroup = {
    kind: "blocks",
    origins: [node],
    stored: new Set(outputs),
    reasons: [`${op.target} is a kernel of its own`],
    node,
    program,
    inputs,
    outputs,
  };
  return { groups: [...zeros(node, program, results), group], results };
}

/** Results that the program adds to, as zeros. */
function zeros(node: CallNode, program: BlockProgram, results: LoweredBlocks["results"]): LoopGroup[] {
  const added = new Set<BufferRef>();
  for (const s of statementsOf(program.body)) if (s.kind === "combine") added.add(s.place.buffer);
  return results.filter((r) => added.has(r.buffer)).map(({ buffer, layout }): LoopGroup => {
    const axes = layout.shape.map((size) => loopVar(size));
    return {
      kind: "loops",
      origins: [node],
      stored: new Set([buffer]),
      reasons: [],
      axes,
      reduceAxes: [],
      stages: [{
        kind: "pointwise",
        space: "outer",
        out: buffer,
        index: flatIndex(layout, asIndex(axes)),
        value: ops.constant(0, buffer.dtype),
      }],
    };
  });
}
