/**
 * Builds graphs by hand, with `meta` of the operator table filling in shapes: for tests below the tracer.
 */
import { cpu, type DType, dtypeOfScalar, float32 } from "../../src/core/mod.ts";
import { type Argument, Graph, isNode, isTensorMeta, type Node, type TensorMeta } from "../../src/graph/mod.ts";
import { type ArgValue, getOp, type MetaInput, type NamedArgs, type TensorSpec } from "../../src/ops/mod.ts";
import { contiguousStride, isSymInt, type Size } from "../../src/symbolic/mod.ts";

/** The description of a contiguous tensor. */
export function metaOf(
  shape: readonly Size[],
  dtype: DType = float32,
  stride: readonly Size[] = contiguousStride(shape),
): TensorMeta {
  return { shape, stride, storageOffset: 0, dtype, device: cpu };
}

/** Makes nodes of one graph. */
export class GraphBuilder {
  readonly graph = new Graph();
  #inputs = 0;

  /** An input. */
  input(shape: readonly Size[], dtype: DType = float32, stride: readonly Size[] = contiguousStride(shape)): Node {
    return this.graph.placeholder(`in${this.#inputs++}`, metaOf(shape, dtype, stride));
  }

  /** A captured tensor. */
  attribute(path: string, shape: readonly Size[], dtype: DType = float32): Node {
    return this.graph.getAttr(path, metaOf(shape, dtype));
  }

  /** A call by target (`aten.cos.default`); what is not given positionally or by name takes the schema's default. */
  call(target: string, positional: readonly Argument[], named: Readonly<Record<string, Argument>> = {}): Node {
    const op = getOp(target);
    const args = op.schema.args.map((arg, i): Argument => {
      const given = named[arg.key] ?? positional[i];
      if (given !== undefined) return arg.list && !Array.isArray(given) && given !== null ? [given] : given;
      if (!arg.hasDefault) throw new TypeError(`${target}: ${arg.key} is missing`);
      return arg.defaultValue;
    });
    const metaArgs: Record<string, ArgValue<MetaInput>> = {};
    op.schema.args.forEach((arg, i) => {
      metaArgs[arg.key] = toMeta(args[i] as Argument, arg.type === "Tensor");
    });
    const result = op.meta(metaArgs as NamedArgs<MetaInput>);
    const specs = (Array.isArray(result) ? result : [result]) as readonly TensorSpec[];
    const metas = specs.map((s): TensorMeta => ({
      shape: s.shape,
      stride: s.stride ?? contiguousStride(s.shape),
      storageOffset: s.storageOffset ?? 0,
      dtype: s.dtype,
      device: s.device ?? cpu,
    }));
    const [only] = metas;
    return this.graph.call(op, args, Array.isArray(result) || only === undefined ? metas : only);
  }

  /** Result `index` of a node with several. */
  item(source: Node, index: number): Node {
    const values = source.value as readonly TensorMeta[];
    return this.graph.getItem(source, index, values[index] as TensorMeta);
  }
}

function toMeta(arg: Argument, isTensor: boolean): ArgValue<MetaInput> {
  if (Array.isArray(arg)) return (arg as readonly Argument[]).map((a) => toMeta(a, isTensor));
  if (isNode(arg)) {
    if (isTensorMeta(arg.value)) return { ...arg.value, isScalar: false, requiresGrad: false };
    return arg.value as Size;
  }
  if (isTensor && (typeof arg === "number" || typeof arg === "boolean" || isSymInt(arg))) {
    const dtype = dtypeOfScalar(isSymInt(arg) ? 1 : arg);
    return { ...metaOf([], dtype), isScalar: true, requiresGrad: false };
  }
  return arg as ArgValue<MetaInput>;
}

/** Builds a graph whose results are what `body` returns. */
export function graphOf(body: (b: GraphBuilder) => Argument | readonly Argument[]): Graph {
  const builder = new GraphBuilder();
  const results = body(builder);
  builder.graph.setOutput(Array.isArray(results) ? results as readonly Argument[] : [results as Argument]);
  return builder.graph;
}
