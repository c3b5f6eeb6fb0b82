/**
 * Programs that data interrupt, in parts: what lies between numbers read out of tensors and sizes that depend on data is compiled.
 *
 * Enters: a program that cannot be one graph for a compiler. Leaves: its graph with each run of other calls replaced by one call of a compiled graph, which takes the tensors
 * and sizes that it reads; or null where that cannot be done. Calls that a compiler cannot take stay as they are. Invariant: the new graph computes what the old one does;
 * where a size that depends on data is 0 or 1, which exporters rule out when they ask, the part runs node by node. Mirrors graph breaks of TorchDynamo.
 */
import { isOperator } from "../../ops/mod.ts";
import {
  type Argument,
  type CallNode,
  Graph,
  isNode,
  isTensorMeta,
  type Node,
  type NodeValue,
  type OpTarget,
  parseSchema,
} from "../../graph/mod.ts";
import { isSymInt, type Size, type Sym, type SymInt } from "../../symbolic/mod.ts";
import type { Tensor } from "../../tensor/mod.ts";
import type { Bindings } from "./bindings.ts";
import { copyControl, noteSymbols, symbolsOf, uncompilableIn } from "./control_calls.ts";
import { GraphCopier } from "./graph_copier.ts";
import type { ExportedProgram } from "./program.ts";
import { isControl } from "./targets.ts";

/** A call of a part. */
export interface PartTarget extends OpTarget {
  /** The part, of the program's own operators; takes tensors, then sizes. */
  readonly part: Graph;
  /** Sizes in it that depend on data. */
  readonly dataSizes: readonly Size[];
  readonly run: CompiledPart;
}

/** Runs a part, compiled. */
export interface CompiledPart {
  (tensors: readonly Tensor[], sizes: readonly number[], bindings: Bindings): readonly Tensor[];
  /** Resolves when its kernels are built. */
  readonly ready: () => Promise<void>;
}

export function isPart(target: OpTarget): target is PartTarget {
  return "part" in target;
}

const SCHEMA = parseSchema("tessera::part(Tensor[] inputs, SymInt[] sizes) -> Tensor[]");
/** Fewer calls are not worth a compiler. */
const LEAST_CALLS = 2;

/** Compiles a part: its graph, and the tensors that it holds. */
export type PartCompiler = (graph: Graph, attributes: ReadonlyMap<string, Tensor>) => CompiledPart;

type Piece = { readonly kind: "kept"; readonly node: Node } | { readonly kind: "part"; readonly nodes: Node[] };

/** A number that only a run knows, and that is no size. */
function isLooseNumber(node: Node): boolean {
  return node.op === "call" && node.value === null;
}

/** Whether a call has to stay: a compiler cannot take it, or it reads a number that no size stands for. */
function stays(node: CallNode): boolean {
  return uncompilableIn(node).length > 0 || isLooseNumber(node) || readsOf(node).some(isLooseNumber);
}

/** What a call writes to, or what memory a view shows: the tensor that it was made as. */
function madeAs(node: Node): Node {
  if (node.op === "getItem") return madeAs(node.source);
  if (node.op !== "call") return node;
  const at = node.target.schema.args.findIndex((a) => a.alias !== null);
  const of = at < 0 ? null : node.args[at] ?? null;
  return of !== null && isNode(of) ? madeAs(of) : node;
}

/** Operators whose result is memory of its own, whatever their arguments are. */
const FRESH: ReadonlySet<string> = new Set(
  ["zeros", "ones", "empty", "full"].flatMap((name) => [name, `${name}_like`, `new_${name}`]).concat("clone"),
);

function writes(node: Node): boolean {
  return node.op === "call" && node.target.schema.args.some((a) => a.mutated);
}

/** Whether a call, or one in its graphs, names places in storage: a part's results lie in memory of their own. */
function viewsStorage({ target }: CallNode): boolean {
  if (isControl(target)) return target.graphs.some((graph) => graph.calls.some(viewsStorage));
  return isOperator(target) && target.view?.ofStorage === true;
}

/** The program's nodes as calls that stay and runs of others; null if one of these writes to what another one made and has views of. */
function piecesOf(graph: Graph): Piece[] | null {
  const pieces: Piece[] = [];
  const home = new Map<Node, Piece>();
  if (graph.calls.some(viewsStorage)) return null;
  const viewed = new Set<Node>();
  for (const node of graph.nodes) if (!writes(node) && madeAs(node) !== node) viewed.add(madeAs(node));
  for (const node of graph.nodes) {
    if (node.op === "placeholder" || node.op === "getAttr" || node.op === "output") continue;
    const source = node.op === "getItem" ? home.get(node.source) : undefined;
    let piece = source?.kind === "part" ? source : pieces.at(-1);
    let isKept = node.op === "getItem" ? source?.kind !== "part" : stays(node);
    const written = writes(node) ? madeAs(node) : null;
    if (written !== null && (isKept || piece?.kind !== "part" || home.get(written) !== piece)) {
      // A write to memory that comes from elsewhere is run by itself, on the tensor that everybody has.
      if (written.op !== "call" || !FRESH.has(written.target.schema.name) || viewed.has(written)) return null;
      isKept = true;
    }
    if (isKept) pieces.push(piece = { kind: "kept", node });
    else if (piece === undefined || piece.kind === "kept") pieces.push(piece = { kind: "part", nodes: [] });
    if (piece.kind === "part") piece.nodes.push(node);
    home.set(node, piece);
  }
  return pieces;
}

function visitNodes(argument: Argument, visit: (node: Node) => void): void {
  if (Array.isArray(argument)) { for (const a of argument as readonly Argument[]) visitNodes(a, visit); }
  else if (isNode(argument)) visit(argument);
}

/** What a node reads. */
function readsOf(node: Node): Node[] {
  const found: Node[] = [];
  if (node.op === "call") node.args.forEach((a) => visitNodes(a, (n) => found.push(n)));
  if (node.op === "getItem") found.push(node.source);
  if (node.op === "output") node.results.forEach((a) => visitNodes(a, (n) => found.push(n)));
  return found;
}

class Splitter {
  readonly #program: ExportedProgram;
  readonly #attributes: ReadonlyMap<string, Tensor>;
  readonly #compile: PartCompiler;
  readonly #copier = new GraphCopier(null);

  constructor(program: ExportedProgram, attributes: ReadonlyMap<string, Tensor>, compile: PartCompiler) {
    this.#program = program;
    this.#attributes = attributes;
    this.#compile = compile;
  }

  split(pieces: readonly Piece[]): { readonly graph: Graph; readonly parts: readonly PartTarget[] } {
    const { graph: from } = this.#program;
    const { graph } = this.#copier;
    const parts: PartTarget[] = [];
    for (const node of from.placeholders) this.#copier.set(node, graph.placeholder(node.name, node.value));
    for (const node of from.attributes) this.#copier.set(node, graph.getAttr(node.path, node.value));
    for (const piece of pieces) {
      const calls = piece.kind === "part" ? piece.nodes.filter((n) => n.op === "call").length : 0;
      if (piece.kind === "part" && calls >= LEAST_CALLS) parts.push(this.#part(piece.nodes));
      else for (const node of piece.kind === "part" ? piece.nodes : [piece.node]) this.#keep(node);
    }
    graph.setOutput(from.output.results.map((r) => this.#copier.argument(r)));
    return { graph, parts };
  }

  #keep(node: Node): void {
    const { graph } = this.#copier;
    if (node.op === "call") {
      const args = node.args.map((a) => this.#copier.argument(a));
      this.#copier.set(node, graph.call(node.target, args, node.value, node.location));
    } else if (node.op === "getItem") this.#copier.set(node, this.#copier.item(node.source, node.index, node.value));
  }

  #part(nodes: readonly Node[]): PartTarget {
    const own = new Set(nodes);
    const plain = this.#copy(nodes, own, false), compiled = this.#copy(nodes, own, true);
    const { inputs, sizes, results } = plain;
    const target: PartTarget = {
      schema: SCHEMA,
      part: plain.graph,
      dataSizes: plain.dataSizes,
      run: this.#compile(compiled.graph, compiled.attributes),
    };
    const { graph } = this.#copier;
    const metas = results.map((n) => n.value);
    const call = graph.call(
      target,
      [inputs.map((n) => this.#copier.node(n)), [...sizes]],
      metas,
      nodes[0]?.location ?? null,
    );
    results.forEach((n, i) => this.#copier.set(n, graph.getItem(call, i, n.value)));
    // Numbers are known by their values.
    for (const n of nodes) if (plainValue(n.value) !== null) this.#copier.set(n, plainValue(n.value));
    return target;
  }

  /** The nodes as a graph by themselves: tensors from outside, then sizes that no tensor shows. */
  #copy(nodes: readonly Node[], own: ReadonlySet<Node>, forCompiler: boolean): {
    readonly graph: Graph;
    readonly inputs: readonly Node[];
    readonly sizes: readonly SymInt[];
    readonly dataSizes: readonly Size[];
    readonly results: readonly Node[];
    readonly attributes: ReadonlyMap<string, Tensor>;
  } {
    const copier = new GraphCopier(null);
    const inputs: Node[] = [];
    const attributes = new Map<string, Tensor>();
    const held: Node[] = [];
    const seen = new Set<Node>();
    const symbols = new Set<Sym>();
    for (const node of nodes) {
      noteSymbols(symbols, node.value);
      if (node.op === "call") {
        node.args.forEach((a) => noteSymbols(symbols, a));
        if (isControl(node.target)) {
          for (const g of node.target.graphs) for (const s of symbolsOf(g)) symbols.add(s);
        }
      }
      for (const read of readsOf(node)) {
        if (own.has(read) || seen.has(read)) continue;
        seen.add(read);
        if (read.op === "getAttr") held.push(read);
        else if (isTensorMeta(read.value)) inputs.push(read);
        else copier.set(read, plainValue(read.value));
      }
    }
    const shown = new Set<Sym>();
    for (const node of inputs) {
      // Where an input begins in its memory is the call's affair.
      const value = isTensorMeta(node.value) ? { ...node.value, storageOffset: 0 } : node.value;
      copier.set(node, copier.graph.placeholder(node.name, value));
      noteSymbols(symbols, value);
      if (!isTensorMeta(node.value)) continue;
      for (const s of node.value.shape) if (isSymInt(s) && s.expr.kind === "symbol") shown.add(s.expr.symbol);
    }
    const sizeOf = (sym: Sym): Size => this.#program.shapes.sizeOfSymbol(sym);
    const sizes = [...symbols].filter((sym) => !shown.has(sym)).map(sizeOf).filter(isSymInt);
    const dataSizes = [...symbols].filter((sym) => sym.kind === "unbacked").map(sizeOf);
    for (const size of sizes) copier.graph.placeholder(`size_${size}`, size);
    for (const node of held) {
      if (node.op !== "getAttr") continue;
      copier.set(node, copier.graph.getAttr(node.path, node.value));
      const tensor = this.#attributes.get(node.path);
      if (tensor !== undefined) attributes.set(node.path, tensor);
    }
    const states = new Map<Tensor, Node>();
    const stateAttr = (tensor: Tensor): Node => {
      const known = states.get(tensor);
      if (known !== undefined) return known;
      const path = `generator_state_${states.size}`;
      const { shape, stride, dtype, device } = tensor;
      const made = copier.graph.getAttr(path, { shape, stride, storageOffset: 0, dtype, device });
      states.set(tensor, made);
      attributes.set(path, tensor);
      return made;
    };
    for (const node of nodes) {
      if (node.op === "getItem") copier.set(node, copier.item(node.source, node.index, node.value));
      else if (node.op === "call" && forCompiler && isControl(node.target)) {
        copyControl(node, node.target, copier, { change: null, sizeOf });
      } else if (node.op === "call") {
        // What writes beside its results is taken apart for a compiler.
        if (forCompiler && isOperator(node.target) && copier.expand(node, node.target, stateAttr)) continue;
        const args = node.args.map((a) => copier.argument(a));
        copier.set(node, copier.graph.call(node.target, args, node.value, node.location));
      }
    }
    const results = nodes.filter((n) => isTensorMeta(n.value) && [...n.users].some((user) => !own.has(user)));
    copier.graph.setOutput(results.map((n) => copier.argument(n)));
    return { graph: copier.graph, inputs, sizes, dataSizes, results, attributes };
  }
}

/** A number or size that a node yields; null for anything else. */
function plainValue(value: NodeValue): SymInt | number | boolean | null {
  return isSymInt(value) || typeof value === "number" || typeof value === "boolean" ? value : null;
}

/** The program in parts; null if it writes to tensors between them, or there is nothing to compile. */
export function splitProgram(
  program: ExportedProgram,
  attributes: ReadonlyMap<string, Tensor>,
  compile: PartCompiler,
): { readonly graph: Graph; readonly parts: readonly PartTarget[] } | null {
  const pieces = piecesOf(program.graph);
  if (pieces === null) return null;
  const split = new Splitter(program, attributes, compile).split(pieces);
  return split.parts.length === 0 ? null : split;
}
