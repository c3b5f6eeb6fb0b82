/** Text that is evaluated in place assigns names of which the file shows no assignment. */
import "../../src/aot_autograd/mod.ts";
import { compile } from "../../src/capture/mod.ts";
import { ones, type Tensor } from "../../src/tensor/mod.ts";
import { same } from "./support.ts";

Deno.test("a name that evaluated text assigns is not constant", () => {
  // deno-lint-ignore prefer-const
  let factor = 2;
  const fn = (x: Tensor): Tensor => x.mul(factor);
  const f = compile(fn, { backend: "eager" });
  for (const value of [2, 2, 5, 7]) {
    // deno-lint-ignore no-eval
    eval(`factor = ${value}`);
    same(f(ones([2])), ones([2]).mul(value));
  }
});
