/**
 * One operator, one definition.
 *
 * `defineOp` turns a constant object into an {@linkcode Operator} and enters it into the table. A definition states the ATen schema, `meta`
 * (shape, dtype, strides: the one source of error texts), its meaning as exactly one of `loop` (a loop body), `decompose` (written with other
 * operators), `host` (an algorithm on the host's memory: sorting, data-dependent shapes), `blocks` (a kernel that somebody wrote) or `number` (a size, or a number that is
 * read from data: never a node of a graph), `vjp`, and `samples` that generate its tests. Everything else derives: methods, eager kernels, lowering, export, documentation. Mirrors `native_functions.yaml`, `derivatives.yaml`,
 * the decomposition tables and OpInfo of PyTorch, which spread one operator over six files.
 */
import type { BlockProgram, RecordedTensor } from "../blocks/mod.ts";
import { type Device, type DType, InternalError, uint64 } from "../core/mod.ts";
import { type ArgsOf, type OpTarget, parseSchema, type Schema, type TensorMeta } from "../graph/mod.ts";
import type { LoopInput, LoopNode } from "../loops/mod.ts";
import type { Size } from "../symbolic/mod.ts";
import type { Functional } from "./functional.ts";
import type { Sample, SampleGenerator } from "./samples.ts";
import type { TensorValue } from "./value.ts";

/** What `meta` says of a result; what is left out is contiguous, at offset 0, on the device of the first tensor argument. */
export interface TensorSpec {
  readonly shape: readonly Size[];
  readonly dtype: DType;
  readonly stride?: readonly Size[];
  readonly storageOffset?: Size;
  readonly device?: Device;
}

/** A tensor argument as `meta` sees it. */
export interface MetaInput extends TensorMeta {
  /** A plain number in the place of a tensor: takes part in promotion as a scalar. */
  readonly isScalar: boolean;
  readonly requiresGrad: boolean;
}

/** What `meta` returns: one for each result of the schema; a list for a result of type `Tensor[]`. */
export type MetaResult = TensorSpec | readonly TensorSpec[];

/** What a `vjp` may use beside the arguments. */
export interface VjpContext {
  /** The operator's results. */
  readonly outs: readonly TensorValue[];
  /** The first result. */
  readonly out: TensorValue;
  /** The gradient of the first result. */
  readonly grad: TensorValue;
  /** Gradients of all results; null where nothing downstream uses the result. */
  readonly grads: readonly (TensorValue | null)[];
  /** All operators as functions. */
  readonly F: Functional;
}

/** Gradients by argument name, computed only where needed. For `Tensor[]` arguments, a list. */
export type VjpResult = Readonly<
  Record<string, () => TensorValue | null | readonly (TensorValue | null)[]>
>;

/** Typed access to host memory, for `host` operators. Row-major, contiguous, of exactly the tensor's elements. */
export interface HostTensor extends TensorMeta {
  /** Elements as numbers (bigints where an int64 is beyond 2^53 are rounded); a copy or a view. */
  readonly data: HostArray;
}

/** Arrays that host operators read and write. bfloat16 arrives widened to float32. */
export type HostArray =
  | Uint8Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | BigUint64Array
  | Uint32Array
  | Float16Array
  | Float32Array
  | Float64Array;

/** A result of a host operator; the shape may depend on the data. */
export interface HostResult {
  readonly shape: readonly number[];
  readonly data: HostArray;
}

/** What all definitions have. */
interface DefinitionBase<S extends string> {
  /** ATen's schema text. */
  readonly schema: S;
  /** Shape, dtype and strides of the results. Throws TypeError or RangeError on bad arguments. */
  readonly meta: (args: ArgsOf<S, MetaInput>) => MetaResult;
  /** Gradients. Absent: a decomposition is differentiated through, anything else is not differentiable. */
  readonly vjp?: (args: ArgsOf<S, TensorValue>, context: VjpContext) => VjpResult;
  /**
   * Results are views of the first tensor argument; `writeBack` puts a changed view back into its base. With `mayOverlap`, several elements of the view
   * may be one in memory: then `writeBack` is right only for views that were written as a whole. With `ofStorage`, arguments name places in storage,
   * whatever part of it the viewed tensor shows; loop and `writeBack` take a tensor that is all of its storage in row-major order.
   */
  readonly view?: {
    readonly writeBack: (args: ArgsOf<S, TensorValue>, changed: TensorValue, F: Functional) => TensorValue;
    readonly mayOverlap?: boolean;
    readonly ofStorage?: boolean;
  };
  /** `true` also defines `name_`, the in-place form under the same overload; a text says under which one. */
  readonly inplace?: boolean | string;
  /** Depends on the random generator's state: never folded, never repeated. */
  readonly random?: boolean;
  /** Result shapes depend on data: eager only, a graph break under capture. */
  readonly dataDependent?: boolean;
  /**
   * For algorithms of the host: the same by other operators, for eager calls on devices that have no kernels for it. It may read numbers, such as the size of its result. Null
   * leaves a call to the host.
   */
  readonly onDevice?: (args: ArgsOf<S, TensorValue>, F: Functional) => TensorValue | readonly TensorValue[] | null;
  /** `decompose` checks its arguments itself, because `meta` refuses some that it can take. Otherwise `meta` runs before it. */
  readonly checksItself?: boolean;
  /**
   * Tells that the decomposition writes to tensors that the schema does not mark: running statistics, where given and training. Such a call is
   * decomposed before it is captured, so that a graph shows the writes.
   */
  readonly writesArguments?: (args: NamedArgs<unknown>) => boolean;
  /** False keeps the operator off `Tensor` and `F` (internal forms). Default true. */
  readonly public?: boolean;
  /** One or two sentences for the documentation table and the method's docstring. */
  readonly doc: string;
  /** Inputs to try. */
  readonly samples: (g: SampleGenerator) => readonly Sample[];
}

/** The five ways to say what an operator means. */
export type Definition<S extends string> =
  & DefinitionBase<S>
  & (
    | { readonly loop: (args: ArgsOf<S, LoopInput>, out: TensorMeta) => LoopNode }
    | { readonly decompose: (args: ArgsOf<S, TensorValue>, F: Functional) => TensorValue | readonly TensorValue[] }
    | { readonly host: (args: ArgsOf<S, HostTensor>, outs: readonly TensorMeta[]) => readonly HostResult[] }
    /** Records the kernel for tensors at hand; `outs` are its results. */
    | { readonly blocks: (args: ArgsOf<S, RecordedTensor>, outs: readonly RecordedTensor[]) => BlockProgram }
    | { readonly number: (args: ArgsOf<S, TensorValue>) => NumberResult }
  );

/** What an operator without tensor results yields: a size of a tensor, or a number that is read from its data. */
export type NumberResult = Size | bigint | boolean;

/** Arguments by their JavaScript names, with `T` for tensors. Each key of the schema is present. */
export type NamedArgs<T> = Readonly<Record<string, ArgValue<T>>>;

/** One argument. */
export type ArgValue<T> =
  | T
  | Size
  | bigint
  | boolean
  | string
  | null
  | DType
  | Device
  | readonly ArgValue<T>[];

/** An operator of the table, with its argument types erased. */
export interface Operator extends OpTarget {
  readonly schema: Schema;
  /** `aten.add.Tensor`. */
  readonly target: string;
  readonly doc: string;
  readonly kind: "loop" | "decompose" | "host" | "blocks" | "number";
  readonly meta: (args: NamedArgs<MetaInput>) => MetaResult;
  readonly vjp: ((args: NamedArgs<TensorValue>, context: VjpContext) => VjpResult) | null;
  readonly loop: ((args: NamedArgs<LoopInput>, out: TensorMeta) => LoopNode) | null;
  readonly decompose: ((args: NamedArgs<TensorValue>, F: Functional) => TensorValue | readonly TensorValue[]) | null;
  readonly host: ((args: NamedArgs<HostTensor>, outs: readonly TensorMeta[]) => readonly HostResult[]) | null;
  readonly blocks?: ((args: NamedArgs<RecordedTensor>, outs: readonly RecordedTensor[]) => BlockProgram) | null;
  /** Yields no tensor but this number, at once: such a call is not dispatched. */
  readonly number?: (args: NamedArgs<TensorValue>) => NumberResult;
  readonly view: {
    readonly writeBack: (args: NamedArgs<TensorValue>, changed: TensorValue, F: Functional) => TensorValue;
    readonly mayOverlap?: boolean;
    readonly ofStorage?: boolean;
  } | null;
  /** For `add_`: the operator `add` whose result is written into `self`. Null for functional operators. */
  readonly functional: Operator | null;
  /** The operator of which this one is another name. */
  readonly aliasOf?: Operator;
  /** Tells that a call writes to tensors that the schema does not mark. */
  readonly writesArguments: ((args: NamedArgs<unknown>) => boolean) | null;
  readonly isRandom: boolean;
  readonly isDataDependent: boolean;
  /** A host algorithm by other operators, for eager calls on devices. */
  readonly onDevice?:
    | ((args: NamedArgs<TensorValue>, F: Functional) => TensorValue | readonly TensorValue[] | null)
    | null;
  /** The decomposition takes more than `meta` does (masks as indices, say). */
  readonly checksItself: boolean;
  readonly isPublic: boolean;
  readonly samples: (g: SampleGenerator) => readonly Sample[];
  /** Of operators that run graphs: how, on tensors with data. They are not in the table. */
  readonly onTensors?: (args: NamedArgs<TensorValue>) => readonly TensorValue[];
}

const table = new Map<string, Operator>();
const byBaseName = new Map<string, Operator[]>();

function register(op: Operator): Operator {
  if (table.has(op.target)) throw new InternalError(`the operator ${op.target} is defined twice`);
  table.set(op.target, op);
  const base = byBaseName.get(op.schema.name);
  if (base === undefined) byBaseName.set(op.schema.name, [op]);
  else base.push(op);
  return op;
}

/**
 * Defines an operator and enters it into the table.
 *
 * @throws {InternalError} if the target is already defined; {TypeError} if the schema cannot be read.
 */
export function defineOp<const S extends string>(definition: Definition<S>): Operator {
  const schema = parseSchema(definition.schema);
  const kind = "loop" in definition
    ? "loop"
    : "decompose" in definition
    ? "decompose"
    : "host" in definition
    ? "host"
    : "blocks" in definition
    ? "blocks"
    : "number";
  // The schema text is what connects the typed definition with the erased operator; nothing else casts.
  const erased = definition as unknown as Partial<Operator> & { readonly meta: Operator["meta"] };
  const op: Operator = register({
    schema,
    target: schema.target,
    doc: definition.doc,
    kind,
    meta: kind === "decompose" || kind === "number" || definition.view !== undefined
      ? erased.meta
      : realOnly(schema.name, kind, erased.meta),
    vjp: erased.vjp ?? null,
    loop: erased.loop ?? null,
    decompose: checkedDecompose(definition, erased),
    host: checkedHost(erased),
    blocks: erased.blocks ?? null,
    view: erased.view ?? null,
    functional: null,
    writesArguments: erased.writesArguments ?? null,
    isRandom: definition.random ?? false,
    isDataDependent: definition.dataDependent ?? false,
    onDevice: erased.onDevice ?? null,
    checksItself: definition.checksItself ?? false,
    isPublic: definition.public ?? true,
    samples: definition.samples,
    ...(erased.number === undefined ? {} : { number: erased.number }),
  });
  const { inplace = false } = definition;
  if (inplace !== false) registerInplace(op, inplace === true ? schema.overload : inplace);
  return op;
}

/**
 * Loops and host algorithms compute real numbers: a complex tensor that reaches one is refused, not read as if it were real. So is one of uint64, which only an algorithm
 * of the host may yield.
 */
function realOnly(name: string, kind: Operator["kind"], meta: Operator["meta"]): Operator["meta"] {
  const refuse = (what: string, dtype: DType): never => {
    throw new TypeError(
      `${name}: ${what} ${dtype.name}, for which it is not defined here; ${
        dtype === uint64
          ? "use .view(int64), which is the same bits"
          : "use viewAsReal(), real() and imag, and join them with F.complex()"
      }`,
    );
  };
  const check = (v: unknown): void => {
    if (typeof v !== "object" || v === null || !("dtype" in v)) return;
    const dtype = v.dtype as DType;
    if (dtype.isComplex || dtype === uint64) refuse("an argument is", dtype);
  };
  return (args) => {
    for (const key in args) {
      const v = args[key];
      if (Array.isArray(v)) v.forEach(check);
      else check(v);
    }
    const specs = meta(args);
    for (const { dtype } of "shape" in specs ? [specs] : specs) {
      if (dtype.isComplex || (dtype === uint64 && kind !== "host")) refuse("its result is", dtype);
    }
    return specs;
  };
}

/** `meta` is the one source of error texts, so it also runs before a decomposition, whose parts would complain in other words. */
function checkedDecompose<S extends string>(
  definition: Definition<S>,
  { meta, decompose }: Partial<Operator> & { readonly meta: Operator["meta"] },
): Operator["decompose"] {
  if (decompose === null || decompose === undefined) return null;
  if (definition.checksItself === true) return decompose;
  return (args, F) => {
    // A tensor can do what meta asks of its inputs, and more.
    meta(args as unknown as NamedArgs<MetaInput>);
    return decompose(args, F);
  };
}

/** Algorithms on host memory index what they are given: `meta` runs before them too. */
function checkedHost({ meta, host }: Partial<Operator> & { readonly meta: Operator["meta"] }): Operator["host"] {
  if (host === null || host === undefined) return null;
  return (args, outs) => {
    // Elements in memory have shape and dtype, which is what meta asks for.
    meta(args as unknown as NamedArgs<MetaInput>);
    return host(args, outs);
  };
}

/** Derives `add_` from `add`. */
function registerInplace(op: Operator, overload: string): void {
  const { namespace, name, text } = op.schema;
  const parameters = text.slice(text.indexOf("("))
    .replace(/^\(Tensor (\w+)/, "(Tensor(a!) $1")
    .replace(/-> Tensor$/, "-> Tensor(a!)");
  defineInplace(op, `${namespace}::${name}_${overload === "default" ? "" : `.${overload}`}${parameters}`);
}

/**
 * Defines the in-place form of an operator under a schema of its own: the functional result, cast to self's dtype, is written into self.
 *
 * @param text The same arguments under the same names, in any order; the first is written.
 */
export function defineInplace(op: Operator, text: string): Operator {
  const schema = parseSchema(text);
  return register({ ...op, schema, target: schema.target, functional: op, vjp: null, view: null, samples: () => [] });
}

/**
 * Enters another name of an operator: `defineAlias(abs, "absolute")`, `defineAlias(xlogy, "special_xlogy", "other_scalar")`.
 *
 * @param base The operator; its in-place form gets the in-place name by a call of its own.
 * @param isPublic False keeps the name off `Tensor` and `F`: only programs call it.
 */
export function defineAlias(
  base: Operator,
  name: string,
  overload: string = base.schema.overload,
  isPublic: boolean = base.isPublic,
): Operator {
  const arguments_ = base.schema.text.slice(base.schema.text.indexOf("("));
  const text = `${base.schema.namespace}::${name}${overload === "default" ? "" : `.${overload}`}${arguments_}`;
  const schema = parseSchema(text);
  const aliasOf = base.aliasOf ?? base;
  return register({ ...base, schema, target: schema.target, aliasOf, isPublic, samples: () => [] });
}

/** The operator of this target (`aten.add.Tensor`), or null. */
export function findOp(target: string): Operator | null {
  return table.get(target) ?? null;
}

/** The operator of this target. @throws {TypeError} if the table has none. */
export function getOp(target: string): Operator {
  const found = table.get(target);
  if (found === undefined) throw new TypeError(`there is no operator ${target} in the table`);
  return found;
}

/** All overloads of a base name, in order of definition. */
export function overloadsOf(name: string): readonly Operator[] {
  return byBaseName.get(name) ?? [];
}

/** All operators, in order of definition. */
export function allOps(): Operator[] {
  return [...table.values()];
}

/** Tells whether a call target of a graph is an operator of the table (and not, say, a user's function). */
export function isOperator(target: OpTarget): target is Operator {
  return "meta" in target && "kind" in target;
}
