/**
 * Gradients of higher-order operators: other higher-order operators, over differentiated bodies.
 *
 * A `cond` goes back through the branch that was taken; a `scan` from its last round to its first, from the carries with which rounds began, each round computed once more; a
 * checkpoint computes its region again, behind a barrier that keeps it from being merged with the first time. The number of rounds of a `while_loop` is not
 * known, so what it would have to keep has no size. Mirrors the autograd keys of `torch._higher_order_ops`.
 */
import { gradOf } from "../../autograd/mod.ts";
import { CompileError } from "../../core/mod.ts";
import { isTensorMeta, parseSchema, type TensorMeta } from "../../graph/mod.ts";
import { view } from "../../loops/mod.ts";
import type { NamedArgs, Operator, TensorValue, VjpContext, VjpResult } from "../../ops/mod.ts";
import { isSymInt, type Size } from "../../symbolic/mod.ts";
import { autogradMeta, dispatch, enableGrad, F, isGradEnabled, type Tensor, withMode } from "../../tensor/mod.ts";
import { type Body, makeBody, runBody } from "./body.ts";
import { callControl, type ControlOperator, controlOperator, resultsOf, stackedMeta } from "./operator.ts";
import { SubTracer } from "./sub_tracer.ts";

/** Differentiable, so that a gradient flows to it if it is asked for. */
function carries(meta: { readonly dtype: Tensor["dtype"] }): boolean {
  return meta.dtype.isFloat || meta.dtype.isComplex;
}

function needs(t: Tensor): boolean {
  return t.requiresGrad && carries(t);
}

/** What a differentiated body is built from: metas of its inputs, and what it computes from them. */
function recordBody(
  metas: readonly TensorMeta[],
  sizes: readonly Size[],
  compute: (inputs: readonly Tensor[]) => readonly Tensor[],
): Body {
  const sub = new SubTracer(null);
  return withMode(sub, () =>
    enableGrad(() => {
      const inputs = metas.map((meta, i) => sub.input(`input_${i}`, contiguous(meta)));
      const results = sub.results(compute(inputs.map((i) => i.twin)));
      return makeBody({ sub, inputs: inputs.map((i) => i.node), results }, [], sizes.filter(isSymInt));
    }));
}

function contiguous(meta: TensorMeta): TensorMeta {
  let next: Size = 1;
  const stride: Size[] = [];
  for (let i = meta.shape.length - 1; i >= 0; i--) {
    stride.unshift(next);
    const size = meta.shape[i] as Size;
    next = typeof next === "number"
      ? typeof size === "number" ? next * Math.max(size, 1) : size.mul(next)
      : next.mul(size);
  }
  return { ...meta, stride, storageOffset: 0 };
}

/** Runs a body on inputs of which some are leaves, and goes back: gradients of those. */
function backThrough(
  body: Body,
  given: readonly Tensor[],
  sizes: readonly Size[],
  wanted: readonly boolean[],
  tangentsOf: (outs: readonly Tensor[]) => readonly (Tensor | null)[],
  leafOf: (t: Tensor) => Tensor = (t) => t,
): (Tensor | null)[] {
  const inputs = given.map((t, i) => {
    if (wanted[i] !== true) return t;
    const leaf = leafOf(t);
    autogradMeta(leaf).requiresGrad = true;
    return leaf;
  });
  const outs = runBody(body, [...inputs, ...sizes]);
  const tangents = tangentsOf(outs);
  const live = outs.flatMap((out, i) => {
    const tangent = tangents[i] ?? null;
    return out.requiresGrad && tangent !== null ? [{ out, tangent }] : [];
  });
  const leaves = inputs.filter((_, i) => wanted[i]);
  if (live.length === 0 || leaves.length === 0) return given.map(() => null);
  const grads = gradOf(live.map((l) => l.out), leaves, {
    gradOutputs: live.map((l) => l.tangent),
    allowUnused: true,
    createGraph: true,
  });
  let next = 0;
  return given.map((_, i) => wanted[i] === true ? grads[next++] ?? null : null);
}

function zeros(like: Tensor): Tensor {
  return F.zerosLike(like);
}

function tensors(value: unknown): readonly Tensor[] {
  return value as readonly Tensor[];
}

type Rule = (op: ControlOperator, args: NamedArgs<Tensor>, context: VjpContext) => VjpResult;

const values = (list: readonly (Tensor | null)[]): readonly (TensorValue | null)[] =>
  list as unknown as readonly (TensorValue | null)[];

/** Tangents of the float results, zeros where there are none, contiguous as bodies take them. */
function tangentsOf(
  context: VjpContext,
  from = 0,
): { readonly at: readonly number[]; readonly list: readonly Tensor[] } {
  const outs = context.outs as unknown as readonly Tensor[];
  const at = outs.flatMap((out, i) => i >= from && carries(out) ? [i] : []);
  return {
    at,
    list: at.map((i) => ((context.grads[i] as unknown as Tensor | null) ?? zeros(outs[i] as Tensor)).contiguous()),
  };
}

const cond: Rule = (op, args, context) => {
  const operands = tensors(args["operands"]);
  const sizes = args["sizes"] as readonly Size[];
  const wanted = operands.map(needs);
  const { at, list } = tangentsOf(context);
  const into = operands.filter((_, i) => wanted[i]);
  const bodies = op.bodies.map((body) =>
    recordBody([...operands, ...list], sizes, (inputs) => {
      const own = inputs.slice(0, operands.length);
      const tangents = inputs.slice(operands.length);
      const grads = backThrough(
        body,
        own,
        sizes,
        wanted,
        (outs) => outs.map((_, i) => tangents[at.indexOf(i)] ?? null),
      );
      return own.flatMap((t, i) => wanted[i] === true ? [grads[i] ?? zeros(t)] : []);
    })
  );
  const back = controlOperator("cond", bodies, into.map(contiguous));
  const grads = callControl(back, { pred: args["pred"] as Tensor, operands: [...operands, ...list], sizes });
  let next = 0;
  return { operands: () => values(operands.map((_, i) => wanted[i] === true ? grads[next++] ?? null : null)) };
};

const scan: Rule = (op, args, context) => {
  const init = op.control === "scan" ? tensors(args["init"]) : [];
  const xs = tensors(args["xs"]);
  const additional = tensors(args["additional"]);
  const sizes = args["sizes"] as readonly Size[];
  const [body] = op.bodies;
  if (body === undefined) throw new CompileError("scan has no body");
  if (op.savedCarries !== init.length) {
    throw new TypeError("scan: its carries were not kept; take its gradient where gradients are on");
  }
  const outs = context.outs as unknown as readonly Tensor[];
  const grads = context.grads as unknown as readonly (Tensor | null)[];
  const kept = outs.length - op.savedCarries;
  const carried = init.map((_, i) => i).filter((i) => carries(init[i] as Tensor));
  // The carries that were kept are results as well: a gradient of this gradient comes back through them.
  const isAsked = (i: number): boolean => i < kept || (grads[i] ?? null) !== null;
  const given = outs.map((_, i) => i).filter((i) => i >= init.length && isAsked(i) && carries(outs[i] as Tensor));
  const wantsX = xs.map(needs);
  const wantsMore = additional.map(needs);
  const sums = additional.filter((_, i) => wantsMore[i]);
  const gradOfOut = (i: number): Tensor => (grads[i] ?? zeros(outs[i] as Tensor)).contiguous();
  const rowOf = (t: Tensor): TensorMeta => contiguous({ ...t, shape: t.shape.slice(1) } as TensorMeta);
  const starts = [...carried.map(gradOfOut), ...sums.map(zeros)];
  const flipped = [...xs, ...outs.slice(kept), ...given.map(gradOfOut)].map((t) => t.flip([0]));
  const saves = isGradEnabled() ? starts.length : 0;
  const metas = [...starts, ...flipped.map((t) => ({ ...metaOf(t), ...rowOf(t) })), ...additional];
  const back = recordBody(metas.map(metaOf), sizes, (inputs) => {
    let from = 0;
    const take = (count: number): readonly Tensor[] => inputs.slice(from, from += count);
    const [gradCarries, totals, x, c, gradOuts, more] = [
      take(carried.length),
      take(sums.length),
      take(xs.length),
      take(init.length),
      take(given.length),
      take(additional.length),
    ];
    const wanted = [...init.map(carries), ...wantsX, ...wantsMore];
    const found = backThrough(
      body,
      [...c, ...x, ...more],
      sizes,
      wanted,
      (all) => all.map((_, i) => gradCarries[carried.indexOf(i)] ?? gradOuts[given.indexOf(i)] ?? null),
    );
    const foundMore = found.slice(init.length + xs.length);
    let total = 0;
    const added = additional.flatMap((_, i) => {
      if (wantsMore[i] !== true) return [];
      const sum = totals[total++] as Tensor;
      const g = foundMore[i] ?? null;
      return [g === null ? sum : sum.add(g)];
    });
    return [
      ...carried.map((i) => found[i] ?? zeros(c[i] as Tensor)),
      ...added,
      ...x.flatMap((t, i) => wantsX[i] === true ? [found[init.length + i] ?? zeros(t)] : []),
      ...(saves > 0 ? [...gradCarries, ...totals] : []),
    ];
  });
  const length = (xs[0] as Tensor).shape[0] as Size;
  const results = resultsOf(back);
  const operator = controlOperator(
    starts.length === 0 ? "map_impl" : "scan",
    [back],
    results.map((meta, i) => i < starts.length ? meta : stackedMeta(meta, length)),
    saves,
  );
  const all = callControl(operator, {
    ...(starts.length === 0 ? {} : { init: starts }),
    xs: flipped,
    additional: [...additional],
    sizes,
  });
  const place = (mask: readonly boolean[], from: number, read: (t: Tensor) => Tensor = (t) => t): (Tensor | null)[] => {
    let next = from;
    return mask.map((on) => on ? read(all[next++] as Tensor) : null);
  };
  return {
    init: () => values(place(init.map(carries), 0)),
    additional: () => values(place(wantsMore, carried.length)),
    xs: () => values(place(wantsX, starts.length, (t) => t.flip([0]))),
  };
};

const AFTER = parseSchema("tessera::recompute_after(Tensor(a) self, Tensor after) -> Tensor(a)");

/** A view that stands for its first argument once the second is there: what is computed from it is not what was computed before. */
const RECOMPUTE_AFTER: Operator = {
  schema: AFTER,
  target: AFTER.target,
  doc: "",
  kind: "loop",
  meta: ({ self }) => {
    const { shape, stride, storageOffset, dtype, device } = self as unknown as TensorMeta;
    return { shape, stride, storageOffset, dtype, device };
  },
  vjp: (_, { grad }) => ({ self: () => grad }),
  loop: ({ self }, out) => view(self as Parameters<typeof view>[0], out.shape, (at) => at),
  decompose: null,
  host: null,
  view: { writeBack: (_, changed) => changed },
  functional: null,
  writesArguments: null,
  isRandom: false,
  isDataDependent: false,
  checksItself: true,
  isPublic: false,
  samples: () => [],
};

const checkpoint: Rule = (op, args, context) => {
  const operands = tensors(args["operands"]);
  const sizes = args["sizes"] as readonly Size[];
  const [body] = op.bodies;
  const grads = context.grads as unknown as readonly (Tensor | null)[];
  const after = grads.find((g) => g !== null);
  if (body === undefined || after === undefined || after === null) return {};
  const again = operands.map((self) => dispatch(RECOMPUTE_AFTER, { self, after }) as Tensor);
  const twice = isGradEnabled();
  const found = enableGrad(() => {
    const wanted = operands.map(needs);
    if (!twice) return backThrough(body, again, sizes, wanted, () => grads, (t) => t.detach());
    const outs = runBody(body, [...again, ...sizes]);
    const live = outs.flatMap((out, i) => out.requiresGrad && grads[i] ? [i] : []);
    const into = again.filter((_, i) => wanted[i]);
    const list = live.length === 0 ? [] : gradOf(live.map((i) => outs[i] as Tensor), into, {
      gradOutputs: live.map((i) => grads[i] as Tensor),
      allowUnused: true,
      createGraph: true,
    });
    let next = 0;
    return wanted.map((on) => on ? list[next++] ?? null : null);
  });
  return { operands: () => values(twice ? found : found.map((g) => g?.detach() ?? null)) };
};

/** Whether a description is one of a tensor. */
function metaOf(t: TensorMeta): TensorMeta {
  const { shape, stride, storageOffset, dtype, device } = t;
  const meta = { shape, stride, storageOffset, dtype, device };
  if (!isTensorMeta(meta)) throw new CompileError("a description of a tensor is missing");
  return meta;
}

/** The gradient rule of a higher-order operator. */
export function gradientRule(op: ControlOperator, args: NamedArgs<Tensor>, context: VjpContext): VjpResult {
  switch (op.control) {
    case "cond":
      return cond(op, args, context);
    case "map_impl":
    case "scan":
      return scan(op, args, context);
    case "checkpoint":
      return checkpoint(op, args, context);
    case "while_loop":
      throw new TypeError(
        "whileLoop: its number of rounds depends on data, so its gradient cannot be compiled; say how many there may be, whileLoop(…, { maxRounds }), or use noGrad()",
      );
    default:
      return op.control satisfies never;
  }
}
