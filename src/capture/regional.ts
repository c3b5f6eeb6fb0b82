/**
 * Regional compilation: a block that a model repeats is captured and compiled once, for all its siblings.
 *
 * Enters: a model. Leaves: the same model, whose repeated blocks each run one compiled function of their class: parameters and buffers are inputs of its graph, so that
 * siblings of equal shapes and options share it. What a block reads beside tensors is guarded as ever; siblings that differ in it get graphs of their own.
 * Mirrors PyTorch's regional compilation (`torch.compile` on the blocks of a transformer).
 */
import { Module } from "../nn/mod.ts";
import { captureStats } from "./capture_stats.ts";
import { type Compiled, type CompileOptions, compileShared } from "./compile.ts";

type AnyForward = (...args: readonly unknown[]) => unknown;

/** What {@linkcode compileRepeated} compiled. */
export interface CompiledRegions {
  /** How many blocks run compiled. */
  readonly blocks: number;
  /** The classes that are repeated, by name, and how many graphs there are of each so far. */
  graphs(): Readonly<Record<string, number>>;
  /** Resolves when everything compiled so far runs on its fastest tier. */
  ready(): Promise<void>;
  /** Puts the blocks back as they were. */
  [Symbol.dispose](): void;
}

/** The outermost modules that have siblings of their class and modules inside. Single layers are left alone: what fuses is between them. */
function repeatedBlocks(model: Module): Module[] {
  const kinds = new Map<object | null, Module[]>();
  for (const [, child] of model.namedChildren()) {
    const kind = Reflect.getPrototypeOf(child);
    const same = kinds.get(kind);
    if (same === undefined) kinds.set(kind, [child]);
    else same.push(child);
  }
  return [...kinds.values()].flatMap((same) =>
    same.length > 1 && same.every((m) => !m.namedChildren().next().done && Object.hasOwn(classOf(m), "forward"))
      ? same
      : same.flatMap(repeatedBlocks)
  );
}

/** The prototype that brings a module's `forward`. */
function classOf(module: Module): object {
  for (let at = Reflect.getPrototypeOf(module); at !== null; at = Reflect.getPrototypeOf(at)) {
    if (Object.hasOwn(at, "forward")) return at;
  }
  return Module.prototype;
}

/**
 * Compiles the blocks that a model repeats, each class of them once. Call the model as before: it runs its own JavaScript, and its blocks run compiled. The first call takes
 * about as long as for a model with one block of each class; between blocks nothing fuses.
 *
 * A block is a module with modules inside of it and siblings of its class, as in a `ModuleList` of transformer layers; blocks inside of blocks belong to these.
 *
 * @param model The model; its blocks get a `forward` of their own.
 * @param options As for `compile`.
 * @throws {TypeError} if the model repeats no block, or is no module; what `compile` throws for its options.
 *
 * @example
 * ```ts
 * import { compileRepeated, nn, randn, type Tensor } from "@tessera/tessera";
 * class Block extends nn.Module {
 *   readonly fc = new nn.Linear(4, 4);
 *   forward(x: Tensor): Tensor {
 *     return x.add(nn.functional.relu(this.fc.forward(x)));
 *   }
 * }
 * const model = new nn.Sequential(new Block(), new Block(), new Block());
 * const regions = compileRepeated(model, { backend: "eager" });
 * model.forward(randn([2, 4]));
 * console.assert(regions.blocks === 3 && regions.graphs().Block === 1);
 * ```
 */
export function compileRepeated(model: Module, options: CompileOptions = {}): CompiledRegions {
  if (!(model instanceof Module)) {
    throw new TypeError("compileRepeated: needs a module; compile functions with compile()");
  }
  const blocks = repeatedBlocks(model);
  if (blocks.length === 0) {
    throw new TypeError(
      "compileRepeated: the model repeats no block (modules of one class side by side, with modules inside); use compile()",
    );
  }
  const shared = new Map<object, Compiled<readonly unknown[], unknown>>();
  const before = blocks.map((block) => Reflect.getOwnPropertyDescriptor(block, "forward"));
  for (const block of blocks) {
    const home = classOf(block) as { readonly forward: AnyForward };
    let compiled = shared.get(home);
    if (compiled === undefined) {
      const { forward } = home;
      const region = function (this: unknown, ...args: readonly unknown[]): unknown {
        return home.forward.apply(this, args as unknown[]);
      };
      Object.defineProperty(region, "name", { value: `${block.constructor.name}.${forward.name}` });
      shared.set(home, compiled = compileShared(region, options));
    }
    const run = compiled;
    const value = (...args: readonly unknown[]): unknown => Reflect.apply(run, block, args);
    Object.defineProperty(block, "forward", { value, configurable: true, writable: true });
  }
  const nameOf = (home: object): string =>
    (home as { readonly constructor: { readonly name: string } }).constructor.name;
  return {
    blocks: blocks.length,
    graphs: () => Object.fromEntries([...shared].map(([home, f]) => [nameOf(home), captureStats(f).entries])),
    ready: async () => void await Promise.all([...shared.values()].map((f) => f.ready())),
    [Symbol.dispose](): void {
      blocks.forEach((block, i) => {
        const own = before[i];
        if (own === undefined) Reflect.deleteProperty(block, "forward");
        else Object.defineProperty(block, "forward", own);
      });
    },
  };
}
