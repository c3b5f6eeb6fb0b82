/**
 * The nodes of an FX graph.
 *
 * A {@linkcode Node} is a placeholder (an input), a getAttr (a captured tensor: a parameter, a buffer, a constant), a call
 * of an operator, a getItem (one result of several), or the output. What a node yields is described by its `meta.value`: fake tensors
 * with symbolic sizes, never data. Nodes belong to one {@linkcode Graph}, which alone creates and changes them.
 * Mirrors `torch.fx.Node`.
 */
import type { Device, DType } from "../core/mod.ts";
import type { Size, SymInt } from "../symbolic/mod.ts";
import type { Schema } from "./schema.ts";

/** Everything known about a tensor but its data. Shape and strides are in elements; sizes may be symbolic. */
export interface TensorMeta {
  readonly shape: readonly Size[];
  readonly stride: readonly Size[];
  readonly storageOffset: Size;
  readonly dtype: DType;
  readonly device: Device;
}

/** What a node yields. */
export type NodeValue = TensorMeta | SymInt | number | boolean | null | readonly NodeValue[];

/** What the graph needs to know of an operator; `src/ops` has the rest. */
export interface OpTarget {
  readonly schema: Schema;
}

/** An argument of a call: another node, or plain data. */
export type Argument =
  | Node
  | number
  | bigint
  | boolean
  | string
  | null
  | SymInt
  | DType
  | Device
  | readonly Argument[];

/** Where in the user's program a node comes from. */
export interface SourceLocation {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly functionName: string;
}

interface NodeBase {
  /** Unique within the graph; a valid identifier. */
  readonly name: string;
  /** Position-independent number, increasing in order of creation. */
  readonly id: number;
  /** What the node yields. */
  value: NodeValue;
  /** The user's line, if known. */
  location: SourceLocation | null;
  /** Nodes that use this one. Kept by the graph. */
  readonly users: Set<Node>;
}

/** An input of the graph. */
export interface PlaceholderNode extends NodeBase {
  readonly op: "placeholder";
}

/** A tensor that the graph holds: parameter, buffer or lifted constant, named by its path. */
export interface GetAttrNode extends NodeBase {
  readonly op: "getAttr";
  readonly path: string;
}

/** A call of an operator, with every argument of its schema in schema order. */
export interface CallNode extends NodeBase {
  readonly op: "call";
  readonly target: OpTarget;
  readonly args: readonly Argument[];
}

/** One result of a node that yields several. */
export interface GetItemNode extends NodeBase {
  readonly op: "getItem";
  readonly source: Node;
  readonly index: number;
}

/** What the graph returns: one, in last place. */
export interface OutputNode extends NodeBase {
  readonly op: "output";
  readonly results: readonly Argument[];
}

/** A node of a graph. */
export type Node = PlaceholderNode | GetAttrNode | CallNode | GetItemNode | OutputNode;

/** Tells whether a value of the program is a tensor's description. */
export function isTensorMeta(value: unknown): value is TensorMeta {
  return typeof value === "object" && value !== null && "shape" in value && "stride" in value && "dtype" in value;
}

/** Tells whether an argument is a node. */
export function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && "op" in value && "users" in value;
}
