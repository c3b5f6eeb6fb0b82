/**
 * The `*_copy` variants of views, which exported programs contain after functionalization.
 *
 * Each derives from its view: the same arguments and shapes, contiguous results of their own memory. Mirrors the generated `view_copy`
 * operators of ATen.
 */
import { callOperator } from "./call.ts";
import { defineOp, getOp, type MetaInput, type NamedArgs, overloadsOf, type TensorSpec } from "./define.ts";
import type { Functional } from "./functional.ts";
import type { TensorValue } from "./value.ts";

const owned = ({ shape, dtype }: TensorSpec): TensorSpec => ({ shape, dtype });

/** Defines `name_copy` for every overload of `name`. */
function defineCopies(name: string): void {
  for (const view of [...overloadsOf(name)]) {
    // A copy needs no strides that show what is there.
    const isReshape = view.target === "aten.view.default";
    const op = isReshape ? getOp("aten.reshape.default") : view;
    const own = <T>(args: NamedArgs<T>): NamedArgs<T> =>
      isReshape ? { self: args["self"] ?? null, shape: args["size"] ?? null } : args;
    const schema = view.schema.text.replace(`::${name}`, `::${name}_copy`).replaceAll("(a)", "");
    const definition = {
      schema,
      doc: `A copy of what ${name}() shows.`,
      meta: (args: NamedArgs<MetaInput>) => {
        const specs = op.meta(own(args));
        return "shape" in specs ? owned(specs) : specs.map(owned);
      },
      decompose: (args: NamedArgs<TensorValue>, F: Functional) => {
        const views = callOperator(F, op, own(args));
        const copy = (t: TensorValue): TensorValue => t.clone({ memoryFormat: "contiguous_format" });
        return "shape" in views ? copy(views) : views.map(copy);
      },
      samples: view.samples,
    };
    defineOp(definition as unknown as Parameters<typeof defineOp>[0]);
  }
}

const VIEWS = [
  "alias",
  "as_strided",
  "detach",
  "diagonal",
  "expand",
  "narrow",
  "permute",
  "select",
  "slice",
  "split",
  "split_with_sizes",
  "squeeze",
  "t",
  "transpose",
  "unbind",
  "unfold",
  "unsqueeze",
  "view",
] as const;

for (const name of VIEWS) defineCopies(name);
