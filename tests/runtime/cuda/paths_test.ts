import assert from "node:assert/strict";
import { driverCandidates, machine, nvrtcCandidates, type SearchWorld } from "../../../src/runtime/cuda/paths.ts";
import { chooseTarget, openDriver, openNvrtc, versionText } from "../../../src/runtime/cuda/libraries.ts";

/** A world in a temporary folder, with the files named. */
function withWorld(
  files: readonly string[],
  environment: Record<string, string>,
  fn: (world: SearchWorld, root: string) => void,
): void {
  const root = Deno.makeTempDirSync({ prefix: "tessera-test-" });
  try {
    for (const file of files) {
      const path = root + file;
      Deno.mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true });
      Deno.writeTextFileSync(path, "not a library");
    }
    fn({
      ...machine,
      root,
      environment: (name) => environment[name]?.replaceAll("ROOT", root) ?? null,
    }, root);
  } finally {
    Deno.removeSync(root, { recursive: true });
  }
}

const relative = (paths: readonly string[], root: string): string[] => paths.map((path) => path.replace(root, ""));

Deno.test("the folder that the user names goes first, then toolkits, then pip's folders, then the linker", () => {
  withWorld(
    [
      "/own/lib64/libnvrtc.so.12",
      "/usr/local/cuda-12.4/lib64/libnvrtc.so.12",
      "/usr/local/cuda-12.10/lib64/libnvrtc.so.12",
      "/env/bin/python3",
      "/env/lib/python3.12/site-packages/nvidia/cu13/lib/libnvrtc.so.13",
      "/env/lib/python3.12/site-packages/nvidia/cu13/lib/libnvrtc-builtins.so.13.0",
      "/env/lib/python3.12/site-packages/nvidia/cuda_nvrtc/lib/libnvrtc.so.12",
      "/env/lib/python3.12/site-packages/nvidia/cublas/lib/libcublas.so.12",
    ],
    { TESSERA_CUDA_PATH: "ROOT/own", PATH: "ROOT/env/bin:ROOT/nowhere" },
    (world, root) => {
      const found = nvrtcCandidates(world);
      assert.deepEqual(relative(found.map((c) => c.path), root), [
        "/own/lib64/libnvrtc.so.12",
        "/usr/local/cuda-12.10/lib64/libnvrtc.so.12",
        "/usr/local/cuda-12.4/lib64/libnvrtc.so.12",
        "/env/lib/python3.12/site-packages/nvidia/cu13/lib/libnvrtc.so.13",
        "/env/lib/python3.12/site-packages/nvidia/cuda_nvrtc/lib/libnvrtc.so.12",
        "libnvrtc.so.13",
        "libnvrtc.so.12",
        "libnvrtc.so.11",
      ]);
      assert.deepEqual(found.map((c) => c.chosen), [true, false, false, false, false, false, false, false]);
      const pip = found.find((c) => c.major === 13 && c.path.startsWith("/"));
      assert.match(pip?.builtins ?? "", /cu13\/lib\/libnvrtc-builtins\.so\.13\.0$/);
    },
  );
});

Deno.test("an environment named by VIRTUAL_ENV and one that python3 on PATH links into are searched", () => {
  withWorld(
    [
      "/a/lib/python3.11/site-packages/nvidia/cu13/lib/libnvrtc.so.13",
      "/b/bin/python3",
      "/b/lib/python3.10/site-packages/nvidia/cuda_nvrtc/lib/libnvrtc.so.12",
    ],
    { VIRTUAL_ENV: "ROOT/a", PATH: "ROOT/links" },
    (world, root) => {
      Deno.mkdirSync(`${root}/links`);
      Deno.symlinkSync(`${root}/b/bin/python3`, `${root}/links/python3`);
      assert.deepEqual(relative(nvrtcCandidates(world).map((c) => c.path).slice(0, 2), root), [
        "/a/lib/python3.11/site-packages/nvidia/cu13/lib/libnvrtc.so.13",
        "/b/lib/python3.10/site-packages/nvidia/cuda_nvrtc/lib/libnvrtc.so.12",
      ]);
    },
  );
});

Deno.test("one library under two names is tried once, and libraries of other majors are left out", () => {
  withWorld(
    ["/usr/local/cuda/lib64/libnvrtc.so.12.4.127", "/usr/local/cuda/lib64/libnvrtc.so.10.2"],
    {},
    (world, root) => {
      Deno.symlinkSync("libnvrtc.so.12.4.127", `${root}/usr/local/cuda/lib64/libnvrtc.so.12`);
      assert.equal(nvrtcCandidates(world).filter((c) => c.path.startsWith("/")).length, 1);
    },
  );
});

Deno.test("the driver is asked of the linker before the standard folders, and after the user's own", () => {
  withWorld(
    ["/own/libcuda.so.1", "/usr/local/nvidia/lib64/libcuda.so.1", "/stub/libcuda.so"],
    { TESSERA_CUDA_PATH: "ROOT/own/", LD_LIBRARY_PATH: "ROOT/stub" },
    (world, root) =>
      assert.deepEqual(relative(driverCandidates(world), root), [
        "/own/libcuda.so.1",
        "libcuda.so.1",
        "libcuda.so",
        "/stub/libcuda.so",
        "/usr/local/nvidia/lib64/libcuda.so.1",
      ]),
  );
});

Deno.test("a file that is no library ends in a problem that says what was tried and what to do", () => {
  withWorld(["/x/libcuda.so.1", "/x/libnvrtc.so.12"], { TESSERA_CUDA_PATH: "ROOT/x" }, (world, root) => {
    const driver = openDriver([`${root}/x/libcuda.so.1`, `${root}/none/libcuda.so.1`]);
    assert.ok(!driver.ok);
    assert.equal(driver.problem.kind, "no-driver");
    assert.match(driver.problem.remedy, /nvidia-smi.*--gpus all.*TESSERA_CUDA_PATH/s);
    assert.match(driver.problem.tried[0] ?? "", /x\/libcuda\.so\.1: .*(file too short|invalid ELF header)/);
    assert.match(driver.problem.tried[1] ?? "", /none\/libcuda\.so\.1: not there/);
    const nvrtc = openNvrtc(nvrtcCandidates(world).filter((c) => c.chosen), 12_040);
    assert.ok(!nvrtc.ok);
    assert.equal(nvrtc.problem.kind, "no-nvrtc");
    assert.match(nvrtc.problem.remedy, /pip install nvidia-cuda-nvrtc-cu12/);
  });
});

Deno.test("chooseTarget() takes machine code where nvrtc has it, the architecture's own form from Hopper on", () => {
  const nvrtc = { version: 13_000, architectures: [75, 80, 86, 89, 90, 100, 120] };
  const arch = (capability: number, driver: number | null = 13_000): string => {
    const found = chooseTarget(capability, nvrtc, driver);
    return found.ok ? found.value.arch : found.problem.kind;
  };
  assert.deepEqual([80, 89, 90, 100].map((c) => arch(c)), ["sm_80", "sm_89", "sm_90a", "sm_100a"]);
  assert.equal(arch(87), "sm_86");
  assert.equal(arch(103), "sm_100");
  assert.equal(arch(110), "compute_100");
  assert.equal(arch(130, 12_080), "unsupported-architecture");
  assert.equal(arch(70), "unsupported-architecture");
  const old = chooseTarget(90, { version: 11_080, architectures: [80, 90] }, 12_000);
  assert.deepEqual(old, { ok: true, value: { arch: "sm_90", kind: "cubin" } });
  const gone = chooseTarget(70, nvrtc, 13_000);
  assert.match(
    gone.ok ? "" : gone.problem.problem,
    /no longer compiles for compute capability 7\.0 \(its oldest is 7\.5\)/,
  );
  assert.equal(versionText(12_040), "12.4");
});
