/** Idioms: what is not there (holes of arrays, names without a global), and comes or goes between calls. */
import { type Tensor } from "../../../src/tensor/mod.ts";
import { idiom, vec } from "./harness.ts";

idiom("an array is cut off and grows again, with holes", "graph", (compile) => {
  const list: unknown[] = [1, 2, 3, 4, 5];
  const f = compile((x: Tensor) => {
    list.length = 1;
    list[4] = x.mul(2);
    list.length = 6;
    return x.add(Object.keys(list).length);
  });
  return (round) => {
    list[1] = list[2] = round;
    return [f(vec(round)), Object.keys(list), list.length];
  };
});

idiom("elements and names of an array are deleted beside a push", "graph", (compile) => {
  const list: unknown[] & { tag?: string } = [1, 2, 3];
  const f = compile((x: Tensor) => {
    list.push(4);
    delete list[0];
    delete list.tag;
    return x.mul(0 in list ? 2 : 3);
  });
  return (round) => {
    list.length = 3;
    list[0] = round;
    list.tag = "kept";
    return [f(vec(round)), Object.keys(list)];
  };
});

idiom("typeof asks for a global that comes and goes", "graph", (compile) => {
  const make = new Function(
    "compile",
    `"use strict"; return compile((x) => typeof factorOfThisTest === "undefined" ? x : x.mul(factorOfThisTest));`,
  ) as (wrap: typeof compile) => (x: Tensor) => Tensor;
  const f = make(compile);
  return (round) => {
    if (round % 2 === 1) Reflect.set(globalThis, "factorOfThisTest", round + 3);
    else Reflect.deleteProperty(globalThis, "factorOfThisTest");
    return f(vec(round));
  };
});
