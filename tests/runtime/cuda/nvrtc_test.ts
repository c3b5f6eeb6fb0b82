import assert from "node:assert/strict";
import { chooseTarget, openNvrtc } from "../../../src/runtime/cuda/libraries.ts";
import { type NvrtcRequest, withSourceLines } from "../../../src/runtime/cuda/nvrtc.ts";
import { nvrtcTest } from "./support.ts";

const scale = (factor: number): string =>
  `extern "C" __global__ void scale(float* x, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) x[i] *= ${factor}.0f;
}`;
const request = (source: string, arch = "sm_90a"): NvrtcRequest => ({
  source,
  target: { arch, kind: arch.startsWith("sm") ? "cubin" : "ptx" },
  name: "scale",
});
const text = (bytes: Uint8Array): string => new TextDecoder("latin1").decode(bytes);

nvrtcTest("nvrtc makes machine code for Ampere and Hopper, and PTX", async (compiler) => {
  for (const arch of ["sm_80", "sm_90a"]) {
    const result = await compiler.compile(request(scale(2), arch));
    assert.deepEqual([...result.bytes.subarray(0, 4)], [0x7f, 0x45, 0x4c, 0x46]);
    assert.ok(text(result.bytes).includes("scale"));
    assert.ok(result.compileMs > 0);
    assert.equal(result.missReason, arch === "sm_80" ? "no entry" : "different arch");
  }
  const ptx = compiler.compileSync(request(scale(2), "compute_80"));
  assert.match(text(ptx.bytes), /\.target sm_80[\s\S]*\.visible \.entry scale\(/);
});

nvrtcTest("Hopper's own instructions are accepted for sm_90a and refused for sm_80", async (compiler) => {
  const source = `extern "C" __global__ void scale() { asm volatile("setmaxnreg.inc.sync.aligned.u32 240;"); }`;
  await compiler.compile(request(source));
  await assert.rejects(compiler.compile(request(source, "sm_80")), {
    name: "CompileError",
    message: /scale for sm_80/,
  });
});

nvrtcTest("a second compilation comes from the cache; equal requests under way are one", async (compiler) => {
  const [a, b] = await Promise.all([compiler.compile(request(scale(3))), compiler.compile(request(scale(3)))]);
  assert.equal(a, b);
  const again = await compiler.compile(request(scale(3)));
  assert.deepEqual([again.missReason, again.compileMs], [null, 0]);
  assert.deepEqual(again.bytes, a.bytes);
  const other = await compiler.compile({ ...request(scale(3)), options: ["--use_fast_math"] });
  assert.equal(other.missReason, "different options");
});

nvrtcTest("many compilations at once give what each gives alone", async (compiler) => {
  const alone = [1, 2, 3, 4, 5, 6].map((n) => compiler.compileSync(request(scale(n))).bytes);
  const fresh = [1, 2, 3, 4, 5, 6].map((n) => compiler.compile({ ...request(scale(n)), options: ["--dopt=on"] }));
  (await Promise.all(fresh)).forEach((result, i) => {
    assert.equal(result.bytes.length, alone[i]?.length);
    assert.ok(result.compileMs > 0);
  });
});

nvrtcTest(
  "an error shows nvrtc's message with the line of the source, and the next compilation works",
  async (compiler) => {
    const wrong = scale(2).replace("x[i]", "y[i]");
    await assert.rejects(compiler.compile(request(wrong)), {
      name: "CompileError",
      message:
        /cannot compile scale for sm_90a: .*NVRTC_ERROR_COMPILATION\n.*"y" is undefined\n {2}scale, line 3: if \(i < n\) y\[i\]/,
    });
    assert.throws(() => compiler.compileSync({ ...request(scale(2)), options: ["--no-such-option"] }), {
      message: /NVRTC_ERROR_INVALID_OPTION[\s\S]*no-such-option/,
    });
    await compiler.compile(request(scale(2)));
  },
);

nvrtcTest("headers of the working folder are not found by accident", (compiler) => {
  if (compiler.library.version < 12_000) return;
  const name = `tessera_${crypto.randomUUID().replaceAll("-", "")}.h`;
  Deno.writeTextFileSync(name, "#define FACTOR 2");
  try {
    const source = `#include "${name}"\n${scale(2)}`;
    assert.throws(() => compiler.compileSync(request(source)), { message: /could not open source file/ });
  } finally {
    Deno.removeSync(name);
  }
});

nvrtcTest("an nvrtc newer than the driver is a problem that names both and the package to install", (compiler) => {
  const { library } = compiler;
  const major = Math.floor(library.version / 1000);
  const candidate = { path: library.path, major, builtins: null, chosen: false };
  const found = openNvrtc([candidate], 1000 * (major - 1) + 40);
  assert.ok(!found.ok && found.problem.kind === "driver-older-than-nvrtc");
  assert.match(
    found.problem.problem,
    new RegExp(`driver serves CUDA ${major - 1}\\.4, but the only nvrtc found is ${major}\\.`),
  );
  assert.match(found.problem.remedy, new RegExp(`pip install nvidia-cuda-nvrtc-cu${major - 1}`));
  assert.ok(openNvrtc([candidate], library.version).ok);
});

nvrtcTest("the library says which architectures it has machine code for", (compiler) => {
  assert.ok(compiler.library.architectures.includes(80));
  const hopper = chooseTarget(90, compiler.library, null);
  assert.ok(hopper.ok && /^sm_90a?$/.test(hopper.value.arch));
});

Deno.test("withSourceLines() shows each line once and leaves other messages alone", () => {
  const out = withSourceLines("k.cu(2): error: a\nk.cu(2): error: b\nk.cu(9): warning: c\nnote", "one\n  two", "k");
  assert.equal(out, "k.cu(2): error: a\n  k, line 2: two\nk.cu(2): error: b\nk.cu(9): warning: c\nnote");
});
