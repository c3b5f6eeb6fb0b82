/**
 * An exported program: a graph with its calling convention, its tensors and the sizes it was exported for.
 *
 * It is called like the module that was exported: nested arguments are flattened by the in-tree, results rebuilt by the out-tree, mutated buffers
 * and inputs written back, sizes checked against the declared ranges. `graph` is the input of the compiler: its placeholders are the user's inputs in
 * order, its `getAttr` nodes name `attributes`. Mirrors `torch.export.ExportedProgram`.
 */
import { InternalError } from "../../core/mod.ts";
import type { Graph, Node, PlaceholderNode } from "../../graph/mod.ts";
import { getOp } from "../../ops/mod.ts";
import { dispatch } from "../../tensor/dispatch.ts";
import { Tensor } from "../../tensor/tensor.ts";
import type { Attributes } from "./attributes.ts";
import { Bindings, type Conditions } from "./bindings.ts";
import { runGraph, type RunValue } from "./execute.ts";
import { type Problem, UnsupportedError } from "./problems.ts";
import type { ConstantData } from "./schema.ts";
import type { ProgramShapes, SymbolRange } from "./shape_env.ts";
import { isControl } from "./targets.ts";
import { flattenTree, leafPaths, type TreeSpec, unflattenTree } from "./tree_spec.ts";

/** What an input of the exported graph is. */
export type InputSpec =
  | { readonly kind: "userInput"; readonly name: string; readonly placeholder: PlaceholderNode }
  | { readonly kind: "constantInput"; readonly name: string; readonly value: ConstantData }
  | { readonly kind: "parameter" | "tensorConstant"; readonly name: string; readonly path: string }
  | { readonly kind: "buffer"; readonly name: string; readonly path: string; readonly persistent: boolean }
  | { readonly kind: "token" | "customObj"; readonly name: string };

/** What a result of the graph is; in the order of the graph's output. */
export type OutputSpec =
  | {
    readonly kind: "userOutput" | "lossOutput" | "token";
    /** A number that the graph computes as a tensor of one element. */
    readonly isNumber?: boolean;
  }
  | {
    readonly kind:
      | "bufferMutation"
      | "parameterMutation"
      | "gradientToParameter"
      | "gradientToUserInput"
      | "userInputMutation";
    /** The attribute's path, or the input's name. */
    readonly target: string;
  };

/** Everything a program is made of. */
export interface ProgramInit {
  readonly name: string;
  /** What errors call the program: the file's path. */
  readonly label: string;
  readonly file: string | null;
  readonly graph: Graph;
  readonly inputSpecs: readonly InputSpec[];
  readonly outputSpecs: readonly OutputSpec[];
  readonly inTree: TreeSpec | null;
  readonly outTree: TreeSpec | null;
  readonly argumentNames: readonly string[] | null;
  readonly attributes: Attributes;
  readonly shapes: ProgramShapes;
  readonly conditions: Conditions;
  readonly problems: readonly Problem[];
  readonly stackTraces: ReadonlyMap<Node, string>;
  readonly schemaVersion: readonly [number, number];
  readonly torchVersion: string;
}

/** A program that was exported by PyTorch. */
export class ExportedProgram {
  readonly name: string;
  /** The identity of the file that it was read from, before it was read; null if it is no file. */
  readonly file: string | null;
  readonly graph: Graph;
  readonly inputSpecs: readonly InputSpec[];
  readonly outputSpecs: readonly OutputSpec[];
  /** Shape of `[args, kwargs]`; null if the file has none. */
  readonly inTree: TreeSpec | null;
  readonly outTree: TreeSpec | null;
  /** Names of the parameters of the module's `forward`. */
  readonly argumentNames: readonly string[] | null;
  readonly attributes: Attributes;
  readonly shapes: ProgramShapes;
  /** What keeps the program from running; empty if it can run. */
  readonly problems: readonly Problem[];
  readonly schemaVersion: readonly [number, number];
  readonly torchVersion: string;
  readonly #label: string;
  readonly #conditions: Conditions;
  readonly #stackTraces: ReadonlyMap<Node, string>;
  readonly #placeholders: readonly PlaceholderNode[];

  /** Made by {@linkcode readExportedProgram}. */
  constructor(init: ProgramInit) {
    this.name = init.name;
    this.file = init.file;
    this.graph = init.graph;
    this.inputSpecs = init.inputSpecs;
    this.outputSpecs = init.outputSpecs;
    this.inTree = init.inTree;
    this.outTree = init.outTree;
    this.argumentNames = init.argumentNames;
    this.attributes = init.attributes;
    this.shapes = init.shapes;
    this.problems = init.problems;
    this.schemaVersion = init.schemaVersion;
    this.torchVersion = init.torchVersion;
    this.#label = init.label;
    this.#conditions = init.conditions;
    this.#stackTraces = init.stackTraces;
    this.#placeholders = init.graph.placeholders;
  }

  /** Declared ranges of symbolic sizes. */
  get rangeConstraints(): readonly SymbolRange[] {
    return this.#conditions.ranges;
  }

  /** The user's inputs, in the order of {@linkcode callFlat}. */
  get userInputs(): readonly PlaceholderNode[] {
    return this.#placeholders;
  }

  /** The stack trace that the exporter recorded for a node. */
  stackTraceOf(node: Node): string | null {
    return this.#stackTraces.get(node) ?? null;
  }

  /** Where each input stands among the arguments: `args[0]`, `kwargs.mask`; null if the file has no in-tree. */
  get inputPaths(): readonly string[] | null {
    const { inTree } = this;
    if (inTree === null || inTree.kind !== "sequence") return null;
    const [args, kwargs] = inTree.children;
    if (args === undefined || kwargs === undefined) return null;
    return [...leafPaths(args, "args"), ...leafPaths(kwargs, "kwargs")];
  }

  /** Loads every attribute that the graph reads, control flow included. */
  loadAttributes(): Map<string, Tensor> {
    const loaded = new Map<string, Tensor>();
    const visit = (graph: Graph): void => {
      for (const { path } of graph.attributes) if (!loaded.has(path)) loaded.set(path, this.attributes.tensor(path));
      for (const { target } of graph.calls) if (isControl(target)) target.graphs.forEach(visit);
    };
    visit(this.graph);
    return loaded;
  }

  /** Throws if the program uses anything that is not supported. @throws {UnsupportedError} */
  checkRunnable(): void {
    if (this.problems.length > 0) throw new UnsupportedError(this.#label, this.problems);
  }

  /** What calls check of the sizes: declared ranges, and conditions under which the program was exported and read. */
  get conditions(): Conditions {
    const { ranges, constraints } = this.#conditions;
    return { ranges, constraints: [...constraints, ...this.shapes.guards] };
  }

  /** Checks inputs as {@linkcode callFlat} does and yields the values of the symbolic sizes. */
  bind(inputs: readonly unknown[]): Bindings {
    const bindings = new Bindings(this.conditions);
    if (inputs.length !== this.#placeholders.length) {
      throw new TypeError(
        `${this.name}: takes ${this.#placeholders.length} inputs (${
          this.#placeholders.map((p) => p.name).slice(0, 20).join(", ")
        }), got ${inputs.length}`,
      );
    }
    this.#placeholders.forEach((node, i) => bindings.require(node.value, inputs[i], `input ${node.name}`));
    bindings.settle();
    return bindings;
  }

  /**
   * Runs the program eagerly on its flattened inputs (constants left out), in the order of {@linkcode userInputs}.
   *
   * @param graph What to run in the place of the program's own graph: the same, some of its calls put together.
   * @returns The user's results, flattened.
   * @throws {UnsupportedError} if it uses something that is not supported; {TypeError} or {RangeError} naming the input and the
   *   size or range that does not fit; {FormatError} if a weight is damaged.
   */
  callFlat(inputs: readonly RunValue[], graph: Graph = this.graph): RunValue[] {
    this.checkRunnable();
    const results = runGraph(graph, inputs, this.bind(inputs), this.loadAttributes());
    const outputs: RunValue[] = [];
    this.outputSpecs.forEach((spec, i) => {
      const result = results[i] ?? null;
      switch (spec.kind) {
        case "userOutput":
        case "lossOutput":
          outputs.push(result);
          break;
        case "bufferMutation":
        case "parameterMutation":
          this.#write(this.attributes.tensor(spec.target), result, spec.target);
          break;
        case "userInputMutation": {
          const at = this.#placeholders.findIndex((p) => p === this.#placeholder(spec.target));
          this.#write(inputs[at] ?? null, result, spec.target);
          break;
        }
        case "gradientToParameter":
        case "gradientToUserInput":
        case "token":
          break;
        default:
          spec satisfies never;
      }
    });
    return this.withNumbers(outputs);
  }

  /** Whether some of the user's results are numbers that the graph computes as tensors. */
  get yieldsNumbers(): boolean {
    return this.outputSpecs.some((spec) => "isNumber" in spec && spec.isNumber === true);
  }

  /** The user's results, with numbers in the place of the tensors that hold them. */
  withNumbers(outputs: readonly RunValue[]): RunValue[] {
    if (!this.yieldsNumbers) return [...outputs];
    const specs = this.outputSpecs.filter(({ kind }) => kind === "userOutput" || kind === "lossOutput");
    return outputs.map((result, i) => {
      const spec = specs[i];
      const isNumber = spec !== undefined && "isNumber" in spec && spec.isNumber === true;
      return isNumber && result instanceof Tensor ? Number(result.item()) : result;
    });
  }

  #placeholder(name: string): PlaceholderNode | null {
    const spec = this.inputSpecs.find((s) => s.name === name);
    return spec?.kind === "userInput" ? spec.placeholder : null;
  }

  #write(target: RunValue, result: RunValue, what: string): void {
    if (!(target instanceof Tensor) || !(result instanceof Tensor)) {
      throw new InternalError(`${this.name}: ${what} is written but is no tensor`);
    }
    if (target !== result) dispatch(getOp("aten.copy_.default"), { self: target, src: result });
  }

  /** The inputs in the order of {@linkcode callFlat}. Values the program was exported for are checked and left out. */
  flattenInputs(args: readonly unknown[], kwargs: Readonly<Record<string, unknown>> = {}): RunValue[] {
    const leaves = this.inTree === null
      ? [...args, ...Object.values(kwargs)]
      : flattenTree([args, kwargs], this.inTree, "the arguments [args, kwargs]");
    const paths = this.inputPaths;
    const specs = this.inputSpecs.filter((s) => s.kind === "userInput" || s.kind === "constantInput");
    if (leaves.length !== specs.length) {
      throw new TypeError(`${this.name}: takes ${specs.length} inputs, the arguments flatten to ${leaves.length}`);
    }
    const inputs: RunValue[] = [];
    specs.forEach((spec, i) => {
      const leaf = leaves[i];
      const at = paths?.[i] ?? `input ${i}`;
      if (spec.kind === "userInput") {
        if (leaf === undefined) throw new TypeError(`${this.name}: ${at} is missing`);
        inputs.push(leaf as RunValue);
      } else if (spec.kind === "constantInput" && !sameConstant(leaf, spec.value)) {
        throw new TypeError(
          `${this.name}: ${at} must be ${constantText(spec.value)}, the value that the program was exported for; got ${
            constantText(leaf)
          }`,
        );
      }
    });
    return inputs;
  }

  /** The nested result of which these are the leaves; one that is not nested if the file has no out-tree. */
  unflattenOutputs(outputs: readonly unknown[]): unknown {
    if (this.outTree !== null) return unflattenTree(outputs, this.outTree);
    return outputs.length === 1 ? outputs[0] : [...outputs];
  }

  /**
   * Runs the program eagerly, called like the module that was exported.
   *
   * @param args Positional arguments, nested as the module takes them: arrays for tuples and lists, objects for dicts and named tuples.
   * @param kwargs Keyword arguments.
   * @throws As {@linkcode callFlat}; {TypeError} naming the place where an argument has another shape.
   */
  call(args: readonly unknown[], kwargs: Readonly<Record<string, unknown>> = {}): unknown {
    this.checkRunnable();
    return this.unflattenOutputs(this.callFlat(this.flattenInputs(args, kwargs)));
  }

  /** The program as a function of its positional arguments and, if the module takes any, one last object of keyword arguments. */
  module(): (...args: readonly unknown[]) => unknown {
    const [args] = this.inTree?.kind === "sequence" ? this.inTree.children : [];
    const positional = args?.kind === "sequence" ? args.children.length : Infinity;
    return (...given) => {
      if (given.length !== positional + 1) return this.call(given);
      return this.call(given.slice(0, -1), given.at(-1) as Readonly<Record<string, unknown>>);
    };
  }
}

function sameConstant(given: unknown, wanted: ConstantData): boolean {
  if (wanted === null) return given === null || given === undefined;
  if (typeof wanted === "bigint") return typeof given === "bigint" && given === wanted;
  if (typeof given === "bigint") return Number.isInteger(wanted) && Number(given) === wanted;
  return Object.is(given, wanted) || given === wanted;
}

function constantText(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.slice(0, 80));
  if (value instanceof Tensor) return "a tensor";
  return typeof value === "object" && value !== null ? "an object" : String(value);
}
