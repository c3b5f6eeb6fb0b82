/** Idioms: tensors as JavaScript objects: compared, spread, stringified, used as keys and numbers, given properties; unusual layouts and arguments. */
import { bool, float32, float64, int64 } from "../../../src/core/mod.ts";
import { F, type Tensor, tensor, zeros } from "../../../src/tensor/mod.ts";
import { idiom, mat, vec } from "./harness.ts";

idiom("loose equality of tensors that come by two ways", "graph", (compile) => {
  const w = vec(7);
  const f = compile((x: Tensor, y: Tensor) => {
    // deno-lint-ignore eqeqeq
    const same = [x == y, x != y, x == w, [x].indexOf(w)];
    return [x.add(y), same];
  });
  return (round) => {
    const x = vec(round);
    return [f(x, x), f(x, vec(1)), f(w, x), f(w, w)];
  };
});

idiom("a property that the program puts on a tensor", "graph", (compile) => {
  const f = compile((x: Tensor & { tag?: number }) => x.mul(x.tag ?? 1).add(1));
  return (round) => {
    const x = vec(round) as Tensor & { tag?: number };
    if (round !== 1) x.tag = round;
    return f(x);
  };
});

idiom("a property that the function puts on a tensor", "segments", (compile) => {
  const f = compile((x: Tensor) => {
    const y = x.mul(2).add(1) as Tensor & { note?: string };
    y.note = "made inside";
    (x as typeof y).note = "seen";
    return y;
  });
  return (round) => {
    const x = vec(round) as Tensor & { note?: string };
    const y = f(x) as Tensor & { note?: string };
    return [y, y.note, x.note];
  };
});

idiom("a tensor turned into text: JSON, templates, String and concat", "segments", (compile) => {
  const f = compile((x: Tensor) => {
    const y = x.mul(2).add(1);
    return [`${y}`, String(y.sum()), "y=" + y.sum().item(), JSON.stringify(y.toArray())];
  });
  return (round) => f(vec(round));
});

idiom("numbers made of one-element tensors: unary plus, Math.max, <, isNaN, index", "segments", (compile) => {
  const table = [5, 6, 7, 8, 9];
  const f = compile((x: Tensor) => {
    const a = x.abs().max() as unknown as number;
    const i = x.argmax() as unknown as number;
    return [+a, Math.max(a, 2), a > 1.5, isNaN(a), table[i], a * 2 + 1];
  });
  return (round) => f(vec(round));
});

idiom("whether tensors are there: ??, typeof, in, optional chaining, instanceof Object", "graph", (compile) => {
  const f = compile((x: Tensor, bias?: Tensor | null) => {
    const y = bias?.mul(2) ?? x;
    const kinds = [typeof bias, bias === null, bias === undefined, x instanceof Object, "shape" in x];
    return [x.add(y), kinds];
  });
  return (round) => round === 0 ? f(vec(round)) : f(vec(round), round === 1 ? null : vec(2));
});

idiom("tensors in Sets and as Map keys, found again through another path", "graph", (compile) => {
  const w = vec(3);
  const names = new Map<Tensor, string>([[w, "w"]]);
  const f = compile((x: Tensor, list: Tensor[]) => {
    const unique = new Set([x, ...list]);
    const local = new Map(list.map((t, i) => [t, i]));
    return [
      [...unique].reduce((a, b) => a.add(b)),
      unique.size,
      names.get(x),
      local.get(x),
      names.has(list[0] as Tensor),
    ];
  });
  return (round) => {
    const x = round % 2 === 0 ? w : vec(round);
    return [f(x, [vec(1), x, x]), f(x, [w, vec(1)])];
  };
});

idiom("a WeakMap keyed by tensors, filled outside, asked inside", "graph", (compile) => {
  const scales = new WeakMap<Tensor, number>();
  const a = vec(1);
  const b = vec(2);
  scales.set(a, 3);
  const f = compile((x: Tensor) => x.mul(scales.get(x) ?? 1).add(scales.has(x) ? 10 : 20));
  return (round) => {
    if (round === 2) scales.set(b, 5);
    return [f(a), f(b), f(vec(round))];
  };
});

idiom("-0, NaN and infinities as arguments", "graph", (compile) => {
  const f = compile((x: Tensor, k: number) => [x.abs().add(1).div(k), Object.is(k, -0), k === 0, Number.isNaN(k)]);
  return () => [f(vec(1), 0), f(vec(1), -0), f(vec(1), NaN), f(vec(1), -Infinity), f(vec(1), 0)];
});

idiom("-0 in a closure, a property and an array", "graph", (compile) => {
  let z = 0;
  const o = { z: 0, list: [0] };
  const f = compile((x: Tensor) =>
    x.add(1).abs().mul(1 / z).add(Object.is(o.z, -0) ? 1 : 2).mul(Object.is(o.list[0], -0) ? 3 : 4)
  );
  return (round) => {
    z = round % 2 === 0 ? 0 : -0;
    o.z = round === 2 ? -0 : 0;
    o.list[0] = round === 3 ? -0 : 0;
    return f(vec(1));
  };
});

idiom("transposed, strided and expanded inputs of one shape", "graph", (compile) => {
  const f = compile((x: Tensor) => [x.mul(2).sum(0), x.isContiguous, x.contiguous().view([-1])]);
  return (round) => [
    f(mat(round, 3, 3)),
    f(mat(round, 3, 3).t()),
    f(mat(round, 6, 3).narrow(0, 1, 3)),
    f(vec(round).expand([3, 3])),
  ];
});

idiom("empty tensors, one element, zero dimensions", "graph", (compile) => {
  const f = compile((x: Tensor) => [x.sum(), x.mul(2), F.cat([x.view([-1]), zeros([1])], 0), x.numel]);
  return (round) => [f(vec(round, 3)), f(vec(round, 0)), f(vec(round, 1)), f(tensor(round, { dtype: float32 }))];
});

idiom("the dtype changes from call to call", "graph", (compile) => {
  const f = compile((x: Tensor) => x.add(1).mul(x));
  return (round) => [float32, float64, int64].map((d) => f(vec(round).to(d)));
});

idiom("booleans and bigints as scalars of operators", "graph", (compile) => {
  const f = compile((
    x: Tensor,
    flag: boolean,
  ) => [x.add(Number(flag)), x.gt(0).logicalAnd(tensor(flag)), x.eq(1).to(bool)]);
  return (round) => f(vec(round), round % 2 === 0);
});

idiom("an index made of tensors: select by a number that comes from options", "graph", (compile) => {
  const f = compile((m: Tensor, rows: number[]) => {
    const picked = rows.map((r) => m.select(0, r));
    return [F.stack(picked), m.indexSelect(0, tensor(rows, { dtype: int64 }))];
  });
  return (round) => f(mat(round, 4, 3), [round % 4, 1]);
});

idiom("Object.keys and spread of a record of tensors, sorted by name", "graph", (compile) => {
  const f = compile((record: Record<string, Tensor>) => {
    const names = Object.keys(record).sort();
    const copy: Record<string, Tensor> = { ...record, extra: zeros([3]) };
    return [names, F.stack(names.map((n) => copy[n] as Tensor)), "b" in copy];
  });
  return (round) => f(round % 2 === 0 ? { b: vec(round), a: vec(1) } : { c: vec(round), a: vec(2), b: vec(3) });
});

idiom("tuples of different lengths, with holes and with nulls, as arguments", "graph", (compile) => {
  const f = compile((list: readonly (Tensor | null | undefined)[]) => {
    let y = zeros([3]);
    let missing = 0;
    list.forEach((t) => t === null ? missing++ : t !== undefined ? (y = y.add(t)) : missing += 10);
    return [y, missing, list.length, 1 in list];
  });
  return (round) => {
    // deno-lint-ignore no-sparse-arrays
    const lists = [[vec(1)], [vec(1), null], [vec(2), , vec(3)], []] as (Tensor | null | undefined)[][];
    return f(lists[round] as Tensor[]);
  };
});

idiom("the same view taken twice, one written, both returned", "graph", (compile) => {
  const f = compile((x: Tensor, k: number) => {
    const y = x.mul(1);
    const a = y.narrow(0, 0, 2);
    const b = y.narrow(0, 1, 2);
    a.mul_(k);
    b.add_(a);
    return [y, a, b, a.clone()];
  });
  return (round) => {
    const [y, a, b] = f(vec(round), round) as [Tensor, Tensor, Tensor];
    y.add_(100);
    return [y, a, b];
  };
});

idiom("an argument that is written and returned as itself, as a view and as a copy", "graph", (compile) => {
  const f = compile((x: Tensor) => {
    x.mul_(2);
    return { same: x, view: x.view([3, 1]), copy: x.clone() };
  });
  return (round) => {
    const x = vec(round);
    const r = f(x);
    x.add_(1);
    return [r.same === x, r.view, r.copy, x];
  };
});

idiom("two arguments swapped by copies through a temporary", "graph", (compile) => {
  const f = compile((a: Tensor, b: Tensor) => {
    const kept = a.clone();
    a.copy_(b);
    b.copy_(kept);
    return a.sub(b);
  });
  return (round) => {
    const [a, b] = [vec(round), vec(round + 5)];
    return [f(a, b), a, b];
  };
});

idiom("overlapping writes: a shifted copy within one tensor", "graph", (compile) => {
  const f = compile((x: Tensor) => {
    x.narrow(0, 1, 3).copy_(x.narrow(0, 0, 3).clone());
    x.select(0, 0).fill_(9);
    return x.sum();
  });
  return (round) => {
    const x = vec(round, 4);
    return [f(x), x];
  };
});

idiom("masks: where, maskedFill, written through a mask, counted", "graph", (compile) => {
  const f = compile((x: Tensor, limit: number) => {
    const mask = x.gt(limit);
    const y = x.maskedFill(mask, -1);
    x.mul_(mask.to(float32));
    return [y, x, mask.sum(), F.where(mask, x, y)];
  });
  return (round) => f(vec(round, 4), round * 0.5);
});
