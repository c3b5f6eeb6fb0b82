/**
 * A call of an operator that is an algorithm, as those who write kernels for it see it, and the parameters of such kernels.
 *
 * Arguments and results lie in row-major order, each in a buffer from its element 0 on. Sizes may be symbols: {@linkcode Parameters.size} gives their text.
 */
import { type DType, InternalError } from "../../../../core/mod.ts";
import {
  type Argument,
  type CallNode,
  isNode,
  isTensorMeta,
  type Node,
  type TensorMeta,
} from "../../../../graph/mod.ts";
import type { BufferRef } from "../../../../loops/mod.ts";
import { constant, cudaDialect, type Expr, freeSymbols, mul, printExpr, type Sym } from "../../../../symbolic/mod.ts";
import { shapeOf } from "../../../buffers.ts";
import type { HostGroup } from "../../../groups.ts";
import { type CudaInclude, type CudaKernelText, type EmitContext, POINTER_ALIGN } from "../kernel_text.ts";
import type { CudaArg, TensorMapSpec } from "../launch.ts";

/** A tensor of a call. */
export interface AlgorithmTensor {
  readonly buffer: BufferRef;
  readonly dtype: DType;
  readonly shape: readonly Expr[];
}

/** What stands in an argument: a description of a tensor, or a plain value. */
export type ArgumentOf = (key: string) => unknown;

/** The product of sizes. */
export function volume(sizes: readonly Expr[]): Expr {
  return sizes.reduce<Expr>((a, b) => mul(a, b), constant(1));
}

/** A call: its arguments by the names of the schema. */
export class AlgorithmCall {
  readonly node: CallNode;
  readonly context: EmitContext;
  readonly #group: HostGroup;
  readonly #buffers: ReadonlyMap<Node, BufferRef>;

  constructor(node: CallNode, group: HostGroup, context: EmitContext) {
    this.node = node;
    this.context = context;
    this.#group = group;
    const nodes: Node[] = [];
    const collect = (arg: Argument): void => {
      if (isNode(arg)) { if (!nodes.includes(arg)) nodes.push(arg); }
      else if (Array.isArray(arg)) { for (const a of arg as readonly Argument[]) collect(a); }
    };
    node.args.forEach(collect);
    this.#buffers = new Map(nodes.flatMap((n, i) => group.inputs[i] === undefined ? [] : [[n, group.inputs[i]]]));
  }

  /** A plain argument. */
  argument(key: string): Argument {
    return this.node.args[this.node.target.schema.args.findIndex((a) => a.key === key)] ?? null;
  }

  /** An argument, tensors as their descriptions. */
  described(key: string): unknown {
    const value = this.argument(key);
    return isNode(value) ? value.value : value;
  }

  /** A number; `otherwise` where the argument is none. */
  number(key: string, otherwise = 0): number {
    const value = this.argument(key);
    return typeof value === "number" || typeof value === "bigint" ? Number(value) : otherwise;
  }

  /** A tensor argument; null where there is none. */
  tensor(key: string): AlgorithmTensor | null {
    const value = this.argument(key);
    if (!isNode(value) || !isTensorMeta(value.value)) return null;
    const buffer = this.#buffers.get(value);
    return buffer === undefined ? null : { buffer, dtype: value.value.dtype, shape: shapeOf(value.value) };
  }

  /** A tensor argument that must be there. */
  input(key: string): AlgorithmTensor {
    const found = this.tensor(key);
    if (found === null) throw new InternalError(`${this.node.name} has no tensor ${key}`);
    return found;
  }

  /** Result `i`. */
  output(i: number): AlgorithmTensor {
    const { value } = this.node;
    const meta = (Array.isArray(value) ? value[i] : value) as TensorMeta | undefined;
    const buffer = this.#group.outputs[i];
    if (meta === undefined || buffer === undefined) throw new InternalError(`${this.node.name} has no result ${i}`);
    return { buffer, dtype: meta.dtype, shape: shapeOf(meta) };
  }
}

/** The parameters of one kernel while its text is written. */
export class Parameters {
  readonly #args: CudaArg[] = [];
  readonly #texts: string[] = [];
  readonly #sizes: Sym[] = [];

  /** A pointer to elements of a C++ type; its name. */
  pointer(type: string, buffer: BufferRef): string {
    this.#args.push({ kind: "buffer", buffer, align: POINTER_ALIGN });
    return this.#add(`${type}*`);
  }

  /** A pointer to memory of the step. */
  scratch(type: string, bytes: Expr, id: number): string {
    this.#args.push({ kind: "scratch", bytes, zeroed: false, id });
    return this.#add(`${type}*`);
  }

  /** A pointer to the words that say which index was wrong. */
  errors(): string {
    this.#args.push({ kind: "error" });
    return this.#add("long*");
  }

  /** What the copy engine needs to know of a tensor. */
  map(buffer: BufferRef, map: TensorMapSpec): string {
    this.#args.push({ kind: "tensorMap", buffer, map });
    return this.#add("const __grid_constant__ tsr_map");
  }

  /** A size as a `long`. */
  size(e: Expr): string {
    for (const sym of freeSymbols(e)) if (!this.#sizes.includes(sym)) this.#sizes.push(sym);
    const name = (sym: Sym): string => `n${this.#sizes.indexOf(sym)}`;
    return `(long)(${printExpr(e, cudaDialect({ symbol: name, min: "tsr_min", max: "tsr_max", suffix: "l" }))})`;
  }

  #add(type: string): string {
    const name = `p${this.#texts.length}`;
    this.#texts.push(`${type} ${name}`);
    return name;
  }

  /** The kernel of a body. */
  kernel(
    body: string,
    { includes, blocks, threads, sharedBytes = 0, blocksEach, support }: {
      readonly includes: readonly CudaInclude[];
      readonly blocks: Expr;
      readonly threads: number;
      readonly sharedBytes?: number;
      readonly blocksEach?: number;
      readonly support?: string;
    },
  ): CudaKernelText {
    return {
      parameters: [...this.#texts, ...this.#sizes.map((_, i) => `const long n${i}`)].join(", "),
      body,
      includes: new Set(includes),
      args: [...this.#args, ...this.#sizes.map((sym): CudaArg => ({ kind: "size", sym, type: "i64" }))],
      grid: [blocks, constant(1), constant(1)],
      block: [threads, 1, 1],
      sharedBytes,
      ...(blocksEach === undefined ? {} : { blocksEach }),
      ...(support === undefined ? {} : { support }),
    };
  }
}
