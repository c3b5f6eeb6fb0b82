/**
 * The most memory that `tessera run` holds, cold and warm, against weights and PyTorch's activations: `deno run -A bench/models/memory.ts DIRECTORY…`.
 *
 * Each directory holds a model, its inputs and what `bench/peers/activations.py` measured. Prints a row of docs/performance/processes.md for each: the peaks, and as ratios the cold one, the warm one,
 * and the warm one without what a bare Deno holds.
 */
import { print } from "../support.ts";

/** What a Deno holds that has waited for a timer, and then ends. */
async function bareDeno(): Promise<number> {
  const script = await Deno.makeTempFile({ suffix: ".js" });
  const pattern = "/^VmHWM:\\s*(\\d+)/m";
  await Deno.writeTextFile(
    script,
    `await new Promise((r) => setTimeout(r, 5)); console.log(${pattern}.exec(Deno.readTextFileSync("/proc/self/status"))[1])`,
  );
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["run", "-A", script] }).output();
  await Deno.remove(script);
  return 1024 * Number(new TextDecoder().decode(stdout));
}

interface Report {
  readonly peak_rss_bytes: number;
  readonly compiler_peak_rss_bytes: number | null;
}

async function run(directory: string, cache: string): Promise<Report> {
  const main = new URL("../../src/cli/main.ts", import.meta.url).pathname;
  const args = ["run", "-A", main, "run", `${directory}/model.pt2`, "--inputs", `${directory}/in.safetensors`];
  const { stdout, stderr, success } = await new Deno.Command(Deno.execPath(), {
    args: [...args, "--bench", "2", "--json"],
    env: { TESSERA_CACHE_DIR: cache },
  }).output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(decoder.decode(stderr));
  return JSON.parse(decoder.decode(stdout).trim().split("\n").at(-1) ?? "") as Report;
}

const floor = await bareDeno();
const mb = (bytes: number | null): string => bytes === null ? "" : (bytes / 1e6).toFixed(0);
print(`bare Deno: ${mb(floor)} MB`);
for (const directory of Deno.args) {
  const { name, weights, activations } = JSON.parse(await Deno.readTextFile(`${directory}/info.json`)) as {
    readonly name: string;
    readonly weights: number;
    readonly activations: number;
  };
  const cache = await Deno.makeTempDir();
  try {
    const cold = await run(directory, cache), warm = await run(directory, cache);
    const ratio = (bytes: number): string => (bytes / (weights + activations)).toFixed(2);
    const peaks = [cold.peak_rss_bytes, cold.compiler_peak_rss_bytes, warm.peak_rss_bytes].map(mb);
    const ratios = [ratio(cold.peak_rss_bytes), ratio(warm.peak_rss_bytes), ratio(warm.peak_rss_bytes - floor)];
    print(`| ${[name, mb(weights), mb(activations), ...peaks, ...ratios].join(" | ")} |`);
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
}
