/** Accuracy of `native/cpu/vec.h` against f64 mathematics, for every instruction set that this machine can run. */
import assert from "node:assert/strict";
import { digamma, erfinv, lgamma } from "../../src/loops/primitives.ts";
import { CpuAllocator, type CpuBuffer } from "../../src/runtime/cpu/memory.ts";
import { Library } from "../../src/runtime/cpu/library.ts";
import { chooseIsa, type IsaTarget, readCpuFeatures } from "../../src/runtime/cpu/toolchain.ts";
import { build, kernelArgs, nativeTest, serviceIn, withTempDir } from "./support.ts";

type Unary = (x: number) => number;
const TWO_OVER_SQRT_PI = 2 / Math.sqrt(Math.PI);

/** erf by its Maclaurin series, erfc by Lentz's continued fraction: slow and good to 1e-14. */
function erfc(x: number): number {
  if (Number.isNaN(x)) return NaN;
  if (x < 0) return 2 - erfc(-x);
  if (x < 2) return 1 - erf(x);
  if (x > 30) return 0;
  let fraction = 0;
  for (let k = 200; k > 0; k--) fraction = k / 2 / (x + fraction);
  return Math.exp(-x * x) / Math.sqrt(Math.PI) / (x + fraction);
}
function erf(x: number): number {
  if (Math.abs(x) >= 2) return x > 0 ? 1 - erfc(x) : erfc(-x) - 1;
  let term = x, sum = x;
  for (let n = 1; n < 80; n++) {
    term *= -x * x / n;
    sum += term / (2 * n + 1);
  }
  return Object.is(x, -0) ? -0 : sum * TWO_OVER_SQRT_PI;
}
function roundHalfEven(x: number): number {
  if (!Number.isFinite(x) || Math.abs(x) >= 2 ** 52) return x;
  const low = Math.floor(x);
  const distance = x - low;
  const up = distance > 0.5 || (distance === 0.5 && low % 2 !== 0);
  const rounded = up ? low + 1 : low;
  return rounded === 0 && (x < 0 || Object.is(x, -0)) ? -0 : rounded;
}

/** The functions, what they should give, and the error allowed in units in the last place. */
const UNARY: Readonly<Record<string, { readonly exact: Unary; readonly ulp: number }>> = {
  exp: { exact: Math.exp, ulp: 2 },
  // Of what is added up, tiny terms are a little less exact.
  term_minus: { exact: (x) => Math.exp(-Math.abs(x)), ulp: 6 },
  log: { exact: Math.log, ulp: 2 },
  sigmoid: { exact: (x) => 1 / (1 + Math.exp(-x)), ulp: 2.5 },
  log1p: { exact: Math.log1p, ulp: 3 },
  expm1: { exact: Math.expm1, ulp: 3 },
  tanh: { exact: Math.tanh, ulp: 3 },
  sinh: { exact: Math.sinh, ulp: 3 },
  cosh: { exact: Math.cosh, ulp: 3 },
  erf: { exact: erf, ulp: 3 },
  erfc: { exact: erfc, ulp: 5 },
  exp2: { exact: (x) => 2 ** x, ulp: 3 },
  log2: { exact: Math.log2, ulp: 3 },
  log10: { exact: Math.log10, ulp: 3 },
  sin: { exact: Math.sin, ulp: 3 },
  cos: { exact: Math.cos, ulp: 3 },
  tan: { exact: Math.tan, ulp: 3 },
  atan: { exact: Math.atan, ulp: 3 },
  asinh: { exact: Math.asinh, ulp: 3 },
  acosh: { exact: Math.acosh, ulp: 3 },
  atanh: { exact: Math.atanh, ulp: 3 },
  asin: { exact: Math.asin, ulp: 3 },
  acos: { exact: Math.acos, ulp: 3 },
  lgamma_abs: { exact: (x) => lgamma(Math.abs(x)), ulp: 5 },
  digamma_abs: { exact: (x) => digamma(Math.abs(x)), ulp: 3 },
  erfinv: { exact: erfinv, ulp: 4 },
  // 1 with fused products.
  pow_1_5: { exact: (x) => x ** 1.5, ulp: 1.5 },
  pow_2_5: { exact: (x) => x ** 2.5, ulp: 2 },
  pow_1_7: { exact: (x) => x ** Math.fround(1.7), ulp: 1.1 },
  pow_minus_15: { exact: (x) => x ** -15, ulp: 1.1 },
  sqrt: { exact: Math.sqrt, ulp: 0.5 },
  rsqrt: { exact: (x) => 1 / Math.sqrt(x), ulp: 2 },
  floor: { exact: Math.floor, ulp: 0 },
  ceil: { exact: Math.ceil, ulp: 0 },
  trunc: { exact: Math.trunc, ulp: 0 },
  round: { exact: roundHalfEven, ulp: 0 },
};

/** C's pow: JavaScript differs where |x| is 1. */
function pow(x: number, y: number): number {
  if (x === 1 || (x === -1 && Math.abs(y) === Infinity)) return 1;
  return x ** y;
}
function floorMod(x: number, y: number): number {
  const r = x % y;
  return r !== 0 && (r < 0) !== (y < 0) ? r + y : r;
}
function floorDiv(x: number, y: number): number {
  if (y === 0) return x / y;
  const r = x % y, q = (x - r) / y - (r !== 0 && (y < 0) !== (r < 0) ? 1 : 0);
  if (q === 0) return x / y < 0 || Object.is(x / y, -0) ? -0 : 0;
  return q - Math.floor(q) > 0.5 ? Math.floor(q) + 1 : Math.floor(q);
}

function logaddexp(x: number, y: number): number {
  return x === y ? x + Math.LN2 : Math.max(x, y) + Math.log1p(Math.exp(-Math.abs(x - y)));
}
function nextafter(x: number, y: number): number {
  if (Number.isNaN(x) || Number.isNaN(y)) return NaN;
  if (x === y) return y;
  if (x === 0) return y < 0 ? -(2 ** -149) : 2 ** -149;
  const bits = new Int32Array(1), value = new Float32Array(bits.buffer);
  value[0] = x;
  bits[0] = (bits[0] ?? 0) + (x < y === x > 0 ? 1 : -1);
  return value[0] ?? NaN;
}

const BINARY: Readonly<Record<string, { readonly exact: (x: number, y: number) => number; readonly ulp: number }>> = {
  pow: { exact: pow, ulp: 1.1 },
  atan2: { exact: Math.atan2, ulp: 3 },
  logaddexp_abs: { exact: (x, y) => logaddexp(Math.abs(x), Math.abs(y)), ulp: 3 },
  hypot: { exact: Math.hypot, ulp: 1 },
  floor_mod: { exact: floorMod, ulp: 0.51 },
  floor_div: { exact: floorDiv, ulp: 0.51 },
  fmod: { exact: (x, y) => x % y, ulp: 0 },
  nextafter: { exact: nextafter, ulp: 0 },
  max: { exact: (x, y) => Number.isNaN(x) || Number.isNaN(y) ? NaN : x > y ? x : y, ulp: 0 },
  min: { exact: (x, y) => Number.isNaN(x) || Number.isNaN(y) ? NaN : x < y ? x : y, ulp: 0 },
};

const SOURCE = `#include "abi.h"
#include "vec.h"
V vf32 vlgamma_abs(vf32 x) { return vlgamma_positive(vabs(x)); }
V vf32 vdigamma_abs(vf32 x) { return vdigamma_positive(vabs(x)); }
V vf32 vterm_minus(vf32 x) { return vexp_term(vneg(vabs(x))); }
V vf32 vpow_1_5(vf32 x) { return vpow_half<1>(x); }
V vf32 vpow_2_5(vf32 x) { return vpow_half<2>(x); }
V vf32 vpow_1_7(vf32 x) { return vpow_rest(vpow_first_moderate(x), x, vset(1.7f)); }
V vf32 vpow_minus_15(vf32 x) { return vpow_rest(vpow_first_moderate(x), x, vset(-15.0f)); }
V vf32 vlogaddexp_abs(vf32 x, vf32 y) { return vlogaddexp(vabs(x), vabs(y)); }
#define UNARY(name) TESSERA_EXPORT void k_##name(void** a) { \\
  const float* x = (const float*)a[1]; float* y = (float*)a[2]; long n = tessera_long(a[3]), i = 0; \\
  for (; i + VW <= n; i += VW) vstore(y + i, v##name(vload(x + i))); \\
  if (i < n) vstore_n(y + i, v##name(vload_n(x + i, n - i)), n - i); }
#define BINARY(name) TESSERA_EXPORT void k_##name(void** a) { \\
  const float* x = (const float*)a[1]; float* y = (float*)a[2]; long n = tessera_long(a[3]), i = 0; \\
  const float* z = (const float*)a[4]; \\
  for (; i + VW <= n; i += VW) vstore(y + i, v##name(vload(x + i), vload(z + i))); \\
  if (i < n) vstore_n(y + i, v##name(vload_n(x + i, n - i), vload_n(z + i, n - i)), n - i); }
${Object.keys(UNARY).map((name) => `UNARY(${name})`).join("\n")}
${Object.keys(BINARY).map((name) => `BINARY(${name})`).join("\n")}
TESSERA_EXPORT void k_width(void** a) { ((int*)a[2])[0] = VW; }
TESSERA_EXPORT void k_from_f16(void** a) {
  for (long i = 0; i < 65536; i += VW) vstore((float*)a[2] + i, vload((const f16*)a[1] + i));
}
TESSERA_EXPORT void k_to_f16(void** a) {
  for (long i = 0; i < tessera_long(a[3]); i += VW) vstore((f16*)a[2] + i, vload((const float*)a[1] + i));
}
TESSERA_EXPORT void k_to_bf16(void** a) {
  for (long i = 0; i < tessera_long(a[3]); i += VW) vstore((bf16*)a[2] + i, vload((const float*)a[1] + i));
}
TESSERA_EXPORT void k_from_bf16(void** a) {
  for (long i = 0; i < 65536; i += VW) vstore((float*)a[2] + i, vload((const bf16*)a[1] + i));
}
TESSERA_EXPORT void k_fold(void** a) {
  vf32 x = vload((const float*)a[1]); float* y = (float*)a[2];
  y[0] = vsum(x); y[1] = vprod(x); y[2] = vhmax(x); y[3] = vhmin(x);
}
TESSERA_EXPORT void k_memory(void** a) {
  const float* x = (const float*)a[1]; float* y = (float*)a[2]; long n = tessera_long(a[3]);
  vstore_n(y, vload_n(x, n), n);
  vstore(y + 16, vload_n(x, n));
  vstore(y + 32, vload_mask(x, (viota() & 1) == 1, vset(-1.0f)));
  vstore_mask(y + 48, vload(x), (viota() & 1) == 1);
  vstore(y + 64, vgather(x, viota() * 3));
  vstore(y + 80, vload_strided(x, 2));
  vstore((unsigned char*)(y + 96), vload((const unsigned char*)x));
  vstore_n((short*)(y + 112), vload_n((const short*)x, n), n);
  vstore_i64((long*)(y + 128), vload_i32((const long*)x));
}
TESSERA_EXPORT void k_philox(void** a) {
  long seed = tessera_long(a[3]), offset = tessera_long(a[4]), index = tessera_long(a[5]);
  for (long i = 0; i < 1024; i += VW) {
    vphilox_block b = vrandom(seed, offset, index + i);
    for (int w = 0; w < 4; w++) vstore((unsigned*)a[2] + w * 1024 + i, b.w[w]);
    vstore((float*)a[1] + i, vuniform(seed, offset, index + i));
    vstore((float*)a[1] + 1024 + i, vnormal(seed, offset, index + i));
  }
}
`;

/** Targets below the machine's own run on it too. */
function runnableTargets(): IsaTarget[] {
  if (Deno.build.arch !== "x86_64") return [chooseIsa(Deno.build.arch, readCpuFeatures())];
  const features = readCpuFeatures();
  const withoutAvx512 = new Set([...features].filter((name) => !name.startsWith("avx512")));
  const targets = [features, withoutAvx512, new Set<string>()].map((set) => chooseIsa("x86_64", set));
  return targets.filter((target, i) => targets.findIndex((other) => other.name === target.name) === i);
}

/** Numbers of every sign and exponent, densely around the ranges that matter, and the special ones. */
function inputs(count: number): Float32Array<ArrayBuffer> {
  let state = 12345;
  const random = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state;
  };
  const special = [0, -0, 1, -1, Infinity, -Infinity, NaN, 1e-45, -1e-45, 1e-40, -1e-40, 1.17549435e-38, 3.4028235e38];
  special.push(-3.4028235e38, 0.5, -0.5, 1.5, 2.5, -2.5, 88.72283, 88.8, -87.3, -103.9, -104.5, 0.41421357, 0.99999994);
  special.push(1.0000001, 1e6, -1e6, 3.1415927, 1.5707964, 10.05, 10.7, 9.194548, 4, 2, 3, 16777217);
  const x = new Float32Array(count);
  const bits = new Uint32Array(x.buffer);
  for (let i = 0; i < count; i++) {
    const kind = i % 4;
    if (kind === 0) bits[i] = random() ^ (random() >>> 16);
    else if (kind === 1) x[i] = (random() / 2 ** 32 - 0.5) * 2;
    else if (kind === 2) x[i] = (random() / 2 ** 32 - 0.5) * 24;
    else x[i] = (random() / 2 ** 32 - 0.5) * 220;
  }
  x.set(special);
  return x;
}

/** Distance in units in the last place of f32; 0 for equal specials, Infinity for wrong ones. */
function ulpError(got: number, exact: number): number {
  if (Number.isNaN(exact)) return Number.isNaN(got) ? 0 : Infinity;
  const rounded = Math.fround(exact);
  if (Object.is(got, rounded)) return Number.isFinite(rounded) ? Math.abs(got - exact) / ulp(exact) : 0;
  if (!Number.isFinite(rounded) || !Number.isFinite(got)) {
    // One step beyond the largest number is infinity.
    const edge = 3.4028234663852886e38;
    return Math.abs(got) >= edge && Math.abs(rounded) >= edge && Math.sign(got) === Math.sign(rounded) ? 1 : Infinity;
  }
  if (got === 0 && rounded === 0) return Infinity;
  return Math.abs(got - exact) / ulp(exact);
}
function ulp(exact: number): number {
  return exact === 0 ? 1 : 2 ** Math.max(Math.floor(Math.log2(Math.abs(exact))) - 23, -149);
}

const COUNT = 40_003;

for (const isa of runnableTargets()) {
  nativeTest(`vec.h on ${isa.name} is accurate, keeps special values, and repeats in JavaScript`, async () => {
    await withTempDir((directory) => {
      const job = build(serviceIn(directory, isa), "vec_test", SOURCE);
      const library = new Library(job.waitSync());
      const memory = new CpuAllocator();
      const x = memory.allocate(COUNT * 4), y = memory.allocate(COUNT * 4), z = memory.allocate(COUNT * 4);
      x.float32.set(inputs(COUNT));
      const report: string[] = [];
      const measure = (name: string, allowed: number, exact: (i: number) => number): void => {
        library.kernel(`k_${name}`)(kernelArgs(0, x, y, COUNT, z));
        let worst = 0, at = 0;
        for (let i = 0; i < COUNT; i++) {
          const error = ulpError(y.float32[i] ?? NaN, exact(i));
          if (error > worst) [worst, at] = [error, i];
        }
        report.push(`${name} ${worst.toFixed(2)}`);
        assert.ok(
          worst <= allowed,
          `${name}(${x.float32[at]}, ${z.float32[at]}) on ${isa.name} is ${y.float32[at]}, exactly ${exact(at)}: ` +
            `${worst} ulp, allowed ${allowed}`,
        );
      };
      for (const [name, { exact, ulp }] of Object.entries(UNARY)) {
        measure(name, ulp, (i) => exact(x.float32[i] ?? NaN));
      }
      // Every pair of special values, then a wild mixture.
      for (let i = 0; i < COUNT; i++) z.float32[i] = x.float32[i < 1600 ? Math.floor(i / 40) : COUNT - 1 - i] ?? NaN;
      const special = x.float32.slice(0, 40);
      for (let i = 0; i < 1600; i++) x.float32[i] = special[i % 40] ?? NaN;
      for (let i = 1600; i < COUNT; i += 3) {
        x.float32[i] = Math.abs(x.float32[i] ?? 0) % 50;
        z.float32[i] = (z.float32[i] ?? 0) % 20;
      }
      for (const [name, { exact, ulp }] of Object.entries(BINARY)) {
        measure(name, ulp, (i) => exact(x.float32[i] ?? NaN, z.float32[i] ?? NaN));
      }
      if (Deno.env.has("TESSERA_LOGS")) {
        Deno.stderr.writeSync(new TextEncoder().encode(`${isa.name}: ${report.join(", ")}\n`));
      }
      checkHalf(library, memory);
      checkMemory(library, memory);
      checkPhilox(library, memory);
      library.close();
    });
  });
}

function checkHalf(library: Library, memory: CpuAllocator): void {
  const half = memory.allocate(65536 * 2), wide = memory.allocate(65536 * 4), back = memory.allocate(65536 * 2);
  for (let i = 0; i < 65536; i++) half.bfloat16[i] = i;
  library.kernel("k_from_f16")(kernelArgs(0, half, wide));
  for (let i = 0; i < 65536; i++) {
    if (!Object.is(wide.float32[i], half.float16[i])) {
      assert.fail(`f16 ${i}: ${wide.float32[i]} for ${half.float16[i]}`);
    }
  }
  wide.float32.set(inputs(65536));
  for (let i = 0; i < 30000; i++) wide.float32[i] = (i - 15000) * 4.7 + (i % 7) * 1e-8;
  // Ties between two f16 numbers, normal and subnormal.
  for (let i = 30000; i < 32000; i++) wide.float32[i] = (i - 30000 + 0.5) * 2 ** (i % 2 === 0 ? -24 : -14);
  library.kernel("k_to_f16")(kernelArgs(0, wide, back, 65536));
  const expected = Float16Array.from(wide.float32);
  for (let i = 0; i < 65536; i++) {
    if (!Object.is(back.float16[i], expected[i])) {
      assert.fail(`${wide.float32[i]} as f16 is ${back.float16[i]}, expected ${expected[i]}`);
    }
  }
  library.kernel("k_to_bf16")(kernelArgs(0, wide, back, 65536));
  for (let i = 0; i < 65536; i++) {
    const bits = wide.uint32[i] ?? 0;
    const value = wide.float32[i] ?? NaN;
    const rounded = Number.isNaN(value) ? (bits >>> 16) | 0x40 : (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
    if (back.bfloat16[i] !== rounded) assert.fail(`${value} as bf16 is ${back.bfloat16[i]}, expected ${rounded}`);
  }
  library.kernel("k_from_bf16")(kernelArgs(0, half, wide));
  for (let i = 0; i < 65536; i++) if (wide.uint32[i] !== i << 16 >>> 0) assert.fail(`bf16 ${i} is ${wide.uint32[i]}`);
}

function checkMemory(library: Library, memory: CpuAllocator): void {
  const x = memory.allocateZeroed(1024), y = memory.allocateZeroed(1024);
  library.kernel("k_width")(kernelArgs(0, 0, y));
  const width = y.int32[0] ?? 0;
  for (let i = 0; i < 64; i++) x.float32[i] = i + 1;
  for (let n = 0; n < width; n++) {
    y.float32.fill(-7);
    library.kernel("k_memory")(kernelArgs(0, x, y, n));
    for (let i = 0; i < width; i++) {
      assert.equal(y.float32[i], i < n ? i + 1 : -7, `vstore_n ${n}`);
      assert.equal(y.float32[16 + i], i < n ? i + 1 : 0, `vload_n ${n}`);
      assert.equal(y.float32[32 + i], i % 2 === 1 ? i + 1 : -1, "vload_mask");
      assert.equal(y.float32[48 + i], i % 2 === 1 ? i + 1 : -7, "vstore_mask");
      assert.equal(y.float32[64 + i], 3 * i + 1, "vgather");
      assert.equal(y.float32[80 + i], 2 * i + 1, "vload_strided");
      assert.equal(y.uint8[96 * 4 + i], x.uint8[i], "vstore of bytes");
      assert.equal(y.int64[64 + i], BigInt(x.int32[2 * i] ?? 0), "vload_i32, vstore_i64");
      if (i < n) assert.equal(y.int16[112 * 2 + i], x.int16[i], "vload_n of short");
    }
  }
  const values = Array.from({ length: width }, (_, i) => ((i * 7) % 5) - 1.5);
  x.float32.set(values);
  library.kernel("k_fold")(kernelArgs(0, x, y));
  const fold = (combine: (a: number, b: number) => number): number => {
    const t = Float32Array.from(values);
    for (let half = width / 2; half >= 1; half /= 2) {
      for (let i = 0; i < half; i++) t[i] = combine(t[i] ?? 0, t[i + half] ?? 0);
    }
    return t[0] ?? NaN;
  };
  assert.equal(y.float32[0], fold((a, b) => a + b));
  assert.equal(y.float32[1], fold((a, b) => a * b));
  assert.equal(y.float32[2], Math.max(...values));
  assert.equal(y.float32[3], Math.min(...values));
  x.float32[width - 1] = NaN;
  library.kernel("k_fold")(kernelArgs(0, x, y));
  assert.deepEqual([...y.float32.subarray(0, 4)], [NaN, NaN, NaN, NaN]);
}

/** Philox4x32-10 with BigInt, straight from the paper. */
function philox(counter: readonly number[], key: readonly number[]): number[] {
  let [c0 = 0, c1 = 0, c2 = 0, c3 = 0] = counter;
  let [k0 = 0, k1 = 0] = key;
  for (let round = 0; round < 10; round++) {
    const p0 = BigInt(c0) * 0xd2511f53n, p1 = BigInt(c2) * 0xcd9e8d57n;
    [c0, c1, c2, c3] = [
      (Number(p1 >> 32n) ^ c1 ^ k0) >>> 0,
      Number(p1 & 0xffffffffn),
      (Number(p0 >> 32n) ^ c3 ^ k1) >>> 0,
      Number(p0 & 0xffffffffn),
    ];
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  return [c0, c1, c2, c3];
}

function checkPhilox(library: Library, memory: CpuAllocator): void {
  // Known answers of the reference implementation (Random123, kat_vectors).
  assert.deepEqual(philox([0, 0, 0, 0], [0, 0]), [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
  const floats: CpuBuffer = memory.allocate(8192), words = memory.allocate(16384);
  // The index crosses 2^32 within the run.
  const seed = 0x1234_5678_9abcn, offset = 0x7_0000_0003n, index = 0xffff_ff03n;
  library.kernel("k_philox")(kernelArgs(0, floats, words, seed, offset, index));
  for (let i = 0; i < 1024; i++) {
    const at = index + BigInt(i);
    const split = (v: bigint): number[] => [Number(v & 0xffffffffn), Number(v >> 32n)];
    const block = philox([...split(at), ...split(offset)], split(seed));
    for (let w = 0; w < 4; w++) assert.equal(words.uint32[w * 1024 + i], block[w], `word ${w} of element ${i}`);
    const [w0 = 0, w1 = 0] = block;
    assert.equal(floats.float32[i], (w0 >>> 8) * 2 ** -24);
    const normal = Math.sqrt(-2 * Math.log(((w0 >>> 8) + 1) * 2 ** -24)) *
      Math.cos((w1 >>> 8) * 2 ** -24 * 2 * Math.PI);
    assert.ok(
      ulpError(floats.float32[1024 + i] ?? NaN, normal) <= 1,
      `normal ${i}: ${floats.float32[1024 + i]}, ${normal}`,
    );
  }
}
