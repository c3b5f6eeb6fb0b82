/**
 * Making tensors: from JavaScript values, filled, counted, random.
 *
 * Filled and counted tensors are operators, so that under capture they are part of the graph; `tensor` makes data, which a
 * capture sees as a constant. Options are those of PyTorch's factory functions.
 */
import { bool, cpu, device as toDevice, type DeviceLike, type DType, getDefaultDtype, int64 } from "../core/mod.ts";
import { getOp, type HostArray } from "../ops/mod.ts";
import type { Size } from "../symbolic/mod.ts";
import { checkSize } from "./arguments.ts";
import { dispatch, emptyTensor } from "./dispatch.ts";
import { rawFromHost } from "./memory.ts";
import { rowMajor, writeElements } from "./read.ts";
import { autogradMeta, type NestedArray, Tensor } from "./tensor.ts";
import { dtypes } from "../core/mod.ts";

/** Options of creation functions. */
export interface TensorOptions {
  /** Default: the default dtype, or what the values suggest. */
  readonly dtype?: DType;
  /** Default `"cpu"`. */
  readonly device?: DeviceLike;
  readonly requiresGrad?: boolean;
}

/** Values that {@linkcode tensor} takes. */
export type TensorData = NestedArray | HostArray | Uint8ClampedArray | Uint16Array | Tensor;

const ARRAY_DTYPE: Readonly<Record<string, string>> = {
  Uint8Array: "uint8",
  Uint8ClampedArray: "uint8",
  Int8Array: "int8",
  Int16Array: "int16",
  Uint16Array: "int32",
  Int32Array: "int32",
  Uint32Array: "int64",
  BigInt64Array: "int64",
  Float16Array: "float16",
  Float32Array: "float32",
  Float64Array: "float64",
};

function flatten(data: NestedArray): { shape: number[]; values: (number | bigint | boolean)[] } {
  const shape: number[] = [];
  for (let level: NestedArray | undefined = data; Array.isArray(level); level = (level as readonly NestedArray[])[0]) {
    shape.push(level.length);
  }
  const values: (number | bigint | boolean)[] = [];
  const visit = (item: NestedArray, depth: number): void => {
    if (Array.isArray(item)) {
      if (depth >= shape.length || item.length !== shape[depth]) {
        throw new TypeError(
          `tensor: the nested arrays are ragged: expected ${
            shape[depth] ?? "a number"
          } at depth ${depth}, got ${item.length} items`,
        );
      }
      for (const inner of item) visit(inner, depth + 1);
    } else if (depth !== shape.length) {
      throw new TypeError(
        `tensor: the nested arrays are ragged: a plain value stands at depth ${depth} of ${shape.length}`,
      );
    } else if (typeof item === "number" || typeof item === "bigint" || typeof item === "boolean") values.push(item);
    else throw new TypeError(`tensor: values must be numbers, bigints or booleans, got ${typeof item}`);
  };
  visit(data, 0);
  return { shape, values };
}

function inferDtype(values: readonly (number | bigint | boolean)[]): DType {
  if (values.length === 0) return getDefaultDtype();
  if (values.every((v) => typeof v === "boolean")) return bool;
  return values.every((v) => typeof v !== "number" || (Number.isSafeInteger(v) && !Object.is(v, -0)))
    ? int64
    : getDefaultDtype();
}

function isTypedArray(data: unknown): data is HostArray {
  return ArrayBuffer.isView(data) && !(data instanceof DataView);
}

/**
 * A tensor of the given values, copied: nested arrays, a typed array (one dimension, its dtype) or a number.
 *
 * Without `dtype`, booleans give bool, integers int64, other numbers the default dtype. JavaScript has no 1.0: give a dtype where whole
 * numbers shall be floats.
 *
 * @throws {TypeError} for ragged arrays or values that are not numbers.
 *
 * @example
 * ```ts
 * import { float32, tensor } from "@tessera/tessera";
 * console.log(tensor([[1, 2], [3, 4]], { dtype: float32 }).shape); // [2, 2]
 * ```
 */
export function tensor(data: TensorData, options: TensorOptions = {}): Tensor {
  checkOptions("tensor", options);
  if (data instanceof Tensor) {
    return tensorFrom([...data.shape].map(Number), data.dataSync(), options.dtype ?? data.dtype, options);
  }
  if (isTypedArray(data)) {
    const name = ARRAY_DTYPE[data.constructor.name];
    const dtype = options.dtype ?? dtypes.find((d) => d.name === name) ?? getDefaultDtype();
    return tensorFrom([data.length], data, dtype, options);
  }
  const { shape, values } = flatten(data as NestedArray);
  return tensorFrom(shape, values, options.dtype ?? inferDtype(values), options);
}

/**
 * A tensor of the given shape from values in row-major order, copied.
 *
 * @throws {TypeError} if the number of values does not fit the shape.
 */
export function tensorFrom(
  shape: readonly number[],
  values: ArrayLike<number | bigint | boolean>,
  dtype: DType,
  options: Omit<TensorOptions, "dtype"> = {},
): Tensor {
  const numel = shape.reduce((a, b) => a * b, 1);
  if (numel !== values.length) {
    throw new TypeError(`tensor: ${values.length} values do not fill the shape [${shape.join(", ")}]`);
  }
  const out = emptyTensor(shape, rowMajor(shape), dtype, toDevice(options.device ?? cpu));
  if (out.isDense) writeElements(out, rawFromHost(dtype, values));
  return withGrad(out, options);
}

const OPTIONS: readonly string[] = ["dtype", "device", "requiresGrad"];

/** An option that is misspelt would be left out without a word. @throws {TypeError} naming those there are. */
export function checkOptions(where: string, options: object, more: readonly string[] = []): void {
  for (const key in options) {
    if (!OPTIONS.includes(key) && !more.includes(key)) {
      throw new TypeError(`${where}: there is no option "${key}"; there are ${[...OPTIONS, ...more].join(", ")}`);
    }
  }
}

function withGrad(t: Tensor, options: Pick<TensorOptions, "requiresGrad">): Tensor {
  if (options.requiresGrad === true) {
    t.requiresGrad = true;
    autogradMeta(t);
  }
  return t;
}

function create(target: string, args: Readonly<Record<string, unknown>>, options: TensorOptions): Tensor {
  checkOptions(target.split(".")[1] ?? target, options);
  const device = options.device === undefined ? null : toDevice(options.device);
  const dtype = options.dtype ?? null;
  return withGrad(dispatch(getOp(target), { ...args, dtype, device }) as Tensor, options);
}

/** Zeros. */
export function zeros(size: readonly Size[], options: TensorOptions = {}): Tensor {
  checkSize("zeros", size);
  return create("aten.zeros.default", { size }, options);
}

/** Ones. */
export function ones(size: readonly Size[], options: TensorOptions = {}): Tensor {
  checkSize("ones", size);
  return create("aten.ones.default", { size }, options);
}

/** Undefined content: write before reading. */
export function empty(size: readonly Size[], options: TensorOptions = {}): Tensor {
  checkSize("empty", size);
  return create("aten.empty.memory_format", { size }, options);
}

/** Every element `value`. Without a dtype: bool for a boolean, int64 for a whole number, else the default dtype. */
export function full(size: readonly Size[], value: number | bigint | boolean, options: TensorOptions = {}): Tensor {
  checkSize("full", size);
  return create("aten.full.default", { size, fillValue: value }, options);
}

/** `start`, `start + step`, … below `end`. With one argument, from 0. Whole numbers give int64. */
export function arange(
  start: number,
  end?: number,
  step: number | TensorOptions = 1,
  options: TensorOptions = {},
): Tensor {
  const given = typeof step === "object" ? step : options;
  const by = typeof step === "object" ? 1 : step;
  const [from, to] = end === undefined ? [0, start] : [start, end];
  return create("aten.arange.start_step", { start: from, end: to, step: by }, given);
}

/** `steps` numbers from `start` to `end`, both included, evenly spaced. */
export function linspace(start: number, end: number, steps: number, options: TensorOptions = {}): Tensor {
  return create("aten.linspace.default", { start, end, steps }, options);
}

/** The identity matrix, or ones on the main diagonal of an n × m matrix. */
export function eye(n: number, m: number = n, options: TensorOptions = {}): Tensor {
  return create("aten.eye.m", { n, m }, options);
}
