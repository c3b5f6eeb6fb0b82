/** Vectors that a C++ compiler knows: GCC 12 stored those whose upper half is zero as if all lanes held what the lower ones do. */
import assert from "node:assert/strict";
import {
  arange,
  bool,
  compile,
  type DType,
  float16,
  float32,
  float64,
  int32,
  int64,
  ones,
  Tensor,
  tensor,
} from "../../../mod.ts";
import { findToolchain } from "../../../src/runtime/cpu/toolchain.ts";

const firstFour = (dtype: DType): Tensor => arange(16).lt(4).to(dtype);

const PROGRAMS: Record<string, (x: Tensor) => Tensor> = {
  "a sum of ones": (x) => ones([2, 4], { dtype: bool }).sum(1).to(float32).reciprocal().reshape([2, 1]).mul(x),
  "a largest number": (x) => firstFour(int32).amax(0).sub(firstFour(int32).flip([0]).amin(0)).mul(x),
  "32-bit integers": (x) => firstFour(int32).add(x.sum().mul(0).to(int32)),
  "floats": (x) => firstFour(float32).add(x.sum().mul(0)),
  "half floats": () => firstFour(float16),
  "doubles": () => firstFour(float64),
  "64-bit integers": () => firstFour(int64),
  "bytes": () => firstFour(bool),
};

Deno.test("Constant vectors whose last lanes are zero are stored as they are", { ignore: !findToolchain().ok }, () => {
  const x = tensor([[1, 2, 3, 4.5]]);
  for (const [title, program] of Object.entries(PROGRAMS)) {
    const run = compile(program, { fullgraph: true, mode: "aot", options: { tier: "aot" } });
    assert.deepEqual(run(x).toArray(), program(x).toArray(), title);
  }
});
