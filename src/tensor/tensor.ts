/**
 * The tensor: a shape, strides and a dtype over memory that views share.
 *
 * One class for all kinds. Its payload says what stands behind it: `dense` memory, `fake` (a description only), or `traced` (a node of a graph
 * that is being captured). Operators are methods installed from the operator table (`methods.ts`); their types come from the generated
 * `TensorMethods`. Metadata never changes after construction; data change through in-place operators, which count in the
 * storage's version. Mirrors `torch.Tensor` and `c10::TensorImpl`.
 */
import { countChange, type Device, type DType, int64, InternalError } from "../core/mod.ts";
import type { Node } from "../graph/mod.ts";
import type { HostArray, NamedArgs, Operator, TensorMethods } from "../ops/mod.ts";
import type { Buffer } from "../runtime/mod.ts";
import { contiguousStride, isContiguous, numelOf, sameShape, type Size } from "../symbolic/mod.ts";
import { autogradEngine, AutogradMeta, type BackwardOptions, type GradFn, type GradHook } from "./engine.ts";
import { deviceMemory, hostFromRaw } from "./memory.ts";
import { activeMode, suspendMode } from "./mode.ts";
import { readElements, readElementsAsync } from "./read.ts";
import { assignIndexed, type Index, indexTensor } from "./indexing.ts";
import { printTensor } from "./print.ts";
import type { Shorthands } from "./shorthands.ts";

let nextStorage = 0;

/** The id that the next storage gets: what is older was there before. */
export function storageClock(): number {
  return nextStorage;
}

/** Work that was put off and that concerns a storage: its content, or what reads it. */
export interface PendingWork {
  /** Does the work and takes itself off the storage, whose memory somebody is about to touch. */
  settle(storage: Storage): void;
}

/** Somebody who needs the content as it is now. */
export interface StorageWatch {
  /** Called before the memory is written or given back. */
  beforeWrite(storage: Storage): void;
}

/** Memory, or the idea of memory, that a tensor shares with its views. */
export class Storage {
  /** Increases with each storage made. */
  readonly id: number = nextStorage++;
  #buffer: Buffer | null;
  /** Counts writes. */
  version = 0;
  /** Counts writes that changed the differentiation history of the base; views compare it. */
  history = 0;
  /** Whether somebody relies on where the memory is, and so is told of changes. */
  isRelied = false;
  #pending: PendingWork | null = null;
  /** Told before the memory is written. */
  watch: StorageWatch | null = null;

  constructor(buffer: Buffer | null) {
    this.#buffer = buffer;
  }

  /** Work to do before anybody touches the memory; operators that are recorded to run later leave it. */
  get pending(): PendingWork | null {
    return this.#pending;
  }

  set pending(work: PendingWork | null) {
    if (this.isRelied && work !== null) countChange();
    this.#pending = work;
  }

  /** The memory, its content computed; null for fake and traced tensors. */
  get buffer(): Buffer | null {
    if (this.#pending !== null) this.settle();
    return this.#buffer;
  }

  /** The memory as it is, whatever was put off. */
  get bufferNow(): Buffer | null {
    return this.#buffer;
  }

  /** Does what was put off. Work that is done may leave other work, as a result that was not kept. */
  settle(): void {
    while (this.#pending !== null) this.#pending.settle(this);
  }

  /** Whether there is memory, or will be once somebody asks for it. */
  get isDense(): boolean {
    return this.#buffer !== null || this.#pending !== null;
  }

  /** Gives a storage whose content was put off its memory. */
  adopt(buffer: Buffer): void {
    if (this.isRelied) countChange();
    this.#buffer = buffer;
  }
}

/** What stands behind a tensor. */
export type Payload =
  | { readonly kind: "dense"; readonly buffer: Buffer }
  | { readonly kind: "fake" }
  | { readonly kind: "traced"; readonly node: Node };

/** From what a view was made. */
export interface ViewOrigin {
  readonly base: Tensor;
  readonly op: Operator;
  readonly args: NamedArgs<Tensor>;
  /** Which result of the operator. */
  readonly index: number;
}

/** What a tensor is made of. */
export interface TensorInit {
  readonly shape: readonly Size[];
  /** Default contiguous. */
  readonly stride?: readonly Size[];
  readonly storageOffset?: Size;
  readonly dtype: DType;
  readonly device: Device;
  readonly storage: Storage;
  /** The node of a traced tensor. */
  readonly node?: Node | null;
}

/** Elements of a tensor as nested arrays. */
export type NestedArray = number | bigint | boolean | readonly NestedArray[];

export interface Tensor extends TensorMethods<Tensor>, Shorthands {}

/**
 * An n-dimensional array.
 *
 * @example
 * ```ts
 * import { tensor } from "@tessera/tessera";
 * const x = tensor([[1, 2], [3, 4]]);
 * console.log(x.shape, x.add(1).toArray());
 * ```
 */
export class Tensor {
  readonly shape: readonly Size[];
  readonly stride: readonly Size[];
  readonly storageOffset: Size;
  readonly dtype: DType;
  readonly device: Device;
  /** Shared with views. Dispatch sets it on results that nobody has seen yet, and nobody else does. @internal */
  storage: Storage;
  /** The node of the graph under capture that yields this tensor; the tracer may move it. @internal */
  node: Node | null;
  /** Set by `autogradMeta` and `dropAutograd` alone. @internal */
  autograd: AutogradMeta | null = null;
  /** Whether somebody relies on what `requiresGrad` is, and so is told of changes. @internal */
  isRelied = false;
  /** @internal */
  viewOf: ViewOrigin | null = null;
  /** The plain number that this 0-dim tensor stands for in a gradient rule or decomposition. @internal */
  wrapped: number | bigint | boolean | Size | null = null;
  /** Whether a module owns the tensor as something to train; twins of a tensor take it over. */
  isParameter = false;
  #numel = -1;

  /** Made by creation functions and operators; `init` is trusted. */
  constructor(init: TensorInit) {
    this.shape = init.shape;
    this.stride = init.stride ?? contiguousStride(init.shape);
    this.storageOffset = init.storageOffset ?? 0;
    this.dtype = init.dtype;
    this.device = init.device;
    this.storage = init.storage;
    this.node = init.node ?? null;
  }

  /** For `meta`: a tensor is no plain number. @internal */
  get isScalar(): boolean {
    return this.wrapped !== null;
  }

  /** What stands behind the tensor. */
  get payload(): Payload {
    if (this.node !== null) return { kind: "traced", node: this.node };
    const buffer = this.storage.buffer;
    return buffer === null ? { kind: "fake" } : { kind: "dense", buffer };
  }

  /** Whether there is memory behind the tensor. */
  get isDense(): boolean {
    return this.storage.isDense;
  }

  /** Number of dimensions. */
  get ndim(): number {
    return this.shape.length;
  }

  /** Number of elements. With symbolic sizes this guards; `numelOf(t.shape)` does not. */
  get numel(): number {
    if (this.#numel < 0) this.#numel = Number(numelOf(this.shape));
    return this.#numel;
  }

  /** Whether the elements lie in row-major order without gaps. */
  get isContiguous(): boolean {
    return isContiguous(this.shape, this.stride);
  }

  /** How often the memory was written in place. */
  get version(): number {
    return this.storage.version;
  }

  /** Whether operators on this tensor are recorded for `backward()`. Set it on leaves only. */
  get requiresGrad(): boolean {
    const meta = this.autograd;
    if (
      this.viewOf !== null && (meta === null ? this.storage.history !== 0 : meta.historyAt !== this.storage.history)
    ) {
      autogradEngine()?.gradFnOf(this);
      return this.autograd?.requiresGrad ?? false;
    }
    return meta !== null && meta.requiresGrad;
  }

  set requiresGrad(value: boolean) {
    if (value && !this.dtype.isFloat && !this.dtype.isComplex) {
      throw new TypeError(
        `requiresGrad: only floating point tensors can have gradients, this one is ${this.dtype.name}; convert it with .to(float32) first`,
      );
    }
    if (!this.isLeaf) {
      if (value) return;
      throw new TypeError("requiresGrad: cannot be turned off on a result of recorded operators; use detach()");
    }
    if (value || this.autograd !== null) autogradMeta(this).requiresGrad = value;
  }

  /** Sets {@linkcode requiresGrad} and returns the tensor. */
  requiresGrad_(value: boolean = true): this {
    this.requiresGrad = value;
    return this;
  }

  /** The step that made the tensor; null for leaves. */
  get gradFn(): GradFn | null {
    if (this.autograd === null && this.viewOf === null) return null;
    return autogradEngine()?.gradFnOf(this) ?? null;
  }

  /** Whether the tensor was made by the user and not by recorded operators. */
  get isLeaf(): boolean {
    return this.gradFn === null;
  }

  /** The gradient that `backward()` accumulated; null before. */
  get grad(): Tensor | null {
    return gradOwner(this).autograd?.grad ?? null;
  }

  set grad(value: Tensor | null) {
    const owner = gradOwner(this);
    if (value === null) {
      if (owner.autograd !== null) owner.autograd.grad = null;
      return;
    }
    if (value.dtype !== this.dtype || !sameShape(value.shape, this.shape)) {
      throw new TypeError(
        `grad: assigned a ${value.dtype.name} tensor of shape [${
          value.shape.join(", ")
        }] to a ${this.dtype.name} tensor of shape [${this.shape.join(", ")}]; they must be the same`,
      );
    }
    const mode = activeMode();
    autogradMeta(owner).grad = mode === null ? value : suspendMode(mode, () => mode.wrapInput(value));
  }

  /**
   * Differentiates this tensor with respect to the leaves that require a gradient, and adds the gradients to their `.grad`.
   *
   * @param gradient The gradient of the loss with respect to this tensor; may be left out if it has one element.
   * @throws {TypeError} if nothing was recorded, or the tensor has several elements and no gradient is given.
   */
  backward(gradient: Tensor | BackwardOptions | null = null, options: BackwardOptions = {}): void {
    if (gradient !== null && !(gradient instanceof Tensor)) {
      if (Object.keys(gradient).some((key) => key !== "retainGraph" && key !== "createGraph")) {
        throw new TypeError("backward: needs the result's gradient, a tensor, or { retainGraph, createGraph }");
      }
      return this.backward(null, gradient);
    }
    const engine = autogradEngine();
    if (engine === null) throw new TypeError('backward: import "src/autograd/mod.ts" (or the package\'s mod.ts) first');
    engine.backward(this, gradient, options);
  }

  /** Calls `hook` with the gradient of this tensor when it is computed; what it returns replaces the gradient. */
  registerHook(hook: GradHook): Disposable {
    const engine = autogradEngine();
    if (engine === null) throw new TypeError('registerHook: import "src/autograd/mod.ts" first');
    return engine.registerHook(this, hook);
  }

  /** Keeps `.grad` on a tensor that is not a leaf, too. */
  retainGrad(): void {
    if (!this.requiresGrad) throw new TypeError("retainGrad: the tensor does not require a gradient");
    if (!this.isLeaf) autogradMeta(this).retainsGrad = true;
  }

  /** A copy of the elements in row-major order, as a typed array: BigInt64Array for int64, Float32Array for bfloat16. */
  async data(): Promise<HostArray> {
    const t = readable(this, "data()");
    return hostFromRaw(t.dtype, await readElementsAsync(t));
  }

  /** As {@linkcode data}, at once, where the device allows it. */
  dataSync(): HostArray {
    const t = readable(this, "dataSync()");
    return hostFromRaw(t.dtype, readElements(t));
  }

  /** The tensor on a CUDA device; itself if it is there. */
  cuda(index = 0): Tensor {
    return this.to(`cuda:${index}`);
  }

  /** The tensor on the CPU; itself if it is there. */
  cpu(): Tensor {
    return this.to("cpu");
  }

  /**
   * The one element as a number; bool gives 0 or 1.
   *
   * @throws {TypeError} if there is not exactly one element; {RangeError} for an int64 that no number can hold.
   */
  item(): number {
    const t = readable(this, "item()");
    if (t.numel !== 1) {
      throw new TypeError(`item: needs one element, the shape is [${this.shape.join(", ")}]; reduce or index it first`);
    }
    const value = hostFromRaw(t.dtype, readElements(t))[0] ?? 0;
    const number = Number(value);
    if (t.dtype === int64 && !Number.isSafeInteger(number)) {
      throw new RangeError(`item: ${value} has no exact number; read it with dataSync()`);
    }
    return number;
  }

  /** Whether shape and elements are the same; NaN equals nothing. Reads data, as {@linkcode item} does. */
  equal(other: Tensor): boolean {
    return sameShape(this.shape, other.shape) && this.eq(other).all().item() === 1;
  }

  /**
   * Whether all elements are close, `|this - other| <= atol + rtol * |other|`, after broadcasting. Reads data, as {@linkcode item} does.
   *
   * @throws {TypeError} if the dtypes differ or the shapes do not broadcast.
   */
  allclose(
    other: Tensor,
    options: { readonly rtol?: number; readonly atol?: number; readonly equalNan?: boolean } = {},
  ): boolean {
    return this.isclose(other, options).all().item() === 1;
  }

  /** The elements as nested arrays: numbers, booleans, or bigints where an int64 needs one. A number for 0 dimensions. */
  toArray(): NestedArray {
    const t = readable(this, "toArray()");
    const flat = hostFromRaw(t.dtype, readElements(t));
    let at = 0;
    const element = (): NestedArray => {
      const v = flat[at++] ?? 0;
      if (t.dtype.kind === "bool") return v !== 0;
      return typeof v === "bigint" && Number.isSafeInteger(Number(v)) ? Number(v) : v;
    };
    const build = (d: number): NestedArray =>
      d === t.ndim ? element() : Array.from({ length: Number(t.shape[d]) }, () => build(d + 1));
    return build(0);
  }

  /**
   * Indexes: integers drop a dimension, `slice(start, end, step)` keeps it, `null` adds one, `ellipsis` skips as many as needed, tensors of integers or
   * bool gather. Plain indices give views.
   */
  at(...index: readonly Index[]): Tensor {
    return indexTensor(this, index);
  }

  /** Writes `value`, broadcast, into `this.at(...index)`. */
  assign(index: readonly Index[] | Index, value: Tensor | number | bigint | boolean): this {
    assignIndexed(this, Array.isArray(index) ? index : [index as Index], value);
    return this;
  }

  /**
   * The parts along the first dimension, as views: `for (const row of t)`, `const [a, b] = t`.
   *
   * @throws {TypeError} if the tensor has no dimension.
   */
  *[Symbol.iterator](): IterableIterator<Tensor> {
    if (this.ndim === 0) throw new TypeError("iteration: a 0-dim tensor has no parts; read its number with item()");
    yield* this.unbind(0);
  }

  /** A 0-dim tensor coerces to its number; in a template it prints. */
  [Symbol.toPrimitive](hint: string): number | string {
    if (hint === "string") return this.toString();
    return this.item();
  }

  /** Gives the memory back at once. Views of it cannot be used any more either. */
  [Symbol.dispose](): void {
    const { storage } = this;
    storage.watch?.beforeWrite(storage);
    storage.buffer?.dispose();
  }

  /** Gives the memory back at once, see `Symbol.dispose`. */
  dispose(): void {
    this[Symbol.dispose]();
  }

  /** As PyTorch prints tensors. Reads data, as {@linkcode item} does; a tensor without data shows its description. */
  toString(): string {
    return printTensor(this.payload.kind === "traced" && activeMode() !== null ? readable(this, "toString()") : this);
  }

  [Symbol.for("Deno.customInspect")](): string {
    return printTensor(this);
  }
}

/** The tensor's part in differentiation, made if it has none. */
export function autogradMeta(t: Tensor): AutogradMeta {
  return t.autograd ??= new AutogradMeta(t.storage.history, t.isRelied);
}

/** Forgets the tensor's part in differentiation. */
export function dropAutograd(t: Tensor): void {
  if (t.isRelied) countChange();
  t.autograd = null;
}

/** Marks the tensor: whoever changes what `requiresGrad` says counts. Returns whether all changes are counted; those of views follow from writes to their base, which are not. */
export function relyOnGrad(t: Tensor): boolean {
  if (t.viewOf !== null) return false;
  t.isRelied = true;
  if (t.autograd !== null) t.autograd.isRelied = true;
  return true;
}

function gradOwner(t: Tensor): Tensor {
  const mode = activeMode();
  return mode === null ? t : suspendMode(mode, () => mode.gradOwner(t));
}

/** The tensor whose data can be read for `t`. */
function readable(t: Tensor, reason: string): Tensor {
  const mode = activeMode();
  if (mode !== null) return suspendMode(mode, () => mode.materialize(t, reason));
  if (t.wrapped !== null) throw new InternalError("a wrapped number was read");
  if (t.node !== null) {
    throw new TypeError(
      `${reason}: this tensor belongs to a capture that has ended; return it from the function instead`,
    );
  }
  if (!t.isDense) throw new TypeError(`${reason}: this tensor has no data, only shape and dtype (fake or meta)`);
  return t;
}

/** Tells whether a value is a tensor. */
export function isTensor(value: unknown): value is Tensor {
  return value instanceof Tensor;
}

/** Memory for `numel` elements (uninitialised). */
export function allocateStorage(device: Device, byteLength: number): Storage {
  return new Storage(deviceMemory(device).allocate(device, byteLength));
}
