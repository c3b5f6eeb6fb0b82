// deno-lint-ignore-file no-console
/**
 * Runs the test suite, a process for each file, as many side by side as there are processors, and ends with one line,
 * `N passed, N failed`.
 *
 * Used by `deno task test` and by continuous integration. Arguments are files and folders, and options for `deno test` (`--filter=…`).
 * A file's line tells its tests and seconds; what failed is printed whole, and named again at the end. A file that takes longer than
 * `TESSERA_TEST_SECONDS` (600) is ended with all that it started and counts as one that failed, its output tells the test it was in.
 * Tests that need a tool that is absent report themselves as ignored, with the reason in their name. Temporary files go to a folder
 * of this run, which is removed at its end, also after Ctrl-C.
 */
import { spawn } from "node:child_process";

/** Files that take long begin first, so that none of them is alone at the end. Seconds as measured on two cores. */
const LONG: Readonly<Record<string, number>> = {
  "tests/inductor/cuda/compile_hopper_test.ts": 183,
  "tests/inductor/codegen/cuda_compile_test.ts": 168,
  "tests/fuzz/fuzz_test.ts": 142,
  "tests/ops/generated_test.ts": 137,
  "tests/inductor/cuda/compile_ampere_test.ts": 136,
  "tests/ops/eager_kernels_test.ts": 136,
  "tests/conformance/sample_test.ts": 80,
  "tests/capture/warm_start_test.ts": 68,
  "tests/inductor/codegen/cuda_choices_test.ts": 63,
  "tests/inductor/cuda/graph_cache_test.ts": 59,
  "tests/inductor/codegen/cuda_flash_test.ts": 57,
  "tests/inductor/codegen/cuda_hopper_shapes_test.ts": 57,
  "tests/inductor/cuda/algorithms_test.ts": 53,
  "tests/inductor/templates/contraction_test.ts": 49,
  "tests/inductor/cuda/search_test.ts": 47,
  "tests/inductor/codegen/cuda_narrow_products_test.ts": 46,
  "tests/inductor/cuda/device_test.ts": 37,
  "tests/inductor/codegen/cuda_attention_test.ts": 35,
  "tests/inductor/cuda/flex_attention_test.ts": 33,
  "tests/inductor/codegen/loops_test.ts": 33,
};

const limit = Number(Deno.env.get("TESSERA_TEST_SECONDS") ?? 600);
const root = new URL("../", import.meta.url);
const room = Deno.makeTempDirSync({ prefix: "tessera-tests-" });
const args = Deno.args.map((a, i) => Deno.args[i - 1] === "--filter" ? `--filter=${a}` : a).filter((a) =>
  a !== "--filter"
);
const options = args.filter((a) => a.startsWith("-"));
const running = new Set<number>();
let interrupted = false;

// A cache of this run's own: what is compiled here depends on no earlier run. Deno's own cache stays where it is.
const info = new Deno.Command(Deno.execPath(), { args: ["info", "--json"], cwd: root }).outputSync();
const denoDir: string = JSON.parse(new TextDecoder().decode(info.stdout)).denoDir;

/** The test files at a path: itself, or those in the folder. */
function filesAt(path: string): string[] {
  const at = new URL(path, root);
  if (Deno.statSync(at).isFile) return [path];
  const inside = path.replace(/\/+$/, "");
  return [...Deno.readDirSync(at)].flatMap((entry) =>
    entry.isDirectory
      ? filesAt(`${inside}/${entry.name}`)
      : entry.name.endsWith("_test.ts")
      ? [`${inside}/${entry.name}`]
      : []
  );
}

function endGroup(pid: number): void {
  try {
    Deno.kill(Deno.build.os === "windows" ? pid : -pid, "SIGKILL");
  } catch { // it ended meanwhile
  }
}

interface Outcome {
  readonly file: string;
  readonly passed: number;
  readonly failed: number;
  readonly ignored: number;
  readonly seconds: number;
  readonly output: string;
}

function runFile(file: string): Promise<Outcome> {
  const start = performance.now();
  const command = ["test", "-A", "--no-check", "--preload=tests/setup.ts", "--permit-no-files", ...options, file];
  const child = spawn(Deno.execPath(), command, {
    cwd: root,
    env: {
      ...Deno.env.toObject(),
      NO_COLOR: "1",
      TMPDIR: room,
      TMP: room,
      XDG_CACHE_HOME: `${room}/cache`,
      DENO_DIR: denoDir,
    },
    stdio: ["ignore", "pipe", "pipe"],
    detached: Deno.build.os !== "windows",
  });
  const pid = child.pid;
  if (pid === undefined) throw new Error(`${Deno.execPath()} could not be started`);
  running.add(pid);
  let output = "";
  const decoder = new TextDecoder();
  child.stdout.on("data", (bytes: Uint8Array) => output += decoder.decode(bytes, { stream: true }));
  child.stderr.on("data", (bytes: Uint8Array) => output += new TextDecoder().decode(bytes));
  const tooLong = setTimeout(() => {
    output += `\nended after ${limit} s: no answer\n`;
    endGroup(pid);
  }, limit * 1000);
  return new Promise((resolve) => {
    child.on("close", (code) => {
      clearTimeout(tooLong);
      running.delete(pid);
      const sums = [...output.matchAll(/^(?:ok|FAILED) \| (\d+) passed.*?\| (\d+) failed(?:.*?\| (\d+) ignored)?/gm)]
        .at(-1);
      const failed = Number(sums?.[2] ?? 0);
      resolve({
        file,
        passed: Number(sums?.[1] ?? 0),
        failed: failed === 0 && code !== 0 ? 1 : failed,
        ignored: Number(sums?.[3] ?? 0),
        seconds: (performance.now() - start) / 1000,
        output,
      });
    });
  });
}

if (Deno.build.os !== "windows") {
  Deno.addSignalListener("SIGINT", () => {
    interrupted = true;
    for (const pid of running) endGroup(pid);
  });
}

const paths = args.filter((a) => !a.startsWith("-"));
const files = [...new Set((paths.length > 0 ? paths : ["tests"]).flatMap(filesAt))].sort();
const waiting = files.toSorted((a, b) => (LONG[b] ?? 0) - (LONG[a] ?? 0));
const outcomes: Outcome[] = [];
const start = performance.now();
await Promise.all(Array.from({ length: navigator.hardwareConcurrency }, async () => {
  for (let file = waiting.shift(); file !== undefined && !interrupted; file = waiting.shift()) {
    const outcome = await runFile(file);
    outcomes.push(outcome);
    const { passed, failed, ignored, seconds, output } = outcome;
    const counts = `${passed} passed${failed > 0 ? `, ${failed} failed` : ""}${
      ignored > 0 ? `, ${ignored} skipped` : ""
    }`;
    console.log(`${failed > 0 ? "FAIL" : "ok  "} ${file}: ${counts} (${seconds.toFixed(1)} s)`);
    if (failed > 0) console.log(output);
  }
}));
try {
  Deno.removeSync(room, { recursive: true });
} catch (error) { // a compiler that a failed test left running may still write there
  console.error(`temporary files remain in ${room}: ${error instanceof Error ? error.message : error}`);
}
const total = (of: (o: Outcome) => number) => outcomes.reduce((sum, o) => sum + of(o), 0);
const failed = total((o) => o.failed) + (interrupted ? 1 : 0) + (files.length === 0 ? 1 : 0);
for (const o of outcomes) if (o.failed > 0) console.log(`FAIL ${o.file}`);
const minutes = ((performance.now() - start) / 60000).toFixed(1);
const ignored = total((o) => o.ignored);
console.log(`\n${files.length} files, ${minutes} minutes${interrupted ? ", interrupted" : ""}`);
console.log(`${total((o) => o.passed)} passed, ${failed} failed${ignored > 0 ? `, ${ignored} skipped` : ""}`);
Deno.exit(failed > 0 ? 1 : 0);
