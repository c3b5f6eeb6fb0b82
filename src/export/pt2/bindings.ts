/**
 * The values of symbolic sizes in one call on tensors: found from the inputs, checked against what the program was exported for.
 *
 * Each dimension of an input is an equation between an expression and a number; `size_values.ts` solves and checks them.
 */
import { isSymInt, type Sym } from "../../symbolic/mod.ts";
import { isTensorMeta, type NodeValue, type TensorMeta } from "../../graph/mod.ts";
import { Tensor } from "../../tensor/tensor.ts";
import { SizeValues } from "./size_values.ts";

export { type Conditions, rangeText } from "./size_values.ts";

/** Values of symbols during one run. */
export class Bindings extends SizeValues {
  /** Bindings for a graph inside this one: they start from the same values. */
  nested(): Bindings {
    return new Bindings(this.conditions, this.known as ReadonlyMap<Sym, number>);
  }

  /** Notes that a value of the run must be as its description says. */
  require(meta: NodeValue, value: unknown, place: string): void {
    if (isTensorMeta(meta)) this.#requireTensor(meta, value, place);
    else if (isSymInt(meta)) {
      const number = typeof value === "boolean" ? Number(value) : value;
      if (typeof number !== "number" || !Number.isSafeInteger(number)) {
        throw new TypeError(`${place}: needs a whole number, got ${describe(value)}`);
      }
      this.equation(meta.expr, number, place);
    } else if (typeof meta === "number" || typeof meta === "boolean") {
      if (value !== meta) throw new TypeError(`${place}: the program was exported for ${meta}, got ${describe(value)}`);
    }
  }

  #requireTensor(meta: TensorMeta, value: unknown, place: string): void {
    if (!(value instanceof Tensor)) throw new TypeError(`${place}: needs a tensor, got ${describe(value)}`);
    if (value.dtype !== meta.dtype) {
      throw new TypeError(
        `${place}: needs a ${meta.dtype.name} tensor, got ${value.dtype.name}; convert it with .to()`,
      );
    }
    if (value.shape.length !== meta.shape.length) {
      throw new TypeError(
        `${place}: needs the shape [${meta.shape.join(", ")}], got [${
          value.shape.join(", ")
        }]: other number of dimensions`,
      );
    }
    meta.shape.forEach((size, d) => {
      const actual = Number(value.shape[d]);
      const at = `${place}: dimension ${d}`;
      if (typeof size !== "number") this.equation(size.expr, actual, at);
      else if (size !== actual) {
        throw new RangeError(`${at} must be ${size}, as the program was exported for it; it is ${actual}`);
      }
    });
  }
}

function describe(value: unknown): string {
  if (value instanceof Tensor) return "a tensor";
  if (typeof value === "string") return JSON.stringify(value.slice(0, 40));
  return typeof value === "object" && value !== null ? "an object" : String(value);
}
