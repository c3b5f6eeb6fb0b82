/** A symbolic size is its number to whatever compares, keys, orders or prints by value: a guard or a number, never another answer. */
import assert from "node:assert/strict";
import "../../mod.ts";
import { compile } from "../../src/capture/mod.ts";
import { type Tensor, zeros } from "../../src/tensor/mod.ts";

type Size = Tensor["shape"][number];

/** Programs that decide by the size whether it is 4; named for what they use. */
const DECISIONS: Readonly<Record<string, (x: Tensor) => boolean>> = {
  "Set.add and has": (x) => {
    const s = new Set<Size>();
    s.add(x.shape[0] as Size);
    return s.has(4);
  },
  "a chain of adds": (x) => new Set<Size>().add(9).add(x.shape[0] as Size).has(4),
  "new Set of a shape": (x) => new Set<Size>(x.shape).has(4),
  "the size of a Set": (x) => new Set<Size>([4, x.shape[0] as Size]).size === 1,
  "Set.has of a size": (x) => new Set<Size>([4]).has(x.shape[0] as Size),
  "new Map": (x) => new Map<Size, boolean>([[x.shape[0] as Size, true]]).get(4) ?? false,
  "Map.set": (x) => new Map<Size, boolean>().set(x.shape[0] as Size, true).has(4),
  "Map.get": (x) => new Map<Size, boolean>([[4, true]]).get(x.shape[0] as Size) ?? false,
  "includes on a shape": (x) => x.shape.includes(4),
  "indexOf on a shape": (x) => x.shape.indexOf(4) >= 0,
  "includes of a size": (x) => [4, 7].includes(x.shape[0] as number),
  "Object.fromEntries": (x) => Object.fromEntries([[x.shape[0], true]])[4] ?? false,
  "a computed key": (x) => ({ [x.shape[0] as number]: true } as Record<number, boolean>)[4] ?? false,
  "Object.hasOwn": (x) => Object.hasOwn({ 4: 1 }, x.shape[0] as number),
  "Object.groupBy": (x) => Object.groupBy([1], () => x.shape[0] as number)[4] !== undefined,
  "Map.groupBy": (x) => Map.groupBy([1], () => x.shape[0] as number).has(4),
  "a sort by text": (x) => [30, x.shape[0] as Size].sort()[0] === 30,
  "toSorted": (x) => [30, x.shape[0] as Size].toSorted()[0] === 30,
  "a template of a shape": (x) => `${x.shape}` === "4",
  "a template of a size": (x) => `${x.shape[0]}` === "4",
  "String of a shape": (x) => String(x.shape) === "4",
  "parseInt": (x) => parseInt(x.shape[0] as unknown as string) === 4,
  "Object.is": (x) => Object.is(x.shape[0], 4),
  "===": (x) => x.shape[0] === 4,
  "switch": (x) => {
    switch (x.shape[0]) {
      case 4:
        return true;
      default:
        return false;
    }
  },
};

for (const [name, decide] of Object.entries(DECISIONS)) {
  Deno.test(`a symbolic size is its number: ${name}`, () => {
    const f = compile((x: Tensor) => decide(x) ? x.add(1) : x.sub(1), { dynamic: true });
    for (const size of [4, 5, 4, 6]) {
      assert.equal(Number(f(zeros([size])).at(0).item()), decide(zeros([size])) ? 1 : -1, `size ${size}`);
    }
  });
}

Deno.test("add() of a tensor stays symbolic", () => {
  let compilations = 0;
  const f = compile((x: Tensor) => x.add(x.shape[0] as number), {
    dynamic: true,
    backend: (module) => {
      compilations++;
      assert.ok(module.graph.placeholders.length > 0);
      return ([x]) => [x as Tensor];
    },
  });
  for (const size of [4, 5, 6]) f(zeros([size]));
  assert.equal(compilations, 1);
});
