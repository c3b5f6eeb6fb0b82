/** Calls of cuBLASLt: found, checked, packed. On a library without a device that computes in the host's memory. */
import assert from "node:assert/strict";
import {
  checkMatmulSpec,
  CublasLtMatmul,
  type CudaBuffer,
  type CudaContext,
  CudaDeviceMemory,
  CudaExecutable,
  libraryCandidates,
  machine,
  type MatmulEpilogue,
  type MatmulSpec,
  openCublasLt,
  type SearchWorld,
  useCublasLt,
} from "../../../src/runtime/cuda/mod.ts";
import { buildFake, fakeContext, fakeTest } from "./support.ts";

interface FakeLt {
  readonly path: string;
  set(version: number, algorithms: number): void;
  alive(): number;
  ran(): number;
}

let built: FakeLt | null = null;

/** The fake library; made once. */
function fakeLt(): FakeLt {
  if (built !== null) return built;
  const path = buildFake("libcublasLt.so.13", "fake_libcublaslt.cpp");
  if (path === null) throw new Error("no C++ compiler");
  const { symbols } = Deno.dlopen(path, {
    fake_lt_set: { parameters: ["i32", "i32"], result: "void" },
    fake_lt_alive: { parameters: [], result: "i32" },
    fake_lt_ran: { parameters: [], result: "i32" },
  });
  return built = {
    path,
    set: (version, algorithms) => symbols.fake_lt_set(version, algorithms),
    alive: () => symbols.fake_lt_alive(),
    ran: () => symbols.fake_lt_ran(),
  };
}

function useFake(): FakeLt {
  const lt = fakeLt();
  lt.set(130000, 3);
  useCublasLt(openCublasLt([{ path: lt.path, major: 13 }], 13000));
  return lt;
}

const spec: MatmulSpec = {
  m: 3,
  n: 5,
  k: 4,
  batch: 2,
  type: "float32",
  result: "float32",
  tf32: false,
  a: { along: "k", stride: 6, batchStride: 20 },
  b: { along: "k", stride: 4, batchStride: 0 },
  d: { stride: 7, batchStride: 30 },
  epilogue: "none",
  algorithm: 1,
};

class Bench {
  readonly context: CudaContext = fakeContext();
  readonly memory: CudaDeviceMemory = new CudaDeviceMemory(() => this.context);

  buffer(count: number, value: (i: number) => number): CudaBuffer {
    const buffer = this.context.allocator.allocate(4 * count);
    this.memory.write(buffer, 0, new Uint8Array(Float32Array.from({ length: count }, (_, i) => value(i)).buffer));
    return buffer;
  }

  read(buffer: CudaBuffer): Float32Array {
    return new Float32Array(this.memory.readSync(buffer, 0, buffer.byteLength).buffer);
  }

  /** Runs a plan of one product, and returns what is wrong with its results. */
  check(given: MatmulSpec): number {
    const { m, n, k, batch, a, b, d } = given;
    const matmul = new CublasLtMatmul(this.context, given);
    const [x, y] = [this.buffer(64, (i) => (i * 37 % 19) / 8 - 1), this.buffer(64, (i) => (i * 23 % 17) / 8 - 1)];
    const [z, bias] = [this.buffer(64, () => NaN), this.buffer(8, (i) => i / 4 - 1)];
    const external = { kind: "external" } as const;
    const slot = (i: number) => ({ kind: "slot", slot: i, align: 16 }) as const;
    const executable = new CudaExecutable({
      context: this.context,
      memory: this.memory,
      graphs: true,
      plan: {
        name: "test",
        sources: [external, external, external, external],
        arenaBytes: () => 0,
        slotBytes: [256, 256, 256, 32].map((bytes) => () => bytes),
        steps: [{
          kind: "launches",
          launches: [{
            fn: matmul,
            args: [
              slot(0),
              slot(1),
              slot(2),
              { kind: "scratch", bytes: () => matmul.workspaceBytes, zeroed: false, id: 0 },
              ...(matmul.hasBias ? [slot(3)] : []),
            ],
            grid: [() => 1, () => 1, () => 1],
            block: [1, 1, 1],
            sharedBytes: 0,
          }],
        }],
      },
    });
    executable.run([x, y, z, bias], []);
    this.context.synchronize();
    const [A, B, D, V] = [x, y, z, bias].map((buffer) => this.read(buffer)) as Float32Array[];
    let worst = 0;
    const at = ({ along, stride, batchStride }: MatmulSpec["a"], l: number, row: number, step: number): number =>
      l * batchStride + (along === "k" ? row * stride + step : step * stride + row);
    for (let l = 0; l < batch; l++) {
      for (let i = 0; i < m; i++) {
        for (let j = 0; j < n; j++) {
          let sum = 0;
          for (let s = 0; s < k; s++) sum += (A?.[at(a, l, i, s)] ?? NaN) * (B?.[at(b, l, j, s)] ?? NaN);
          if (given.epilogue.endsWith("bias")) sum += V?.[j] ?? NaN;
          if (given.epilogue.startsWith("relu")) sum = Math.max(0, sum);
          if (given.epilogue.startsWith("gelu")) {
            sum = 0.5 * sum * (1 + Math.tanh(0.7978845608 * (sum + 0.044715 * sum ** 3)));
          }
          worst = Math.max(worst, Math.abs(sum - (D?.[l * d.batchStride + i * d.stride + j] ?? NaN)));
        }
      }
    }
    matmul[Symbol.dispose]();
    return worst;
  }
}

fakeTest("a product by cuBLASLt reads either way of lying, batches, and every epilogue", () => {
  const lt = useFake();
  const bench = new Bench();
  for (const along of ["k", "rows"] as const) {
    for (const other of ["k", "rows"] as const) {
      const a = { along, stride: 6, batchStride: 20 };
      const b = { along: other, stride: 6, batchStride: 24 };
      assert.ok(bench.check({ ...spec, a, b }) < 1e-5, `${along}, ${other}`);
    }
  }
  const epilogues: MatmulEpilogue[] = ["none", "bias", "relu", "relu_bias", "gelu", "gelu_bias"];
  for (const epilogue of epilogues) assert.ok(bench.check({ ...spec, epilogue }) < 1e-5, epilogue);
  assert.equal(lt.ran(), 1, "the algorithm that was asked for");
  assert.equal(lt.alive(), 0, "descriptors are given back");
});

fakeTest("cuBLASLt without an algorithm for a product says so", () => {
  const lt = useFake();
  const context = fakeContext();
  assert.throws(() => new CublasLtMatmul(context, { ...spec, algorithm: 5 }), /has 3 algorithms for 2 × 3 × 5 × 4/);
  lt.set(130000, 0);
  assert.throws(
    () => new CublasLtMatmul(context, spec),
    /AlgoGetHeuristic answers CUBLAS_STATUS_NOT_SUPPORTED for 2 × 3/,
  );
});

fakeTest("a cuBLASLt of another major version, or newer than the driver, is not used", () => {
  const lt = fakeLt();
  const candidates = [{ path: "/nowhere/libcublasLt.so.13", major: 13 }, { path: lt.path, major: 13 }];
  lt.set(120500, 3);
  const found = openCublasLt(candidates, 13000);
  assert.ok(found.ok && found.value.version === 120500 && found.value.path === lt.path);
  lt.set(140000, 3);
  const later = openCublasLt(candidates, 14000);
  assert.ok(!later.ok);
  assert.match(later.problem.tried.join("\n"), /13: not there\n.*version 140000 is none of 13, 12/);
  const newer = openCublasLt(candidates, 12080);
  assert.ok(!newer.ok);
  assert.match(newer.problem.tried.join("\n"), /newer than the driver/);
  lt.set(130000, 3);
});

Deno.test("cuBLASLt is looked for in toolkits, pip's folders of both layouts, and torch's own", () => {
  const files: Record<string, string[]> = {
    "/own/lib64": ["libcublasLt.so.13"],
    "/env/bin": ["python3"],
    "/env/lib": ["python3.12"],
    "/env/lib/python3.12/site-packages/nvidia": ["cu13", "cublas", "cuda_nvrtc"],
    "/env/lib/python3.12/site-packages/nvidia/cu13/lib": ["libcublasLt.so.13"],
    "/env/lib/python3.12/site-packages/nvidia/cublas/lib": ["libcublasLt.so.12"],
    "/env/lib/python3.12/site-packages/torch/lib": ["libcublasLt.so.12"],
  };
  const environment: Record<string, string> = { TESSERA_CUDA_PATH: "/own", PATH: "/env/bin" };
  const world: SearchWorld = {
    ...machine,
    root: "/empty",
    list: (folder) => files[folder] ?? [],
    real: () => null,
    environment: (name) => environment[name] ?? null,
  };
  const site = "/env/lib/python3.12/site-packages";
  assert.deepEqual(libraryCandidates("cublasLt", "cublas", [13, 12], world).map((c) => c.path), [
    "/own/lib64/libcublasLt.so.13",
    `${site}/nvidia/cu13/lib/libcublasLt.so.13`,
    `${site}/nvidia/cublas/lib/libcublasLt.so.12`,
    `${site}/torch/lib/libcublasLt.so.12`,
    "libcublasLt.so.13",
    "libcublasLt.so.12",
  ]);
});

Deno.test("what a file says of a call of cuBLASLt is checked", () => {
  assert.equal(checkMatmulSpec(spec), spec);
  const bad: Partial<Record<keyof MatmulSpec, unknown>>[] = [
    { m: -1 },
    { k: 0 },
    { n: 1.5 },
    { type: "float8" },
    { epilogue: "constructor" },
    { algorithm: 99 },
    { a: { along: "columns", stride: 1, batchStride: 0 } },
    { d: null },
    { b: null },
  ];
  for (const change of bad) {
    assert.throws(() => checkMatmulSpec({ ...spec, ...change } as MatmulSpec), TypeError, JSON.stringify(change));
  }
});
