/**
 * Operators under names of PyTorch's backends, as traced and decomposed programs hold them: _convolution, slow_conv3d, _batch_norm_no_update, ….
 *
 * Each is the public operator with its arguments in place, so there is nothing to differentiate or lower here. Mirrors the entries of `native_functions.yaml`
 * that dispatch to one library.
 */
import { float64, getDefaultDtype, uint8 } from "../core/mod.ts";
import type { Size } from "../symbolic/mod.ts";
import { defineOp, getOp, type MetaInput, type NamedArgs, type TensorSpec } from "./define.ts";
import type { Functional } from "./functional.ts";
import type { Sample, SampleGenerator } from "./samples.ts";
import type { TensorValue } from "./value.ts";

/** Arguments that convolution takes, in its names. */
interface ConvolutionArgs<T> {
  readonly input: T;
  readonly weight: T;
  readonly bias: T | null;
  readonly stride: readonly Size[];
  readonly padding: readonly Size[];
  readonly dilation: readonly Size[];
  readonly transposed: boolean;
  readonly outputPadding: readonly Size[];
  readonly groups: Size;
}

function convolutionMeta(args: ConvolutionArgs<MetaInput>): TensorSpec {
  return getOp("aten.convolution.default").meta(args as unknown as NamedArgs<MetaInput>) as TensorSpec;
}

function convolve(args: ConvolutionArgs<TensorValue>, F: Functional): TensorValue {
  const { input, weight, bias, stride, padding, dilation, transposed, outputPadding, groups } = args;
  return F.convolution(input, weight, bias, stride, padding, dilation, transposed, outputPadding, groups);
}

const convolutionSample = (g: SampleGenerator, more: Readonly<Record<string, boolean>>): readonly Sample[] =>
  g.dtype.isFloat && g.dtype.bytes >= 4
    ? [{
      args: {
        input: g.tensor([1, 4, 6]),
        weight: g.tensor([6, 2, 3]),
        bias: g.tensor([6]),
        stride: [1],
        padding: [1],
        dilation: [1],
        transposed: false,
        outputPadding: [0],
        groups: 2,
        benchmark: false,
        deterministic: false,
        cudnnEnabled: true,
        ...more,
      },
    }]
    : [];

const CONVOLUTION =
  "Tensor input, Tensor weight, Tensor? bias, SymInt[] stride, SymInt[] padding, SymInt[] dilation, bool transposed, SymInt[] output_padding, SymInt groups, bool benchmark, bool deterministic, bool cudnn_enabled";

defineOp({
  schema: `aten::_convolution(${CONVOLUTION}, bool allow_tf32) -> Tensor`,
  doc: "Convolution, with switches of libraries that change nothing here.",
  public: false,
  meta: convolutionMeta,
  decompose: convolve,
  samples: (g) => convolutionSample(g, { allowTf32: true }),
});

defineOp({
  schema: `aten::_convolution.deprecated(${
    CONVOLUTION.replace("SymInt[] output_padding, SymInt groups", "int[] output_padding, int groups")
  }) -> Tensor` as "aten::_convolution.deprecated(Tensor input, Tensor weight, Tensor? bias, SymInt[] stride, SymInt[] padding, SymInt[] dilation, bool transposed, int[] output_padding, int groups, bool benchmark, bool deterministic, bool cudnn_enabled) -> Tensor",
  doc: "Convolution, with switches of libraries that change nothing here.",
  public: false,
  meta: convolutionMeta,
  decompose: convolve,
  samples: (g) => convolutionSample(g, {}),
});

defineOp({
  schema:
    "aten::_convolution_mode(Tensor input, Tensor weight, Tensor? bias, SymInt[] stride, str padding, SymInt[] dilation, SymInt groups) -> Tensor",
  doc: 'Convolution with padding "same" or "valid".',
  public: false,
  meta: (args) => getOp(namedConvolution(args.weight.shape.length)).meta(args as unknown as NamedArgs<MetaInput>),
  decompose: ({ input, weight, bias, stride, padding, dilation, groups }, F) => {
    const call = [F.conv1d, F.conv2d, F.conv3d][weight.ndim - 3] ?? F.conv2d;
    return call(input, weight, { bias, stride, padding, dilation, groups });
  },
  samples: () => [],
});

/** The named convolution with a text as padding, for a weight of this rank. */
function namedConvolution(rank: number): string {
  if (rank < 3 || rank > 5) {
    throw new TypeError(`_convolution_mode: weight must have 3 to 5 dimensions, got ${rank}`);
  }
  return `aten.conv${rank - 2}d.padding`;
}

/** The name and the parameters between weight and the end; transposed forms have output_padding, which goes before dilation. */
const SLOW: readonly (readonly [name: string, rank: number, parameters: string])[] = [
  ["thnn_conv2d", 2, "Tensor? bias=None, SymInt[2] stride=1, SymInt[2] padding=0"],
  ["_slow_conv2d_forward", 2, "Tensor? bias, SymInt[2] stride, SymInt[2] padding"],
  ["slow_conv3d", 3, "Tensor? bias=None, SymInt[3] stride=1, SymInt[3] padding=0"],
  ["slow_conv3d_forward", 3, "Tensor? bias, SymInt[3] stride, SymInt[3] padding"],
  ["slow_conv_dilated2d", 2, "Tensor? bias=None, SymInt[2] stride=1, SymInt[2] padding=0, SymInt[2] dilation=1"],
  ["slow_conv_dilated3d", 3, "Tensor? bias=None, SymInt[3] stride=1, SymInt[3] padding=0, SymInt[3] dilation=1"],
  ["_conv_depthwise2d", 2, "Tensor? bias, SymInt[2] stride, SymInt[2] padding, SymInt[2] dilation"],
  ["conv_depthwise3d", 3, "Tensor? bias, SymInt[3] stride, SymInt[3] padding, SymInt[3] dilation"],
  [
    "slow_conv_transpose2d",
    2,
    "Tensor? bias=None, SymInt[2] stride=1, SymInt[2] padding=0, SymInt[2] output_padding=0, SymInt[2] dilation=1",
  ],
  [
    "slow_conv_transpose3d",
    3,
    "Tensor? bias=None, SymInt[3] stride=1, SymInt[3] padding=0, SymInt[3] output_padding=0, SymInt[3] dilation=1",
  ],
];

for (const [name, rank, parameters] of SLOW) {
  const list = (value: unknown, otherwise: number): Size[] => {
    const given = value as readonly Size[] | undefined;
    if (given === undefined) return new Array<Size>(rank).fill(otherwise);
    return given.length === 1 ? new Array<Size>(rank).fill(given[0] ?? otherwise) : [...given];
  };
  const own = <T extends { readonly shape: readonly Size[] }>(args: NamedArgs<T>): ConvolutionArgs<T> => ({
    input: args["self"] as T,
    weight: args["weight"] as T,
    bias: (args["bias"] ?? null) as T | null,
    stride: list(args["stride"], 1),
    padding: list(args["padding"], 0),
    dilation: list(args["dilation"], 1),
    transposed: name.includes("transpose"),
    outputPadding: list(args["outputPadding"], 0),
    groups: name.includes("depthwise") ? (args["self"] as T).shape.at(-rank - 1) ?? 1 : 1,
  });
  defineOp({
    schema:
      `aten::${name}(Tensor self, Tensor weight, SymInt[${rank}] kernel_size, ${parameters}) -> Tensor` as "aten::thnn_conv2d(Tensor self, Tensor weight, SymInt[2] kernel_size, Tensor? bias=None, SymInt[2] stride=1, SymInt[2] padding=0) -> Tensor",
    doc: "Convolution, by the name of one of PyTorch's kernels.",
    public: false,
    meta: (args) => {
      const kernel = list(args.kernelSize, 1), shape = args.weight.shape.slice(2);
      if (kernel.length !== shape.length || kernel.some((k, i) => Number(k) !== Number(shape[i]))) {
        throw new TypeError(`${name}: kernel_size [${kernel}] must be that of weight [${args.weight.shape}]`);
      }
      return convolutionMeta(own(args as unknown as NamedArgs<MetaInput>));
    },
    decompose: (args, F) => convolve(own(args as unknown as NamedArgs<TensorValue>), F),
    samples: () => [],
  });
}

const NORMALIZED = "Tensor input, Tensor? weight, Tensor? bias, Tensor running_mean, Tensor running_var";

defineOp({
  schema:
    "aten::_batch_norm_no_update(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, float momentum, float eps) -> (Tensor, Tensor, Tensor, Tensor)",
  doc: "Batch normalisation by the running statistics; the last result is an empty reserve.",
  public: false,
  meta: (args) => [
    ...getOp("aten.native_batch_norm.default").meta({ ...args, training: false }) as TensorSpec[],
    { shape: [0], dtype: uint8 },
  ],
  decompose: ({ input, weight, bias, runningMean, runningVar, momentum, eps }, F) => [
    ...F.nativeBatchNorm(input, weight, bias, runningMean, runningVar, false, momentum, eps),
    input.detach().newEmpty([0], { dtype: uint8 }),
  ],
  samples: () => [],
});

defineOp({
  schema:
    `aten::_batch_norm_with_update_functional(${NORMALIZED}, float momentum, float eps) -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)`,
  doc: "Batch normalisation in training; the running statistics after it are the last results.",
  public: false,
  meta: (args) => {
    const [out, mean, std] = getOp("aten.native_batch_norm.default").meta({ ...args, training: true }) as TensorSpec[];
    return [out, mean, std, { shape: [0], dtype: uint8 }, args.runningMean, args.runningVar] as TensorSpec[];
  },
  decompose: ({ input, weight, bias, runningMean, runningVar, momentum, eps }, F) => {
    const [out, mean, rstd, ...running] = F._nativeBatchNormLegitFunctional(
      input,
      weight,
      bias,
      runningMean,
      runningVar,
      true,
      momentum,
      eps,
    );
    return [out, mean, rstd, input.detach().newEmpty([0], { dtype: uint8 }), ...running];
  },
  samples: () => [],
});

defineOp({
  schema:
    "aten::range.step(Scalar start, Scalar end, Scalar step=1, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
  doc: "Numbers from start to end, end included, in steps.",
  public: false,
  meta: ({ start, end, step, dtype }) => {
    const by = Number(step), steps = (Number(end) - Number(start)) / by;
    if (!(steps >= 0) || by === 0 || !Number.isFinite(steps)) {
      throw new RangeError(`range: steps of ${by} do not lead from ${start} to ${end}`);
    }
    return { shape: [Math.floor(steps) + 1], dtype: dtype ?? getDefaultDtype() };
  },
  decompose: ({ start, end, step, dtype, device }, F) => {
    const count = Math.floor((Number(end) - Number(start)) / Number(step)) + 1, to = dtype ?? getDefaultDtype();
    const wide = F.arange(count, { device, dtype: float64 }).mul(Number(step)).add(Number(start));
    return to === float64 ? wide : wide.to(to);
  },
  samples: () => [],
});

defineOp({
  schema:
    "aten::range(Scalar start, Scalar end, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
  doc: "Numbers from start to end, end included.",
  public: false,
  meta: (args) => getOp("aten.range.step").meta({ ...args, step: 1 }),
  decompose: (args, F) => getOp("aten.range.step").decompose?.({ ...args, step: 1 }, F) as TensorValue,
  samples: () => [],
});

/** Copies of what views show. */
for (const name of ["view_as_real", "view_as_complex"] as const) {
  defineOp({
    schema: `aten::${name}_copy(Tensor self) -> Tensor`,
    doc: `A copy of what ${name} shows.`,
    public: false,
    meta: ({ self }) => {
      const { shape, dtype } = getOp(`aten.${name}.default`).meta({ self }) as TensorSpec;
      return { shape, dtype };
    },
    decompose: ({ self }) => (name === "view_as_real" ? self.viewAsReal() : self.viewAsComplex()).clone(),
    samples: () => [],
  });
}
