/**
 * Random numbers: generators and the functions that draw from them.
 *
 * A generator's state is a tensor int64[2] = [seed, offset]. Each draw is a pure function of the state and the element's position (Philox), then
 * the offset advances, in place. Under capture the state is a tensor like any other, so compiled and eager draw the same numbers.
 */
import {
  cpu,
  type Device,
  device as toDevice,
  type DeviceLike,
  getDefaultDtype,
  int64,
  randomSeed,
} from "../core/mod.ts";
import { getOp, setDefaultState, type TensorValue } from "../ops/mod.ts";
import type { Size } from "../symbolic/mod.ts";
import { checkSize } from "./arguments.ts";
import { checkOptions, type TensorOptions } from "./create.ts";
import { dispatch, emptyTensor } from "./dispatch.ts";
import { noGrad } from "./engine.ts";
import { activeMode, withoutModes } from "./mode.ts";
import { writeElements } from "./read.ts";
import type { Tensor } from "./tensor.ts";

function stateTensor(seed: number | bigint, device: Device): Tensor {
  const t = emptyTensor([2], [1], int64, device);
  writeElements(t, new BigInt64Array([BigInt.asIntN(64, BigInt(seed)), 0n]));
  return t;
}

/** A stream of random numbers. */
export class Generator {
  /** int64[2]: seed and offset. Draws advance the offset in place. */
  readonly state: Tensor;

  /** @throws {RangeError} if the seed is a fraction. */
  constructor(seed: number | bigint = 0, options: { readonly device?: DeviceLike } = {}) {
    if (typeof seed === "number" && !Number.isSafeInteger(seed)) {
      throw new RangeError(`Generator: the seed must be a safe integer or a bigint, got ${seed}`);
    }
    this.state = stateTensor(seed, toDevice(options.device ?? cpu));
  }

  /** Starts the stream of `seed` from its beginning. */
  manualSeed(seed: number | bigint): this {
    if (typeof seed !== "bigint" && !Number.isSafeInteger(seed)) {
      throw new RangeError(`manualSeed: the seed must be a safe integer or a bigint, got ${seed}`);
    }
    if (activeMode() !== null) {
      // Recorded, so that it happens again whenever what is recorded runs.
      const { state } = this;
      const start = withoutModes(() => stateTensor(seed, state.device));
      noGrad(() => dispatch(getOp("aten.copy_.default"), { self: state, src: start }));
      return this;
    }
    withoutModes(() => {
      writeElements(this.state, new BigInt64Array([BigInt.asIntN(64, BigInt(seed)), 0n]));
      this.state.storage.version++;
    });
    return this;
  }

  /** The seed. */
  get seed(): bigint {
    return BigInt(this.state.dataSync()[0] ?? 0);
  }
}

const defaults = new Generator(randomSeed());
const ofDevices = new Map<Device, Generator>([[cpu, defaults]]);

setDefaultState((device) => defaultGenerator(device ?? cpu).state as unknown as TensorValue);

/**
 * The generator used where none is given. Each device has its own, so that no draw waits for another device; from one seed all of them draw the
 * same numbers.
 */
export function defaultGenerator(device: DeviceLike = cpu): Generator {
  const where = toDevice(device);
  const place = where.type === "meta" ? cpu : where;
  let found = ofDevices.get(place);
  if (found === undefined) {
    found = withoutModes(() => new Generator(defaults.seed, { device: place }));
    ofDevices.set(place, found);
  }
  return found;
}

/** Seeds the default generators of all devices, so that what follows is reproducible. */
export function manualSeed(seed: number | bigint): Generator {
  for (const generator of ofDevices.values()) generator.manualSeed(seed);
  return defaults;
}

/** Options of random creation functions. */
export interface RandomOptions extends TensorOptions {
  readonly generator?: Generator;
}

/** Draws with a functional operator of the state, then advances the state. */
export function draw(target: string, args: Readonly<Record<string, unknown>>, options: RandomOptions): Tensor {
  checkOptions(target.replace(/^.*philox_(\w+)\..*$/, "random $1"), options, ["generator"]);
  const device = options.device === undefined ? cpu : toDevice(options.device);
  const { state } = options.generator ?? defaultGenerator(device);
  const op = getOp(target);
  const named = op.schema.args.some((a) => a.name === "device") ? { device: state.device, ...args } : args;
  const out = dispatch(op, { state, ...named }) as Tensor;
  noGrad(() => dispatch(getOp("tessera.advance_rng_.default"), { state }));
  const placed = device === out.device ? out : out.to(device);
  if (options.requiresGrad === true) placed.requiresGrad = true;
  return placed;
}

/** Uniform numbers in [0, 1). */
export function rand(size: readonly Size[], options: RandomOptions = {}): Tensor {
  checkSize("rand", size);
  return draw("tessera.philox_uniform.default", { size, dtype: options.dtype ?? getDefaultDtype() }, options);
}

/** Numbers of the standard normal distribution. */
export function randn(size: readonly Size[], options: RandomOptions = {}): Tensor {
  checkSize("randn", size);
  return draw("tessera.philox_normal.default", { size, dtype: options.dtype ?? getDefaultDtype() }, options);
}

/** Integers in [low, high). @throws {RangeError} if the range is empty. */
export function randint(low: number, high: number, size: readonly Size[], options: RandomOptions = {}): Tensor {
  checkSize("randint", size);
  if (!(low < high)) throw new RangeError(`randint: the range [${low}, ${high}) is empty`);
  return draw("tessera.philox_randint.default", { low, high, size, dtype: options.dtype ?? int64 }, options);
}

/** A random order of 0 … n-1, int64. */
export function randperm(n: number, options: RandomOptions = {}): Tensor {
  const keys = rand([n], { ...(options.generator === undefined ? {} : { generator: options.generator }) });
  const order = keys.argsort();
  return options.dtype === undefined || options.dtype === int64 ? order : order.to(options.dtype);
}
