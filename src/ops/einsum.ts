/**
 * Einstein summation and the products that are written with it: einsum, tensordot, inner, kron, bilinear.
 *
 * An equation is read into lists of labels; operands are brought together pairwise from left to right, each pair as one batched
 * matrix product: labels that both have and the rest still needs are the batch, labels that nobody needs afterwards are
 * summed. Mirrors `at::einsum` (sumproduct_pair).
 */
import type { Size } from "../symbolic/mod.ts";
import { broadcastShapes, shapeToText, sizeEq, sizeIsOne, sizeMul, sizeProd } from "../symbolic/mod.ts";
import { bool, computeType, normalizeAxes } from "../core/mod.ts";
import { promotedDtype, promotionOperand } from "./combinators.ts";
import { defineOp } from "./define.ts";
import { checkSameDtype } from "./matmul.ts";
import type { TensorValue } from "./value.ts";

/** An equation with its ellipses replaced by labels of their own. */
interface Equation {
  readonly inputs: readonly (readonly string[])[];
  readonly output: readonly string[];
}

/** Reads `"bij,bjk->bik"`. Labels of an ellipsis are numbered from the right: `.0` is the last of its dimensions. */
function parseEquation(text: string, ranks: readonly number[]): Equation {
  const compact = text.replaceAll(" ", "");
  const [left = "", right, extra] = compact.split("->");
  const parts = left.split(",");
  if (extra !== undefined || !/^[A-Za-z.,]*(->[A-Za-z.]*)?$/.test(compact)) {
    throw new TypeError(`einsum: cannot read the equation "${text}": needs letters, commas, "..." and one "->"`);
  }
  if (parts.length !== ranks.length) {
    throw new TypeError(`einsum: "${text}" names ${parts.length} operands, but ${ranks.length} were given`);
  }
  const spread = (part: string, count: number): string[] => {
    const [head = "", tail, more] = part.split("...");
    if (more !== undefined || head.includes(".") || tail?.includes(".") === true) {
      throw new TypeError(`einsum: cannot read the labels "${part}" of "${text}": "..." may stand once`);
    }
    const dots = tail === undefined ? [] : Array.from({ length: count }, (_, i) => `.${count - 1 - i}`);
    return [...head, ...dots, ...(tail ?? "")];
  };
  let ellipsis = 0;
  const inputs = parts.map((part, i) => {
    const rank = ranks[i] ?? 0;
    const named = part.replace("...", "").length;
    const count = part.includes("...") ? rank - named : 0;
    if (count < 0 || (!part.includes("...") && named !== rank)) {
      throw new TypeError(`einsum: operand ${i} has ${rank} dimensions, but "${part}" of "${text}" names ${named}`);
    }
    ellipsis = Math.max(ellipsis, count);
    return spread(part, count);
  });
  if (right !== undefined) {
    const output = spread(right, ellipsis);
    for (const label of output) {
      if (!inputs.some((labels) => labels.includes(label)) || output.filter((l) => l === label).length > 1) {
        throw new TypeError(
          `einsum: the output label "${label}" of "${text}" must stand in an operand, and once in the output`,
        );
      }
    }
    return { inputs, output };
  }
  const all = inputs.flat();
  const dots = Array.from({ length: ellipsis }, (_, i) => `.${ellipsis - 1 - i}`);
  const once = [...new Set(all)].filter((l) => !l.startsWith(".") && all.filter((m) => m === l).length === 1);
  return { inputs, output: [...dots, ...once.sort()] };
}

/** The size of each label; a label of size 1 broadcasts. */
function labelSizes(equation: Equation, shapes: readonly (readonly Size[])[], text: string): Map<string, Size> {
  const sizes = new Map<string, Size>();
  equation.inputs.forEach((labels, i) => {
    labels.forEach((label, d) => {
      const size = shapes[i]?.[d] ?? 1;
      const first = labels.indexOf(label);
      if (first < d && !sizeEq(shapes[i]?.[first] ?? 1, size)) {
        throw new TypeError(
          `einsum: the label "${label}" of "${text}" repeats in operand ${i} ${
            shapeToText(shapes[i] ?? [])
          } over sizes ${shapes[i]?.[first]} and ${size}; a diagonal has one size`,
        );
      }
      const known = sizes.get(label);
      if (known === undefined || (sizeIsOne(known) && !sizeIsOne(size))) sizes.set(label, size);
      else if (!sizeIsOne(size) && !sizeEq(known, size)) {
        throw new TypeError(
          `einsum: the label "${label}" of "${text}" is ${known} in one operand and ${size} in operand ${i} ${
            shapeToText(shapes[i] ?? [])
          }`,
        );
      }
    });
  });
  return sizes;
}

interface Labelled {
  readonly value: TensorValue;
  readonly labels: readonly string[];
}

/** Takes diagonals of repeated labels and sums labels that nobody needs. */
function prepare({ value, labels }: Labelled, needed: ReadonlySet<string>): Labelled {
  let x = value;
  let names = [...labels];
  for (let i = 0; i < names.length; i++) {
    const again = names.indexOf(names[i] ?? "", i + 1);
    if (again < 0) continue;
    const label = names[i] ?? "";
    x = x.diagonal(0, i, again);
    names = [...names.filter((_, d) => d !== i && d !== again), label];
    i = -1;
  }
  const dead = names.map((label, d) => needed.has(label) ? -1 : d).filter((d) => d >= 0);
  if (dead.length > 0) {
    x = x.sum(dead);
    names = names.filter((label) => needed.has(label));
  }
  return { value: x, labels: names };
}

/** Joins two operands; the result has the labels of `needed` that either has. */
function contractPair(a: Labelled, b: Labelled, needed: ReadonlySet<string>): Labelled {
  const sizeIn = (x: Labelled, label: string): Size => x.value.shape[x.labels.indexOf(label)] ?? 1;
  const shared = a.labels.filter((l) => b.labels.includes(l));
  const summed = shared.filter((l) => !needed.has(l));
  // A summed label that is 1 on one side only broadcasts: sum the other side, then drop both.
  for (const label of summed) {
    const one = sizeIsOne(sizeIn(a, label)), two = sizeIsOne(sizeIn(b, label));
    if (!one && !two) continue;
    const drop = (x: Labelled): Labelled => {
      const axis = x.labels.indexOf(label);
      const { value } = x;
      return {
        value: sizeIsOne(sizeIn(x, label)) ? value.select(axis, 0) : value.sum([axis]),
        labels: x.labels.filter((l) => l !== label),
      };
    };
    return contractPair(drop(a), drop(b), needed);
  }
  const batch = shared.filter((l) => needed.has(l));
  const rows = a.labels.filter((l) => !shared.includes(l));
  const columns = b.labels.filter((l) => !shared.includes(l));
  const batchShape = batch.map((l) => sizeIsOne(sizeIn(a, l)) ? sizeIn(b, l) : sizeIn(a, l));
  const flat = (x: Labelled, first: readonly string[], second: readonly string[]): TensorValue => {
    const order = [...batch, ...first, ...second];
    const ordered = x.value.permute(order.map((l) => x.labels.indexOf(l)));
    const firstShape = first.map((l) => sizeIn(x, l));
    const secondShape = second.map((l) => sizeIn(x, l));
    return ordered.expand([...batchShape, ...firstShape, ...secondShape])
      .reshape([sizeProd(batchShape), sizeProd(firstShape), sizeProd(secondShape)]);
  };
  const product = summed.length === 0
    ? flat(a, rows, []).mul(flat(b, [], columns))
    : flat(a, rows, summed).bmm(flat(b, summed, columns));
  return {
    value: product.reshape([...batchShape, ...rows.map((l) => sizeIn(a, l)), ...columns.map((l) => sizeIn(b, l))]),
    labels: [...batch, ...rows, ...columns],
  };
}

defineOp({
  schema: "aten::einsum(str equation, Tensor[] tensors, *, int[]? path=None) -> Tensor",
  doc: 'Sums products of elements by Einstein\'s convention, e.g. "bij,bjk->bik"; pairs are joined from left to right.',
  meta: ({ equation, tensors }) => {
    const first = tensors[0];
    if (first === undefined) throw new TypeError(`einsum: "${equation}" needs at least one operand`);
    for (const other of tensors) checkSameDtype("einsum", first, other);
    if (first.dtype === bool) throw new TypeError("einsum: needs numbers, got bool; convert with .to(int64) first");
    const parsed = parseEquation(equation, tensors.map((t) => t.shape.length));
    const sizes = labelSizes(parsed, tensors.map((t) => t.shape), equation);
    return { shape: parsed.output.map((l) => sizes.get(l) ?? 1), dtype: first.dtype };
  },
  decompose: ({ equation, tensors }) => {
    const { inputs, output } = parseEquation(equation, tensors.map((t) => t.ndim));
    const operands = tensors.map((value, i): Labelled => ({ value, labels: inputs[i] ?? [] }));
    const neededAfter = (i: number): Set<string> =>
      new Set([...output, ...operands.slice(i + 1).flatMap((o) => o.labels)]);
    let result = operands[0];
    if (result === undefined) throw new TypeError(`einsum: "${equation}" needs at least one operand`);
    result = prepare(result, neededAfter(0));
    for (let i = 1; i < operands.length; i++) {
      const next = operands[i];
      if (next === undefined) break;
      const kept = new Set([...neededAfter(i), ...result.labels]);
      result = contractPair(result, prepare(next, kept), neededAfter(i));
      result = prepare(result, neededAfter(i));
    }
    const { value, labels } = result;
    return value.permute(output.map((l) => labels.indexOf(l))).contiguous();
  },
  samples: (g) => [
    { name: "product", args: { equation: "ij,jk->ik", tensors: [g.tensor([3, 4]), g.tensor([4, 5])] } },
    { name: "batch", args: { equation: "bij,bjk", tensors: [g.tensor([2, 3, 4]), g.tensor([2, 4, 5])] } },
    { name: "ellipsis", args: { equation: "...ij,jk->...ik", tensors: [g.tensor([2, 3, 4]), g.tensor([4, 5])] } },
    { name: "outer", args: { equation: "i,j->ij", tensors: [g.tensor([3]), g.tensor([4])] } },
    { name: "transpose and sum", args: { equation: "ijk->ki", tensors: [g.tensor([2, 3, 4])] } },
    { name: "diagonal", args: { equation: "ii->i", tensors: [g.tensor([3, 3])] } },
    {
      name: "three operands",
      args: { equation: "ij,jk,kl->il", tensors: [g.tensor([2, 3]), g.tensor([3, 4]), g.tensor([4, 2])] },
    },
    { name: "sum over one operand", args: { equation: "ij,k->k", tensors: [g.tensor([2, 3]), g.tensor([4])] } },
  ],
});

defineOp({
  schema: "aten::tensordot(Tensor self, Tensor other, int[] dims_self, int[] dims_other) -> Tensor",
  doc: "Sums products over the named dimensions of both tensors.",
  meta: ({ self, other, dimsSelf, dimsOther }) => {
    const a = normalizeAxes(dimsSelf.map(Number), self.shape.length, "tensordot");
    const b = normalizeAxes(dimsOther.map(Number), other.shape.length, "tensordot");
    if (a.length !== b.length) {
      throw new TypeError(`tensordot: dims_self names ${a.length} dimensions, dims_other ${b.length}: name as many`);
    }
    a.forEach((d, i) => {
      const x = self.shape[d] ?? 1, y = other.shape[b[i] ?? 0] ?? 1;
      if (!sizeIsOne(x) && !sizeIsOne(y) && !sizeEq(x, y)) {
        throw new TypeError(
          `tensordot: dimension ${d} of ${shapeToText(self.shape)} and ${b[i]} of ${shapeToText(other.shape)} differ`,
        );
      }
    });
    return {
      shape: [...self.shape.filter((_, d) => !a.includes(d)), ...other.shape.filter((_, d) => !b.includes(d))],
      dtype: checkSameDtype("tensordot", self, other),
    };
  },
  decompose: ({ self, other, dimsSelf, dimsOther }) => {
    const a = normalizeAxes(dimsSelf.map(Number), self.ndim, "tensordot");
    const b = normalizeAxes(dimsOther.map(Number), other.ndim, "tensordot");
    const left: string[] = self.shape.map((_, d) => `l${d}`);
    const right: string[] = other.shape.map((_, d) => `r${d}`);
    a.forEach((d, i) => {
      left[d] = `s${i}`;
      right[b[i] ?? 0] = `s${i}`;
    });
    const needed = new Set([...left, ...right].filter((l) => !l.startsWith("s")));
    // Sums of integers over an axis that one side broadcasts are int64; the result has the operands' dtype.
    return contractPair({ value: self, labels: left }, { value: other, labels: right }, needed).value.to(self.dtype);
  },
  samples: (g) => [
    { args: { self: g.tensor([3, 4, 5]), other: g.tensor([4, 3, 2]), dimsSelf: [1, 0], dimsOther: [0, 1] } },
    { name: "outer", args: { self: g.tensor([3]), other: g.tensor([2]), dimsSelf: [], dimsOther: [] } },
  ],
});

defineOp({
  schema: "aten::inner(Tensor self, Tensor other) -> Tensor",
  doc: "Sums products over the last dimension of both tensors.",
  meta: ({ self, other }) => {
    if (self.shape.length === 0 || other.shape.length === 0) {
      const dtype = promotedDtype("inner", [self, other].map(promotionOperand), "default");
      return { shape: broadcastShapes("inner", self.shape, other.shape), dtype };
    }
    const dtype = checkSameDtype("inner", self, other);
    const x = self.shape[self.shape.length - 1] ?? 1, y = other.shape[other.shape.length - 1] ?? 1;
    if (!sizeEq(x, y)) {
      throw new TypeError(
        `inner: the last dimensions of ${shapeToText(self.shape)} and ${shapeToText(other.shape)} must be equal`,
      );
    }
    return { shape: [...self.shape.slice(0, -1), ...other.shape.slice(0, -1)], dtype };
  },
  decompose: ({ self, other }) =>
    self.ndim === 0 || other.ndim === 0 ? self.mul(other) : self.tensordot(other, [self.ndim - 1], [other.ndim - 1]),
  samples: (g) => [
    { args: { self: g.tensor([2, 3]), other: g.tensor([4, 3]) } },
    { name: "vectors", args: { self: g.tensor([3]), other: g.tensor([3]) } },
  ],
});

defineOp({
  schema: "aten::kron(Tensor self, Tensor other) -> Tensor",
  doc: "The Kronecker product.",
  meta: ({ self, other }) => {
    const rank = Math.max(self.shape.length, other.shape.length);
    const at = (shape: readonly Size[], i: number): Size => shape[shape.length - rank + i] ?? 1;
    return {
      shape: Array.from({ length: rank }, (_, i) => sizeMul(at(self.shape, i), at(other.shape, i))),
      dtype: promotedDtype("kron", [self, other].map(promotionOperand), "default"),
    };
  },
  decompose: ({ self, other }) => {
    const rank = Math.max(self.ndim, other.ndim);
    const padded = (x: TensorValue): Size[] => [...new Array<Size>(rank - x.ndim).fill(1), ...x.shape];
    const a = padded(self), b = padded(other);
    return self.reshape(a.flatMap((s) => [s, 1])).mul(other.reshape(b.flatMap((s) => [1, s])))
      .reshape(a.map((s, i) => sizeMul(s, b[i] ?? 1)));
  },
  samples: (g) => [{ args: { self: g.tensor([2, 3]), other: g.tensor([4]) } }],
});

defineOp({
  schema: "aten::bilinear(Tensor input1, Tensor input2, Tensor weight, Tensor? bias=None) -> Tensor",
  doc: "x1 · W · x2 + bias for each output; weight is [out, in1, in2].",
  meta: ({ input1, input2, weight, bias }) => {
    const [out, in1, in2] = weight.shape;
    if (bias !== null && out !== undefined && (bias.shape.length !== 1 || !sizeEq(bias.shape[0] ?? 1, out))) {
      throw new TypeError(
        `bilinear: bias ${shapeToText(bias.shape)} does not fit the weight ${shapeToText(weight.shape)}`,
      );
    }
    const last = (shape: readonly Size[]): Size => shape[shape.length - 1] ?? 1;
    if (
      out === undefined || in1 === undefined || in2 === undefined || !sizeEq(last(input1.shape), in1) ||
      !sizeEq(last(input2.shape), in2) || input1.shape.length !== input2.shape.length
    ) {
      throw new TypeError(
        `bilinear: inputs ${shapeToText(input1.shape)} and ${shapeToText(input2.shape)} do not fit the weight ${
          shapeToText(weight.shape)
        }: needs [..., in1], [..., in2] and [out, in1, in2]`,
      );
    }
    checkSameDtype("bilinear", input1, weight);
    if (bias !== null) checkSameDtype("bilinear", weight, bias);
    return { shape: [...input1.shape.slice(0, -1), out], dtype: checkSameDtype("bilinear", input1, input2) };
  },
  decompose: ({ input1, input2, weight, bias }) => {
    const [o = 1, i = 1, j = 1] = weight.shape;
    const lead = input1.shape.slice(0, -1);
    const rows = sizeProd(lead);
    const compute = computeType(input1.dtype);
    const left = input1.to(compute).reshape([rows, i]).mm(
      weight.to(compute).permute([1, 0, 2]).reshape([i, sizeMul(o, j)]),
    );
    const out = left.reshape([rows, o, j]).mul(input2.to(compute).reshape([rows, 1, j])).sum([2]);
    return (bias === null ? out : out.add(bias)).to(input1.dtype).reshape([...lead, o]);
  },
  samples: (g) => [
    { args: { input1: g.tensor([2, 3]), input2: g.tensor([2, 4]), weight: g.tensor([5, 3, 4]), bias: g.tensor([5]) } },
  ],
});
