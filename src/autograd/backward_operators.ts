/**
 * Gradients of composite operators under their own names, as graphs of training steps hold them: upsample_bilinear2d_backward, mse_loss_backward, ….
 *
 * Each calls its operator again and runs the tape over it, so there is one source for both; what the result of the operator is for nobody is removed as dead code.
 * Gradients of elementwise operators, which have a rule of their own, are in `src/ops/backward_forms.ts`. Mirrors the `*_backward` functions of ATen.
 */
import { InternalError } from "../core/mod.ts";
import { camelCase } from "../graph/mod.ts";
import { defineOp, findOp, getOp, type MetaInput, type NamedArgs, type Operator, type TensorSpec } from "../ops/mod.ts";
import { contiguousStride, sameShape, shapeToText, type Size } from "../symbolic/mod.ts";
import { dispatch, enableGrad, isGradEnabled, Tensor, zeros } from "../tensor/mod.ts";
import { gradOf } from "./engine.ts";

/** A gradient under its own name. */
interface BackwardCall {
  /** The operator that is differentiated. */
  readonly forward: string;
  /** Parameters after the gradient, as in the schema. */
  readonly parameters: string;
  /** Name of the gradient's parameter. */
  readonly grad?: string;
  /** Arguments of the operator that have gradients; default self. With several, results are one each. */
  readonly wanted?: readonly string[];
  /** Parameters of the gradient that the operator calls otherwise. */
  readonly renamed?: Readonly<Record<string, string>>;
}

const CALLS: Record<string, BackwardCall> = {};

for (const rank of [1, 2, 3]) {
  const scales = rank === 1
    ? "float? scales=None"
    : ["d", "h", "w"].slice(3 - rank).map((d) => `float? scales_${d}=None`).join(", ");
  const sizes = `SymInt[${rank}] output_size, SymInt[${rank + 2}] input_size`;
  const smooth = ["linear1d", "bilinear2d", "trilinear3d"][rank - 1] ?? "";
  const names = [`upsample_nearest${rank}d`, `_upsample_nearest_exact${rank}d`];
  for (const name of names) CALLS[name] = { forward: name, parameters: `${sizes}, ${scales}` };
  const aligned = [`upsample_${smooth}`];
  if (rank === 2) aligned.push("upsample_bicubic2d", "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa");
  for (const name of aligned) {
    CALLS[name] = { forward: name, parameters: `${sizes}, bool align_corners, ${scales}` };
  }
  for (const kind of ["reflection", "replication"]) {
    const name = `${kind}_pad${rank}d`;
    CALLS[name] = { forward: name, parameters: `Tensor self, SymInt[${2 * rank}] padding` };
  }
}
const LOSSES: Readonly<Record<string, string>> = {
  mse_loss: "int reduction",
  smooth_l1_loss: "int reduction, float beta",
  huber_loss: "int reduction, float delta",
  soft_margin_loss: "int reduction",
  binary_cross_entropy: "Tensor? weight=None, int reduction=1",
  multi_margin_loss: "Scalar p, Scalar margin, Tensor? weight=None, int reduction=1",
};
for (const [name, parameters] of Object.entries(LOSSES)) {
  CALLS[name] = { forward: name, parameters: `Tensor self, Tensor target, ${parameters}` };
}
CALLS["glu"] = { forward: "glu", parameters: "Tensor self, int dim" };
for (const rank of [2, 3]) {
  CALLS[`_adaptive_avg_pool${rank}d`] = { forward: `_adaptive_avg_pool${rank}d`, parameters: "Tensor self" };
  CALLS[`grid_sampler_${rank}d`] = {
    forward: `grid_sampler_${rank}d`,
    parameters:
      "Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool align_corners, bool[2] output_mask",
    wanted: ["input", "grid"],
  };
}
CALLS["_cdist"] = {
  forward: "_cdist_forward",
  parameters: "Tensor x1, Tensor x2, float p, Tensor cdist",
  grad: "grad",
  wanted: ["x1"],
};
CALLS["_pdist"] = { forward: "_pdist_forward", parameters: "Tensor self, float p, Tensor pdist", grad: "grad" };
CALLS["_weight_norm_interface"] = {
  forward: "_weight_norm_interface",
  parameters: "Tensor saved_v, Tensor saved_g, Tensor saved_norms, int dim",
  grad: "grad_w",
  wanted: ["v", "g"],
  renamed: { v: "savedV", g: "savedG" },
};
CALLS["_scaled_dot_product_flash_attention_for_cpu"] = {
  forward: "_scaled_dot_product_flash_attention_for_cpu",
  parameters:
    "Tensor query, Tensor key, Tensor value, Tensor out, Tensor logsumexp, float dropout_p, bool is_causal, *, Tensor? attn_mask=None, float? scale=None",
  grad: "grad_out",
  wanted: ["query", "key", "value"],
};

/** The operator's arguments among those of its gradient; `sized` makes a tensor of which only the size is known. */
function ownArguments<T>(
  op: Operator,
  call: BackwardCall,
  args: NamedArgs<T>,
  sized: (shape: Size[]) => T,
): NamedArgs<T> {
  const grad = args[camelCase(call.grad ?? "grad_output")] as { readonly shape: readonly Size[] };
  return Object.fromEntries(op.schema.args.map((a) => {
    const given = args[call.renamed?.[a.key] ?? a.key];
    if (given !== undefined) return [a.key, given];
    if (a.key === "self") return [a.key, sized(args["inputSize"] as Size[])];
    // Adaptive pooling does not repeat what the gradient's shape says.
    if (a.key === "outputSize") return [a.key, grad.shape.slice(call.forward.includes("3d") ? -3 : -2)];
    return [a.key, a.defaultValue];
  })) as NamedArgs<T>;
}

for (const [name, call] of Object.entries(CALLS)) {
  const where = `${name}_backward`;
  const op = findOp(`aten.${call.forward}.default`);
  if (op === null) throw new InternalError(`${where}: there is no ${call.forward}`);
  const wanted = call.wanted ?? ["self"];
  const gradKey = camelCase(call.grad ?? "grad_output");
  const results = wanted.length === 1 ? "Tensor" : `(${wanted.map(() => "Tensor").join(", ")})`;
  const schema = `aten::${where}(Tensor ${call.grad ?? "grad_output"}, ${call.parameters}) -> ${results}`;
  defineOp({
    schema: schema as "aten::glu_backward(Tensor grad_output, Tensor self, int dim) -> Tensor",
    doc: `The gradient of ${call.forward}.`,
    public: false,
    meta: (args) => {
      const given = args as unknown as NamedArgs<MetaInput>;
      const grad = given[gradKey] as MetaInput;
      const own = ownArguments<MetaInput>(op, call, given, (shape) => ({
        shape,
        stride: contiguousStride(shape),
        storageOffset: 0,
        dtype: grad.dtype,
        device: grad.device,
        isScalar: false,
        requiresGrad: false,
      }));
      const made = op.meta(own);
      const [result] = "shape" in made ? [made] : made;
      if (result !== undefined && !sameShape(result.shape, grad.shape)) {
        throw new TypeError(
          `${where}: ${call.grad ?? "grad_output"} ${shapeToText(grad.shape)} must have the shape of the result ${
            shapeToText(result.shape)
          }`,
        );
      }
      const specs = wanted.map((key): TensorSpec => {
        const { shape, dtype } = own[key] as MetaInput;
        return { shape, dtype };
      });
      return wanted.length === 1 ? specs[0] as TensorSpec : specs;
    },
    decompose: (args) => {
      const given = args as unknown as NamedArgs<Tensor>;
      const grad = given[gradKey] as Tensor;
      const own = ownArguments<Tensor>(
        op,
        call,
        given,
        (shape) => zeros(shape, { dtype: grad.dtype, device: grad.device }),
      );
      // Where the gradient is differentiated in turn, its arguments keep their history.
      const createGraph = isGradEnabled();
      const leaves = wanted.map((key) => {
        const t = own[key] as Tensor;
        return createGraph && t.requiresGrad ? t : t.detach().requiresGrad_();
      });
      const grads = enableGrad(() => {
        const made = dispatch(getOp(op.target), {
          ...own,
          ...Object.fromEntries(wanted.map((key, i) => [key, leaves[i]])),
        });
        const out = made instanceof Tensor ? made : made[0] as Tensor;
        return gradOf(out, leaves, { gradOutputs: [grad], allowUnused: true, createGraph });
      });
      const all = leaves.map((leaf, i) => grads[i] ?? leaf.detach().zerosLike());
      return wanted.length === 1 ? all[0] as Tensor : all;
    },
    samples: () => [],
  });
}
