/**
 * `kernel()`: operators whose meaning is a kernel that the program writes itself, in TypeScript.
 *
 * Enters: a schema, what results look like, a function over blocks, and configurations to choose from. Leaves: a function of tensors that runs eagerly and
 * inside of compiled functions, on the CPU (C++, or an interpreter without a compiler) and on CUDA. The function is recorded for the shapes at hand;
 * which configuration is best is measured by `tune()`, on CUDA also by the first eager call, and remembered by device and shapes. Mirrors
 * `triton.jit` with `triton.autotune`, and `torch.library.triton_op`.
 */
import { type BlockOptions, BlockTensor, recordBlocks, type RecordedTensor, type Tile } from "../blocks/mod.ts";
import { tracing } from "../capture/control/sub_tracer.ts";
import { registerLibraryFunction } from "../capture/library.ts";
import { type ArgsOf, parseSchema, type Schema } from "../graph/mod.ts";
import {
  type ArgValue,
  defineOp,
  findOp,
  type MetaInput,
  type MetaResult,
  type NamedArgs,
  type Operator,
  type Sample,
  type SampleGenerator,
  type TensorValue,
  type VjpContext,
  type VjpResult,
} from "../ops/mod.ts";
import { dispatch, normalizeNamed, type OpResult } from "../tensor/mod.ts";
import { type Measurement, Tuner } from "./tune.ts";

/** Numbers that a kernel's function is recorded with. Three of them mean something to the compiler as well. */
export interface KernelConfig {
  /** Warps of 32 threads that work on an instance on CUDA. Default 4. */
  readonly warps?: number;
  /** Tiles of a loop's products that are on their way at once on CUDA. Default 3. */
  readonly stages?: number;
  /** Instances along the first grid axis that run side by side before the second one moves on. Default 1. */
  readonly group?: number;
  readonly [name: string]: number | undefined;
}

/** The results of a kernel: `out` if there is one, else `out0`, `out1`, … */
export interface KernelResults {
  readonly out: BlockTensor;
  readonly out0: BlockTensor;
  readonly out1: BlockTensor;
  readonly out2: BlockTensor;
  readonly out3: BlockTensor;
}

/** What {@linkcode kernel} takes. */
export interface KernelDefinition<S extends string, C extends KernelConfig> {
  /** ATen's way to write a signature: `examples::softmax(Tensor x) -> Tensor`. */
  readonly schema: S;
  readonly doc?: string;
  /** Shapes and dtypes of the results; throws TypeError on arguments that the kernel cannot take. */
  readonly meta: (args: ArgsOf<S, MetaInput>) => MetaResult;
  /** What there is to choose from; the first one is taken where nothing was measured. */
  readonly configs?: readonly C[];
  /** The kernel: recorded, not run. `given` has the arguments (tensors as what can be loaded from) and the results. */
  readonly body: (tile: Tile, given: ArgsOf<S, BlockTensor> & KernelResults, config: C) => void;
  /** Gradients, as in `defineOp`. */
  readonly vjp?: (args: ArgsOf<S, TensorValue>, context: VjpContext) => VjpResult;
  readonly samples?: (g: SampleGenerator) => readonly Sample[];
}

/** A function of tensors that runs a kernel. */
export interface KernelFunction {
  (...args: readonly unknown[]): OpResult;
  /** The operator that it calls. */
  readonly op: Operator;
  /** Runs every configuration on the arguments, remembers the fastest for their device and shapes, and tells all times. */
  tune(...args: readonly unknown[]): Promise<readonly Measurement[]>;
}

const CONFIG = "configIndex";

function withConfig(schema: string): string {
  const at = schema.lastIndexOf(") ->");
  const args = schema.slice(0, at);
  const separator = args.endsWith("(") ? "" : ", ";
  return `${args}${separator}${args.includes("*,") ? "" : "*, "}int config_index=0${schema.slice(at)}`;
}

function optionsOf(name: string, config: KernelConfig): BlockOptions {
  const { warps = 4, stages = 3, group = 1 } = config;
  const isPower = (x: number): boolean => Number.isInteger(x) && x > 0 && (x & (x - 1)) === 0;
  if (!isPower(warps) || warps > 32) {
    throw new RangeError(`kernel ${name}: warps is ${warps}: use 1, 2, 4, 8, 16 or 32`);
  }
  if (!Number.isInteger(stages) || stages < 1 || stages > 8) {
    throw new RangeError(`kernel ${name}: stages is ${stages}: use 1 to 8`);
  }
  if (!Number.isInteger(group) || group < 1) throw new RangeError(`kernel ${name}: group is ${group}: use 1 or more`);
  return { warps, stages, group };
}

function checkDefinition({ name, namespace, target, args, returns }: Schema): void {
  if (findOp(target) !== null) {
    throw new TypeError(
      `kernel ${name}: there is an operator ${namespace}::${name} already: make each kernel once, outside of functions, under a name of its own`,
    );
  }
  for (const { key, mutated } of args) {
    if (mutated) {
      throw new TypeError(`kernel ${name}: its schema writes to ${key}: a kernel has results, and changes no argument`);
    }
    if (/^out\d*$/.test(key) || key === CONFIG) {
      throw new TypeError(`kernel ${name}: an argument is called ${key}, as a result is: call it something else`);
    }
  }
  if (returns.length === 0 || returns.some((r) => r.type !== "Tensor" || r.list)) {
    throw new TypeError(`kernel ${name}: its schema must end in "-> Tensor" or "-> (Tensor, Tensor)"`);
  }
}

/**
 * Makes an operator out of a kernel.
 *
 * @throws {TypeError} if the schema cannot be read or does not fit a kernel, its name is taken, or there is no configuration
 *
 * @example
 * ```ts
 * import { kernel, randn, type Tensor } from "@tessera/tessera";
 * const add = kernel({
 *   schema: "docs::add_vectors(Tensor x, Tensor y) -> Tensor",
 *   meta: ({ x }) => ({ shape: x.shape, dtype: x.dtype }),
 *   configs: [{ block: 1024 }, { block: 4096 }],
 *   body: (tile, { x, y, out }, { block }) => {
 *     const i = tile.grid(x.size(0), block);
 *     out.store([i], x.load([i]).add(y.load([i])));
 *   },
 * });
 * const sum = add(randn([1000]), randn([1000])) as Tensor;
 * console.assert(sum.shape[0] === 1000);
 * ```
 */
export function kernel<const S extends string, const C extends KernelConfig>(
  definition: KernelDefinition<S, C>,
): KernelFunction {
  const { schema: text, body, configs = [{} as C] } = definition;
  const schema = parseSchema(text);
  checkDefinition(schema);
  const { args: wanted, name, returns } = schema;
  if (configs.length === 0) throw new TypeError(`kernel ${name}: configs is empty: leave it out, or give one`);
  for (const config of configs) optionsOf(name, config);
  const record = (args: NamedArgs<RecordedTensor>, outs: readonly RecordedTensor[]) => {
    const config = configs[Number(args[CONFIG] ?? 0)];
    if (config === undefined) throw new RangeError(`kernel ${name}: there is no configuration ${String(args[CONFIG])}`);
    const inputs = Object.values(args).flat().filter(isRecorded);
    return recordBlocks(name, [...inputs, ...outs], optionsOf(name, config), (tile, tensors) => {
      const given = (value: ArgValue<RecordedTensor>): ArgValue<BlockTensor> =>
        isRecorded(value)
          ? tensors[value.name] as BlockTensor
          : Array.isArray(value)
          ? (value as readonly ArgValue<RecordedTensor>[]).map(given)
          : value as ArgValue<BlockTensor>;
      const all = Object.fromEntries(Object.entries(args).map(([key, value]) => [key, given(value)]));
      const named = withResultNames(name, outs.map((o) => o.name), { ...all, ...tensors });
      return body(tile, named as ArgsOf<S, BlockTensor> & KernelResults, config);
    });
  };
  const meta = definition.meta as unknown as (args: NamedArgs<MetaInput>) => MetaResult;
  const op = defineOp<string>({
    schema: withConfig(text),
    doc: definition.doc ?? "A kernel of the program.",
    meta: (args: NamedArgs<MetaInput>) => {
      for (const { key, type } of wanted) {
        const value = args[key] as MetaInput | null | undefined;
        if (type === "Tensor" && typeof value === "object" && value !== null && "isScalar" in value && value.isScalar) {
          throw new TypeError(
            `${name}: ${key} is a number; a kernel reads tensors: give tensor(x), or make it a float of the schema`,
          );
        }
      }
      const made = meta(args);
      const count = Array.isArray(made) ? made.length : 1;
      if (count !== returns.length) {
        throw new TypeError(`${name}: meta describes ${count} results, the schema has ${returns.length}`);
      }
      return made;
    },
    blocks: record,
    ...(definition.vjp === undefined ? {} : { vjp: definition.vjp }),
    samples: definition.samples ?? (() => []),
  } as never);
  const tuner = new Tuner(op, configs, `${text}\n${String(body)}`);
  const named = (args: readonly unknown[]): Record<string, unknown> => {
    const last = args.at(-1);
    const isNamed = typeof last === "object" && last !== null && Reflect.getPrototypeOf(last) === Object.prototype;
    const positional = isNamed ? args.slice(0, -1) : args;
    if (positional.length > wanted.length) {
      throw new TypeError(`${name}: takes ${wanted.length} arguments, got ${positional.length}`);
    }
    return {
      ...Object.fromEntries(positional.map((value, i) => [wanted[i]?.key ?? "", value])),
      ...(isNamed ? last : {}),
    };
  };
  const run = (args: Readonly<Record<string, unknown>>, config: number): OpResult =>
    dispatch(op, { ...args, [CONFIG]: config });
  const call = (...args: readonly unknown[]): OpResult => {
    // All such functions have one text, so another process could not tell them apart.
    tracing()?.tracer.keepHere(`${op.target} is a kernel of the program`);
    const given = named(args);
    if (configs.length === 1) return run(given, 0);
    const complete = normalizeNamed(op, given);
    return run(given, tuner.choose(complete, (config) => run(given, config)));
  };
  // A trace runs it as it is: the operator is what the graph shows.
  registerLibraryFunction(call);
  return Object.assign(call, {
    op,
    tune: async (...args: readonly unknown[]): Promise<readonly Measurement[]> => {
      const given = named(args);
      return await tuner.tune(normalizeNamed(op, given), (config) => run(given, config));
    },
  });
}

const RESULTS = ["out", "out0", "out1", "out2", "out3"] as const;

/** A kernel that asks for a result under another name than it has is told. */
function withResultNames(kernelName: string, own: readonly string[], given: object): unknown {
  for (const name of RESULTS.filter((r) => !own.includes(r))) {
    Object.defineProperty(given, name, {
      get(): never {
        const count = own.length === 1 ? "one result" : `${own.length} results`;
        throw new TypeError(
          `kernel ${kernelName}: it stores to ${name}, but has ${count}: ${own.join(", ")}`,
        );
      },
    });
  }
  return given;
}

function isRecorded(value: unknown): value is RecordedTensor {
  return typeof value === "object" && value !== null && "buffer" in value && "writes" in value;
}
