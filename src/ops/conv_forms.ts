/**
 * The named convolutions: conv1d, conv2d, conv3d, with numbers or "same" and "valid" as padding, and their transposed forms.
 *
 * Each is `aten::convolution` with its lists filled up, so there is nothing to differentiate or lower here.
 */
import { convolutionSpec, convWithBias, type PaddingPair } from "./convolution.ts";
import { defineOp, type MetaInput, type TensorSpec } from "./define.ts";
import type { Functional } from "./functional.ts";
import type { Sample, SampleGenerator } from "./samples.ts";
import type { TensorValue } from "./value.ts";
import { windowList } from "./window.ts";
import { shapeToText, type Size, sizeLt } from "../symbolic/mod.ts";

/** Arguments of a plain convolution, over tensors of one kind. */
interface ConvArgs<T> {
  readonly input: T;
  readonly weight: T;
  readonly bias: T | null;
  readonly stride: readonly Size[];
  readonly padding: readonly Size[] | string;
  readonly dilation: readonly Size[];
  readonly groups: Size;
}

/** Arguments of a transposed convolution. */
interface TransposedArgs<T> extends ConvArgs<T> {
  readonly padding: readonly Size[];
  readonly outputPadding: readonly Size[];
}

/** Padding before and after each dimension. "same" puts the odd element after. */
function paddingPairs(where: string, rank: number, args: ConvArgs<{ readonly shape: readonly Size[] }>): PaddingPair[] {
  if (typeof args.padding !== "string") {
    return windowList(where, "padding", args.padding, rank, 0).map((p) => [p, p] as const);
  }
  if (args.padding === "valid") return new Array<PaddingPair>(rank).fill([0, 0]);
  if (args.padding !== "same") {
    throw new RangeError(`${where}: padding must be numbers, "same" or "valid", got "${args.padding}"`);
  }
  if (args.stride.some((s) => Number(s) !== 1)) {
    throw new RangeError(`${where}: padding "same" needs stride 1, got ${shapeToText(args.stride)}`);
  }
  const dilation = windowList(where, "dilation", args.dilation, rank, 1);
  return dilation.map((d, i) => {
    const total = d * (Number(args.weight.shape[i + 2] ?? 1) - 1);
    return [Math.floor(total / 2), total - Math.floor(total / 2)] as const;
  });
}

function plainSpec(where: string, rank: number, args: ConvArgs<MetaInput>): TensorSpec {
  return convolutionSpec(
    where,
    rank,
    { ...args, padding: [], transposed: false, outputPadding: [] },
    paddingPairs(where, rank, args),
  );
}

function plain(where: string, rank: number, args: ConvArgs<TensorValue>, F: Functional): TensorValue {
  const stride = windowList(where, "stride", args.stride, rank, 1);
  const dilation = windowList(where, "dilation", args.dilation, rank, 1);
  const padding = paddingPairs(where, rank, args);
  return convWithBias(F, args.input, args.weight, args.bias, { stride, padding, dilation, groups: args.groups });
}

function transposedSpec(where: string, rank: number, args: TransposedArgs<MetaInput>): TensorSpec {
  if (args.outputPadding.length === 0) {
    throw new TypeError(`${where}: output_padding needs 1 or ${rank} numbers, got []`);
  }
  const spec = convolutionSpec(where, rank, { ...args, transposed: true });
  if (spec.shape.slice(-rank).some((size) => sizeLt(size, 1))) {
    throw new RangeError(
      `${where}: the padding [${args.padding.join(", ")}] leaves nothing: the result would have the shape ${
        shapeToText(spec.shape)
      }`,
    );
  }
  return spec;
}

function transposed(args: TransposedArgs<TensorValue>, F: Functional): TensorValue {
  const { input, weight, bias, stride, padding, dilation, outputPadding, groups } = args;
  return F.convolution(input, weight, bias, stride, padding, dilation, true, outputPadding, groups);
}

/** Samples of every option; `rank` spatial dimensions of a few elements. */
function samples(g: SampleGenerator, rank: number, options: readonly Sample["args"][]): Sample[] {
  const cube = (n: number): number[] => new Array<number>(rank).fill(n);
  return options.map((o) => ({
    args: { input: g.tensor([2, 4, ...cube(5)]), weight: g.tensor([4, o.groups === 2 ? 2 : 4, ...cube(3)]), ...o },
  }));
}

for (const rank of [1, 2, 3]) {
  const cube = (n: number): number[] => new Array<number>(rank).fill(n);
  const dimensions = rank === 1 ? "1 dimension" : `${rank} dimensions`;
  const list = (name: string, fallback: number): string => `SymInt[${rank}] ${name}=${fallback}`;
  const name = `conv${rank}d`;
  defineOp({
    schema: `aten::${name}(Tensor input, Tensor weight, Tensor? bias=None, ${list("stride", 1)}, ${
      list("padding", 0)
    }, ${
      list("dilation", 1)
    }, SymInt groups=1) -> Tensor` as "aten::conv2d(Tensor input, Tensor weight, Tensor? bias=None, SymInt[2] stride=1, SymInt[2] padding=0, SymInt[2] dilation=1, SymInt groups=1) -> Tensor",
    doc: `Convolution over ${dimensions}: input [N, C, …], weight [O, C / groups, …].`,
    meta: (args) => plainSpec(name, rank, args),
    decompose: (args, F) => plain(name, rank, args, F),
    samples: (g) => [
      ...samples(g, rank, [{ bias: g.tensor([4]), padding: 1 }, { stride: 2, padding: 1, groups: 2 }, { dilation: 2 }]),
      { name: "unbatched", args: { input: g.tensor([2, ...cube(4)]), weight: g.tensor([3, 2, ...cube(1)]) } },
    ],
  });
  defineOp({
    schema: `aten::${name}.padding(Tensor input, Tensor weight, Tensor? bias=None, ${
      list("stride", 1)
    }, str padding="valid", ${
      list("dilation", 1)
    }, SymInt groups=1) -> Tensor` as 'aten::conv2d.padding(Tensor input, Tensor weight, Tensor? bias=None, SymInt[2] stride=1, str padding="valid", SymInt[2] dilation=1, SymInt groups=1) -> Tensor',
    doc: `Convolution over ${dimensions}, padded to the input's size or not at all.`,
    meta: (args) => plainSpec(name, rank, args),
    decompose: (args, F) => plain(name, rank, args, F),
    samples: (g) => [
      ...samples(g, rank, [{ bias: g.tensor([4]), padding: "same" }, { padding: "valid", stride: 2 }]),
      {
        name: "even kernel",
        args: { input: g.tensor([1, 2, ...cube(4)]), weight: g.tensor([3, 2, ...cube(2)]), padding: "same" },
      },
    ],
  });
}

for (const rank of [1, 2, 3]) {
  const name = `conv_transpose${rank}d`;
  const list = (name: string, fallback: number): string => `SymInt[${rank}] ${name}=${fallback}`;
  defineOp({
    schema: `aten::${name}${rank === 1 ? "" : ".input"}(Tensor input, Tensor weight, Tensor? bias=None, ${
      list("stride", 1)
    }, ${list("padding", 0)}, ${list("output_padding", 0)}, SymInt groups=1, ${
      list("dilation", 1)
    }) -> Tensor` as "aten::conv_transpose2d.input(Tensor input, Tensor weight, Tensor? bias=None, SymInt[2] stride=1, SymInt[2] padding=0, SymInt[2] output_padding=0, SymInt groups=1, SymInt[2] dilation=1) -> Tensor",
    doc: `Transposed convolution over ${rank === 1 ? "1 dimension" : `${rank} dimensions`}: weight [C, O / groups, …].`,
    meta: (args) => transposedSpec(name, rank, args),
    decompose: (args, F) => transposed(args, F),
    samples: (g) =>
      samples(g, rank, [
        { bias: g.tensor([4]) },
        { stride: 2, padding: 1, outputPadding: 1, groups: 2 },
        { dilation: 2, padding: 1 },
      ]),
  });
}
