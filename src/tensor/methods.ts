/**
 * Installs the operators of the table as methods of `Tensor` and as functions of {@linkcode F}.
 *
 * One JavaScript function per base name resolves overloads. Names that `Tensor` defines itself stay. Call
 * {@linkcode installOperators} again after operators were defined later; it only adds.
 */
import { camelCase } from "../graph/mod.ts";
import { allOps, findOp, type Functional, type NumberResult } from "../ops/mod.ts";
import { type Callable, callable, isDeviceLike, resolveCall } from "./arguments.ts";
import { dispatch, dispatchComplete, setCopyOperator, setFunctional } from "./dispatch.ts";
import { InternalError } from "../core/mod.ts";
import type { OpResult } from "./mode.ts";
import { ruleArguments } from "./operands.ts";
import { Tensor } from "./tensor.ts";

type AnyFunction = (...args: readonly unknown[]) => OpResult | NumberResult;

const functions: Record<string, AnyFunction> = {};

/** All operators as functions: `F.add(x, 1, { alpha: 2 })`. */
export const F: Functional<Tensor> = functions as unknown as Functional<Tensor>;

/** `to("cuda")`: a device alone, which ATen's schemas do not have. */
function withDeviceNamed(name: string, args: readonly unknown[]): readonly unknown[] {
  const [self, device, ...rest] = args;
  if (name !== "to" || rest.length > 0 || !isDeviceLike(device)) return args;
  return [self, { device }];
}

function target(name: string): Callable {
  const found = callable(name);
  if (found === null) throw new InternalError(`the operator ${name} has left the table`);
  return found;
}

/** Operators that yield a number say it at once: there is nothing to record or to differentiate. */
function run({ op, args }: ReturnType<typeof resolveCall>): OpResult | NumberResult {
  return op.number === undefined ? dispatchComplete(op, args) : op.number(ruleArguments(op, args));
}

/** Makes every public operator of the table a method and a function. */
export function installOperators(): void {
  const prototype = Tensor.prototype as unknown as Record<string, unknown>;
  for (const op of allOps()) {
    const base = op.schema.name;
    const name = camelCase(base);
    if (functions[name] !== undefined) continue;
    // Rules and decompositions may use internal forms too, so `F` has all; methods are the public ones.
    functions[name] = (...args) => {
      return run(resolveCall(target(base), base === "to" ? withDeviceNamed(base, args) : args));
    };
    const first = op.schema.args[0];
    if (first?.name !== "self" || first.type !== "Tensor" || first.list || Object.hasOwn(prototype, name)) continue;
    Object.defineProperty(prototype, name, {
      configurable: true,
      writable: true,
      value: function (this: Tensor, ...args: readonly unknown[]): OpResult | NumberResult {
        return run(resolveCall(
          target(base),
          base === "to" ? withDeviceNamed(base, [this, ...args]) : [this, ...args],
        ));
      },
    });
  }
}

setFunctional(F);
setCopyOperator((self, source) => {
  const op = findOp("aten.copy_.default");
  if (op === null) throw new InternalError("the table has no aten.copy_.default");
  return dispatch(op, { self, src: source }) as Tensor;
});
installOperators();
