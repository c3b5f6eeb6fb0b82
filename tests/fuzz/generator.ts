/**
 * Makes random programs of 5 to 60 operators over random shapes, strides and dtypes.
 *
 * Inputs are made here, steps by the makers of `choices.ts`, and `maker.ts` keeps those that are fit.
 */
import { noGrad, referenceBackend, withEagerBackend } from "../../src/tensor/mod.ts";
import { MAKERS } from "./choices.ts";
import { Maker, SIZES } from "./maker.ts";
import type { FuzzProgram } from "./program.ts";

function strideOf(m: Maker, shape: readonly number[]): number[] {
  const order = shape.map((_, d) => d);
  if (m.r.below(3) === 0) order.sort(() => m.r.next() - 0.5);
  const stride = new Array<number>(shape.length).fill(1);
  let next = m.r.below(6) === 0 ? 2 : 1;
  for (const d of order.reverse()) {
    stride[d] = next;
    next *= shape[d] ?? 1;
    if (m.r.below(8) === 0) next += 3;
  }
  return stride;
}

function addInputs(m: Maker): void {
  const base = [m.r.pick(SIZES), m.r.pick(SIZES), m.r.pick(SIZES)];
  const [a = 1, b = 1, c = 1] = base;
  const shapes = [[a, b], [a, b], [b], [b, a], [c, a, b], [1, b], [a, 1], [], [c, b, a]];
  const count = 2 + m.r.below(4);
  for (let i = 0; i < count; i++) {
    const shape = m.r.pick(shapes);
    const numel = shape.reduce((x, y) => x * y, 1);
    const dtype = m.r.pick(["float32", "float32", "float32", "float32", "float64", "float16", "bfloat16"]);
    const scale = dtype === "bfloat16" ? 8 : 64;
    const data = Array.from(
      { length: numel },
      () =>
        dtype === "float32" || dtype === "float64"
          ? Math.fround(m.r.next() * 4 - 2)
          : Math.round((m.r.next() * 4 - 2) * scale) / scale,
    );
    m.input(dtype, shape, strideOf(m, shape), data);
  }
  const length = 1 + m.r.below(6);
  m.input("int64", [length], [1], Array.from({ length }, () => m.r.below(m.r.pick([a, b, 2]))));
  if (m.r.below(2) === 0) {
    m.input("int32", [a, b], strideOf(m, [a, b]), Array.from({ length: a * b }, () => m.r.below(40) - 20));
  }
}

/** The program of a seed, of about `size` steps. Without in-place operators where it is differentiated. */
export function randomProgram(seed: number, size: number): FuzzProgram {
  const gradients = seed % 4 === 3;
  const m = new Maker(seed, !gradients);
  return withEagerBackend(referenceBackend, () =>
    noGrad(() => {
      addInputs(m);
      for (let tries = 0; m.steps.length < size && tries < size * 6; tries++) m.tryStep(m.r.pick(MAKERS)(m));
      const results = new Set([m.values.length - 1]);
      for (let i = 1 + m.r.below(4); i > 0; i--) results.add(m.r.below(m.values.length));
      return { inputs: m.inputs, steps: m.steps, results: [...results], gradients };
    }));
}
