/**
 * What watches emulated kernels finds what is planted, names it, and finds nothing in kernels that are right.
 */
import assert from "node:assert/strict";
import {
  CudaArguments,
  type CudaBuffer,
  cudaContext,
  CudaDeviceMemory,
  CudaModule,
  type LaunchShape,
  nvrtcCompiler,
} from "../../../src/runtime/cuda/mod.ts";
import { emulateCuda, watcher } from "./emulator/mod.ts";
import type { Finding } from "./emulator/watcher.ts";

const reason = emulateCuda({ watched: true });

/** Runs the body of `k(float* p, int n)` in one block and tells what was found. `p` has 64 floats. */
function findings(
  body: string,
  options: { threads?: number; shared?: number; order?: number; early?: boolean } = {},
): Finding[] {
  const context = cudaContext(0);
  const source = `#define TSR static inline
extern "C" __global__ void k(float* p, int n) {\n${body}\n}`;
  const target = { arch: "sm_90a", kind: "cubin" } as const;
  const { bytes } = nvrtcCompiler().compileSync({ source, name: "planted", target });
  const args = new CudaArguments(["pointer", "i32"]);
  const memory: CudaBuffer = context.allocator.allocate(256);
  new CudaDeviceMemory().write(memory, 0, new Uint8Array(256));
  args.setBuffer(0, memory);
  args.setInt(1, 64);
  watcher().findings();
  watcher().order(options.order ?? 0);
  const shape: LaunchShape = {
    grid: [1, 1, 1],
    block: [options.threads ?? 64, 1, 1],
    sharedBytes: options.shared ?? 0,
    ...(options.early === true ? { overlapPrevious: true } : {}),
  };
  CudaModule.load(context, bytes, "planted").function("k").launch(shape, args);
  watcher().order(0);
  return watcher().findings();
}

function test(name: string, fn: () => void): void {
  Deno.test({
    name: reason === null ? name : `${name} [skipped: ${reason}]`,
    ignore: reason !== null,
    sanitizeResources: false,
    sanitizeOps: false,
    fn,
  });
}

const kinds = (list: readonly Finding[]): string[] => [...new Set(list.map((f) => f.kind))].sort();
const OUTSIDE: readonly (readonly [string, string, string])[] = [
  ["a read behind a tensor", "p[0] += p[64 * n + threadIdx.x];", "read outside of the tensors"],
  ["a write before a tensor", "p[-1] = 1;", "write outside of the tensors"],
  ["a vector that begins at an odd place", "*(long long*)(p + 1) = 7;", "misaligned"],
];

for (const [name, body, kind] of OUTSIDE) {
  test(`${name} is found, with its line`, () => {
    const list = findings(body);
    assert.deepEqual(kinds(list), [kind]);
    assert.match(list[0]?.text ?? "", /block 0,0,0, thread 0/);
    assert.match(list[0]?.line ?? "", /:3( |$)/);
  });
}

const s = "float* s = (float*)tsr_dynamic_shared; const int t = threadIdx.x;";
const RACES: readonly (readonly [name: string, body: string, kind: readonly string[]])[] = [
  ["a missing barrier before a read", `${s} s[t] = p[t]; p[t] = s[63 - t];`, [
    "read-after-write",
    "shared memory that nobody wrote is read",
    "write-after-read",
  ]],
  [
    "a missing barrier before the next write",
    `${s} s[t] = p[t]; __syncthreads(); p[t] = s[63 - t]; s[t] = 1;`,
    ["write-after-read", "read-after-write"],
  ],
  ["two threads that write one place", `${s} s[t / 2] = p[t];`, ["write-after-write"]],
  ["shared memory that nobody wrote", `${s} p[t] = s[t];`, ["shared memory that nobody wrote is read"]],
  ["more than a warp ordered by a barrier of warps", `${s} s[t] = p[t]; __syncwarp(); p[t] = s[63 - t];`, [
    "read-after-write",
    "shared memory that nobody wrote is read",
  ]],
  [
    "a copy that is not waited for",
    `${s} tsr_copy16(s + 4 * t, p + 4 * (t & 15), true); tsr_copy_commit(); __syncthreads(); p[t] = s[t];`,
    ["read-after-write"],
  ],
  [
    "copies of others that are not waited for",
    `${s} tsr_copy16(s + 4 * t, p + 4 * (t & 15), true); tsr_copy_commit(); tsr_copy_wait<0>(); p[t] = s[4 * (63 - t)];`,
    ["read-after-write", "write-after-read", "shared memory that nobody wrote is read"],
  ],
  [
    "a barrier in shared memory that is not waited for",
    `${s} if (t == 0) tsr_barrier_init(1, 32); __syncthreads(); if (t < 32) { s[t] = 1; tsr_barrier_arrive(1); } else p[t] = s[t - 32];`,
    ["read-after-write", "write-after-read", "shared memory that nobody wrote is read"],
  ],
  ["an access behind dynamic shared memory", `${s} s[t + 256] = 1;`, ["outside of shared memory"]],
];

for (const [name, body, kind] of RACES) {
  test(`${name} is found`, () => {
    const all = kinds([0, 1, 7].flatMap((order) => findings(body, { shared: 1024, order })));
    assert.ok(all.length > 0 && all.every((k) => kind.includes(k)) && all.includes(kind[0] ?? ""), `${all}`);
  });
}

const RIGHT: readonly (readonly [name: string, body: string])[] = [
  ["barriers", `${s} s[t] = p[t]; __syncthreads(); p[t] = s[63 - t]; __syncthreads(); s[t] = 1;`],
  ["shuffles and barriers of warps", `${s} s[t] = __shfl_xor_sync(~0u, p[t], 1); __syncwarp(); p[t] = s[t ^ 31];`],
  ["atomics", `${s} if (t == 0) s[0] = 0; __syncthreads(); atomicAdd(s, 1.0f); __syncthreads(); p[t] = s[0];`],
  [
    "copies that are waited for",
    `${s} tsr_copy16(s + 4 * t, p + 4 * (t & 15), true); tsr_copy_commit(); tsr_copy_wait<0>(); __syncthreads(); p[t] = s[t];`,
  ],
  [
    "a barrier in shared memory",
    `${s} if (t == 0) tsr_barrier_init(1, 32); __syncthreads(); if (t < 32) { s[t] = 1; tsr_barrier_arrive(1); }
     else { tsr_barrier_wait(1, 0); p[t] = s[t - 32]; }`,
  ],
  [
    "named barriers",
    `${s} if (t < 32) { s[t] = 1; tsr_signal_send(2, 64); } else { tsr_signal_wait(2, 64); p[t] = s[t - 32]; }`,
  ],
];

for (const [name, body] of RIGHT) {
  test(`nothing is found in ${name}`, () => {
    for (const order of [0, 1, 5]) assert.deepEqual(findings(body, { shared: 1024, order }), []);
  });
}

const EARLY: readonly (readonly [name: string, body: string, kinds: readonly string[]])[] = [
  ["a read before the wait", "float x = p[threadIdx.x]; tsr_wait_previous(); p[threadIdx.x] = x;", [
    "a read before the wait",
  ]],
  ["a write without a wait", "p[threadIdx.x] = 1;", [
    "a thread that leaves without the wait",
    "a write before the wait",
  ]],
  ["a thread that leaves at once", "if (threadIdx.x > 40) return; tsr_wait_previous(); p[threadIdx.x] += 1;", [
    "a thread that leaves without the wait",
  ]],
  [
    "another thread that waits",
    "if (threadIdx.x == 0) tsr_wait_previous(); __syncthreads(); p[threadIdx.x] += 1;",
    ["a read before the wait", "a thread that leaves without the wait"],
  ],
  ["a wait at the beginning", "tsr_wait_previous(); if (threadIdx.x < 40) p[threadIdx.x] += 1;", []],
];

for (const [name, body, kind] of EARLY) {
  test(`of a kernel that begins before the one ahead has ended, ${name} is ${kind.length > 0 ? "found" : "right"}`, () => {
    assert.deepEqual(kinds(findings(body, { early: true })), kind);
    assert.deepEqual(findings(body), []);
  });
}
