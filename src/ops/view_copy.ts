/**
 * The `*_copy` variants of views, which exported programs contain after functionalization.
 *
 * Each derives from its view: the same arguments and shapes, contiguous results of their own memory. Mirrors the generated `view_copy`
 * operators of ATen.
 */
import { callOperator } from "./call.ts";
import { defineOp, type MetaInput, type NamedArgs, overloadsOf, type TensorSpec } from "./define.ts";
import type { Functional } from "./functional.ts";
import type { TensorValue } from "./value.ts";

const owned = ({ shape, dtype }: TensorSpec): TensorSpec => ({ shape, dtype });

/** Defines `name_copy` for every overload of `name`. */
function defineCopies(name: string): void {
  for (const op of [...overloadsOf(name)]) {
    const schema = op.schema.text.replace(`::${name}`, `::${name}_copy`).replaceAll("(a)", "");
    const definition = {
      schema,
      doc: `A copy of what ${name}() shows.`,
      meta: (args: NamedArgs<MetaInput>) => {
        const specs = op.meta(args);
        return "shape" in specs ? owned(specs) : specs.map(owned);
      },
      decompose: (args: NamedArgs<TensorValue>, F: Functional) => {
        const views = callOperator(F, op, args);
        const copy = (t: TensorValue): TensorValue => t.clone({ memoryFormat: "contiguous_format" });
        return "shape" in views ? copy(views) : views.map(copy);
      },
      samples: op.samples,
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
