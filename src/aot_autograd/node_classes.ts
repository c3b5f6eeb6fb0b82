/**
 * Numbers for values: nodes of different graphs that compute the same from the same inputs have the same number.
 *
 * Graphs that are recorded from one captured graph (the joint graph, then the graphs of its gradients' gradients) repeat each other. A {@linkcode NodeClasses} gives numbers to
 * texts of calls over numbers of their arguments; a {@linkcode ClassReader} reads one functional graph with it. Inputs are told apart by name, attributes by path,
 * random operators by the state that they read; operators that carry graphs are the same if they are the same object.
 */
import { argumentKey, isControl, isTensorMeta, type Node, type OpTarget } from "../graph/mod.ts";

/** Numbers by meaning. */
export class NodeClasses {
  readonly #ids = new Map<string, number>();
  readonly #targets = new Map<OpTarget, number>();

  /** The number of a text. */
  number(key: string): number {
    let id = this.#ids.get(key);
    if (id === undefined) this.#ids.set(key, id = this.#ids.size);
    return id;
  }

  /** How texts name an operator. */
  nameOf(target: OpTarget): string {
    if (!isControl(target)) return target.schema.target;
    let id = this.#targets.get(target);
    if (id === undefined) this.#targets.set(target, id = this.#targets.size);
    return `${target.schema.target}#${id}`;
  }
}

/** The numbers of one graph's nodes. */
export class ClassReader {
  readonly #classes: NodeClasses;
  readonly #known = new Map<Node, number>();

  constructor(classes: NodeClasses) {
    this.#classes = classes;
  }

  /** States the number of an input that stands for a value of another graph. */
  assign(node: Node, id: number): void {
    this.#known.set(node, id);
  }

  /** The number of a node. Arguments are older than their calls, so that asking in order of the graph stays shallow. */
  of(node: Node): number {
    const known = this.#known.get(node);
    if (known !== undefined) return known;
    const id = this.#classes.number(this.#textOf(node));
    this.#known.set(node, id);
    return id;
  }

  #textOf(node: Node): string {
    switch (node.op) {
      case "placeholder":
        return `input ${node.name}`;
      case "getAttr":
        return `attribute ${node.path}`;
      case "getItem":
        return `item ${this.of(node.source)} ${node.index}`;
      case "call": {
        const dtype = isTensorMeta(node.value) ? node.value.dtype.short : "";
        const args = node.args.map((a) => argumentKey(a, (n) => this.of(n)));
        return `${this.#classes.nameOf(node.target)} ${dtype}(${args.join(",")})`;
      }
      case "output":
        return "output";
      default:
        return node satisfies never;
    }
  }
}
