/**
 * Recurrent networks: LSTM, GRU and Elman cells, and whole sequences of them in several layers and both directions.
 *
 * A sequence decomposes into one product of all inputs with the input weights, and one step a time step, unrolled (the length is fixed and
 * guarded where it is symbolic), so that a compiler fuses the gates and autograd needs no rule of its own. Parameters come as ATen lists them: for
 * each layer and direction w_ih, w_hh, then b_ih, b_hh, then the projection w_hr. Mirrors `RNN.cpp` of ATen.
 */
import { shapeToText, type Size, sizeEq, sizeMul } from "../symbolic/mod.ts";
import { defineOp, type MetaInput, type TensorSpec } from "./define.ts";
import type { Functional } from "./functional.ts";
import type { Sample, SampleArg, SampleGenerator } from "./samples.ts";
import type { TensorValue } from "./value.ts";

/** The kinds of cells, by the number of gates. */
const GATES = { lstm: 4, gru: 3, rnn_tanh: 1, rnn_relu: 1 } as const;
type CellKind = keyof typeof GATES;

/** Weights of one layer in one direction. */
interface Weights<T> {
  readonly inputs: T;
  readonly hidden: T;
  readonly inputBias: T | null;
  readonly hiddenBias: T | null;
  readonly projection: T | null;
}

/** The state of a cell: the hidden state, and the memory of an LSTM. */
interface State {
  readonly h: TensorValue;
  readonly c: TensorValue | null;
}

/** One step from the gates' input part `x` (weights and bias applied). */
function step(kind: CellKind, x: TensorValue, state: State, w: Weights<TensorValue>, F: Functional): State {
  const recurrent = F.linear(state.h, w.hidden, w.hiddenBias);
  if (kind === "rnn_tanh") return { h: x.add(recurrent).tanh(), c: null };
  if (kind === "rnn_relu") return { h: x.add(recurrent).relu(), c: null };
  if (kind === "gru") {
    const [xr, xz, xn] = x.chunk(3, -1), [hr, hz, hn] = recurrent.chunk(3, -1);
    const [a, b, c, d, e, f] = sixOf(xr, xz, xn, hr, hz, hn);
    const reset = a.add(d).sigmoid(), update = b.add(e).sigmoid();
    const fresh = c.add(reset.mul(f)).tanh();
    return { h: state.h.sub(fresh).mul(update).add(fresh), c: null };
  }
  const [i, f, g, o] = x.add(recurrent).chunk(4, -1);
  const [input, forget, cell, output] = sixOf(i, f, g, o, o, o);
  const memory = forget.sigmoid().mul(state.c ?? state.h).add(input.sigmoid().mul(cell.tanh()));
  const h = output.sigmoid().mul(memory.tanh());
  return { h: w.projection === null ? h : F.linear(h, w.projection), c: memory };
}

type Six = readonly [TensorValue, TensorValue, TensorValue, TensorValue, TensorValue, TensorValue];

function sixOf(...parts: readonly (TensorValue | undefined)[]): Six {
  if (parts.length !== 6 || parts.some((p) => p === undefined)) throw new TypeError("a gate is missing");
  return parts as unknown as Six;
}

/** All time steps of one layer in one direction; `x` is [time, batch, features]. */
function runLayer(
  kind: CellKind,
  x: TensorValue,
  initial: State,
  w: Weights<TensorValue>,
  isReversed: boolean,
  F: Functional,
): { readonly outputs: TensorValue; readonly last: State } {
  const steps = Number(x.shape[0]);
  const projected = F.linear(x, w.inputs, w.inputBias);
  const outputs = new Array<TensorValue>(steps);
  let state = initial;
  for (let n = 0; n < steps; n++) {
    const t = isReversed ? steps - 1 - n : n;
    state = step(kind, projected.select(0, t), state, w, F);
    outputs[t] = state.h;
  }
  return { outputs: F.stack(outputs, 0), last: state };
}

interface SequenceArgs<T> {
  readonly input: T;
  readonly params: readonly T[];
  readonly hasBiases: boolean;
  readonly numLayers: Size;
  readonly dropout: number;
  readonly train: boolean;
  readonly bidirectional: boolean;
  readonly batchFirst: boolean;
}

/** The weights of every layer and direction. @throws {TypeError} if the number of parameters is wrong. */
function weightsOf<T>(where: string, a: SequenceArgs<T>, isProjected: boolean): Weights<T>[] {
  const each = 2 + (a.hasBiases ? 2 : 0) + (isProjected ? 1 : 0);
  const count = Number(a.numLayers) * (a.bidirectional ? 2 : 1);
  if (a.params.length !== each * count) {
    throw new TypeError(
      `${where}: ${a.numLayers} layers${a.bidirectional ? " in both directions" : ""} need ${
        each * count
      } parameters, got ${a.params.length}`,
    );
  }
  return Array.from({ length: count }, (_, i) => {
    const [inputs, hidden, ...rest] = a.params.slice(i * each, (i + 1) * each) as [T, T, ...T[]];
    return {
      inputs,
      hidden,
      inputBias: a.hasBiases ? rest[0] ?? null : null,
      hiddenBias: a.hasBiases ? rest[1] ?? null : null,
      projection: isProjected ? rest[rest.length - 1] ?? null : null,
    };
  });
}

interface Sequence {
  readonly outputs: TensorValue;
  readonly h: TensorValue;
  readonly c: TensorValue | null;
}

function runSequence(
  kind: CellKind,
  a: SequenceArgs<TensorValue>,
  h0: TensorValue,
  c0: TensorValue | null,
  F: Functional,
): Sequence {
  const weights = weightsOf(kind, a, c0 !== null && !sizeEq(h0.shape[2] ?? 1, c0.shape[2] ?? 1));
  const directions = a.bidirectional ? 2 : 1;
  let x = a.batchFirst ? a.input.transpose(0, 1) : a.input;
  const last: State[] = [];
  for (let layer = 0; layer < Number(a.numLayers); layer++) {
    const parts: TensorValue[] = [];
    for (let d = 0; d < directions; d++) {
      const at = layer * directions + d;
      const w = weights[at];
      if (w === undefined) throw new TypeError(`${kind}: layer ${layer} has no weights`);
      const state = { h: h0.select(0, at), c: c0 === null ? null : c0.select(0, at) };
      const run = runLayer(kind, x, state, w, d === 1, F);
      parts.push(run.outputs);
      last.push(run.last);
    }
    const [only] = parts;
    x = parts.length === 1 && only !== undefined ? only : F.cat(parts, -1);
    if (a.dropout > 0 && a.train && layer + 1 < Number(a.numLayers)) x = F.dropout(x, a.dropout, true);
  }
  return {
    outputs: a.batchFirst ? x.transpose(0, 1) : x,
    h: F.stack(last.map((s) => s.h), 0),
    c: c0 === null ? null : F.stack(last.map((s) => s.c ?? s.h), 0),
  };
}

function sequenceSpecs(
  kind: CellKind,
  a: SequenceArgs<MetaInput>,
  h0: MetaInput,
  c0: MetaInput | null,
): [TensorSpec, TensorSpec, TensorSpec] {
  const { input } = a;
  if (input.shape.length !== 3 || h0.shape.length !== 3 || (c0 !== null && c0.shape.length !== 3)) {
    throw new TypeError(
      `${kind}: needs an input [time, batch, features] and a state [layers, batch, hidden], got ${
        shapeToText(input.shape)
      } and ${shapeToText(h0.shape)}`,
    );
  }
  const isProjected = c0 !== null && !sizeEq(h0.shape[2] ?? 1, c0.shape[2] ?? 1);
  const weights = weightsOf(kind, a, isProjected);
  const directions = a.bidirectional ? 2 : 1;
  const batch = input.shape[a.batchFirst ? 0 : 1] ?? 1;
  const time = input.shape[a.batchFirst ? 1 : 0] ?? 1;
  const hidden = h0.shape[2] ?? 1;
  const width = c0 === null ? hidden : c0.shape[2] ?? 1;
  if (!sizeEq(h0.shape[0] ?? 1, weights.length) || !sizeEq(h0.shape[1] ?? 1, batch)) {
    throw new TypeError(
      `${kind}: the state must be [${weights.length}, ${batch}, hidden], got ${shapeToText(h0.shape)}`,
    );
  }
  weights.forEach((w, i) => {
    const features = i < directions ? input.shape[2] ?? 1 : sizeMul(hidden, directions);
    const rows = sizeMul(width, GATES[kind]);
    if (!sizeEq(w.inputs.shape[0] ?? 1, rows) || !sizeEq(w.inputs.shape[1] ?? 1, features)) {
      throw new TypeError(
        `${kind}: input weights ${i} must be [${rows}, ${features}], got ${shapeToText(w.inputs.shape)}`,
      );
    }
    if (!sizeEq(w.hidden.shape[0] ?? 1, rows) || !sizeEq(w.hidden.shape[1] ?? 1, hidden)) {
      throw new TypeError(
        `${kind}: hidden weights ${i} must be [${rows}, ${hidden}], got ${shapeToText(w.hidden.shape)}`,
      );
    }
  });
  if (!(Number(time) > 0)) throw new RangeError(`${kind}: the sequence has no time steps`);
  const features = sizeMul(hidden, directions);
  const { dtype } = input;
  const outputs: TensorSpec = a.batchFirst
    ? { shape: [batch, time, features], dtype, stride: [features, sizeMul(batch, features), 1] }
    : { shape: [time, batch, features], dtype };
  return [outputs, { shape: h0.shape, dtype }, { shape: c0?.shape ?? h0.shape, dtype }];
}

const TAIL = "bool has_biases, int num_layers, float dropout, bool train, bool bidirectional, bool batch_first";

function sequenceSamples(
  kind: CellKind,
  state: (g: SampleGenerator, shape: readonly number[]) => SampleArg,
): (g: SampleGenerator) => Sample[] {
  return (g: SampleGenerator): Sample[] => {
    if (!g.dtype.isFloat || g.dtype.bytes < 4) return [];
    const make = (layers: number, directions: number, hasBiases: boolean, batchFirst: boolean): Sample => {
      const hidden = 2, features = 3, rows = GATES[kind] * hidden;
      const params: SampleArg[] = [];
      for (let i = 0; i < layers * directions; i++) {
        params.push(g.tensor([rows, i < directions ? features : hidden * directions]), g.tensor([rows, hidden]));
        if (hasBiases) params.push(g.tensor([rows]), g.tensor([rows]));
      }
      return {
        name: `${layers} layers, ${directions} directions`,
        args: {
          input: g.tensor(batchFirst ? [2, 4, features] : [4, 2, features]),
          hx: state(g, [layers * directions, 2, hidden]),
          params,
          hasBiases,
          numLayers: layers,
          dropout: 0,
          train: false,
          bidirectional: directions === 2,
          batchFirst,
        },
        tolerance: 1e-4,
      };
    };
    return [make(1, 1, true, false), make(2, 2, true, true), make(2, 1, false, false)];
  };
}

function pairOf<T>(where: string, hx: readonly T[]): readonly [T, T] {
  const [h, c] = hx;
  if (h === undefined || c === undefined || hx.length !== 2) {
    throw new TypeError(`${where}: the state is a list of two tensors, hidden state and memory; got ${hx.length}`);
  }
  return [h, c];
}

defineOp({
  schema: `aten::lstm.input(Tensor input, Tensor[] hx, Tensor[] params, ${TAIL}) -> (Tensor, Tensor, Tensor)`,
  doc: "A long short-term memory network over whole sequences: outputs, last hidden states, last memories.",
  meta: ({ hx, ...args }) => {
    const [h, c] = pairOf("lstm", hx);
    return sequenceSpecs("lstm", args, h, c);
  },
  decompose: ({ hx, ...args }, F) => {
    const [h, c] = pairOf("lstm", hx);
    const out = runSequence("lstm", args, h, c, F);
    return [out.outputs, out.h, out.c ?? out.h];
  },
  samples: sequenceSamples("lstm", (g, shape) => [g.tensor(shape), g.tensor(shape)]),
});

for (const kind of ["gru", "rnn_tanh", "rnn_relu"] as const) {
  defineOp({
    schema: `aten::${kind}.input(Tensor input, Tensor hx, Tensor[] params, ${TAIL}) -> (Tensor, Tensor)`,
    doc: `A ${
      kind === "gru" ? "gated recurrent" : "plain recurrent"
    } network over whole sequences: outputs and last states.`,
    meta: ({ hx, ...args }) => sequenceSpecs(kind, args, hx, null).slice(0, 2),
    decompose: ({ hx, ...args }, F) => {
      const out = runSequence(kind, args, hx, null, F);
      return [out.outputs, out.h];
    },
    samples: sequenceSamples(kind, (g, shape) => g.tensor(shape)),
  });
}

interface CellArgs<T> {
  readonly input: T;
  readonly wIh: T;
  readonly wHh: T;
  readonly bIh: T | null;
  readonly bHh: T | null;
}

function cellSpec(kind: CellKind, a: CellArgs<MetaInput>, h: MetaInput): TensorSpec {
  const rows = sizeMul(h.shape[h.shape.length - 1] ?? 1, GATES[kind]);
  if (a.wIh.shape.length !== 2 || !sizeEq(a.wIh.shape[0] ?? 1, rows) || h.shape.length !== a.input.shape.length) {
    throw new TypeError(
      `${kind}_cell: input ${shapeToText(a.input.shape)}, state ${shapeToText(h.shape)} and weights ${
        shapeToText(a.wIh.shape)
      } do not fit: the weights need ${rows} rows`,
    );
  }
  return { shape: h.shape, dtype: a.input.dtype };
}

function cellStep(kind: CellKind, a: CellArgs<TensorValue>, state: State, F: Functional): State {
  const w = { inputs: a.wIh, hidden: a.wHh, inputBias: a.bIh, hiddenBias: a.bHh, projection: null };
  return step(kind, F.linear(a.input, a.wIh, a.bIh), state, w, F);
}

function cellSamples(kind: CellKind, state: (g: SampleGenerator) => SampleArg): (g: SampleGenerator) => Sample[] {
  return (g: SampleGenerator): Sample[] => {
    if (!g.dtype.isFloat || g.dtype.bytes < 4) return [];
    const rows = GATES[kind] * 3;
    const args = { input: g.tensor([2, 4]), hx: state(g), wIh: g.tensor([rows, 4]), wHh: g.tensor([rows, 3]) };
    return [{ args }, { args: { ...args, bIh: g.tensor([rows]), bHh: g.tensor([rows]) } }];
  };
}

defineOp({
  schema:
    "aten::lstm_cell(Tensor input, Tensor[] hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None) -> (Tensor, Tensor)",
  doc: "One step of a long short-term memory: the next hidden state and memory.",
  meta: ({ hx, ...args }) => {
    const [h] = pairOf("lstm_cell", hx);
    const spec = cellSpec("lstm", args, h);
    return [spec, spec];
  },
  decompose: ({ hx, ...args }, F) => {
    const [h, c] = pairOf("lstm_cell", hx);
    const next = cellStep("lstm", args, { h, c }, F);
    return [next.h, next.c ?? next.h];
  },
  samples: cellSamples("lstm", (g) => [g.tensor([2, 3]), g.tensor([2, 3])]),
});

for (const kind of ["gru", "rnn_tanh", "rnn_relu"] as const) {
  defineOp({
    schema:
      `aten::${kind}_cell(Tensor input, Tensor hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None) -> Tensor`,
    doc: `One step of a ${kind === "gru" ? "gated recurrent unit" : "plain recurrent network"}: the next state.`,
    meta: ({ hx, ...args }) => cellSpec(kind, args, hx),
    decompose: ({ hx, ...args }, F) => cellStep(kind, args, { h: hx, c: null }, F).h,
    samples: cellSamples(kind, (g) => g.tensor([2, 3])),
  });
}
