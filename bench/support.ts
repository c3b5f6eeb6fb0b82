/**
 * What the benchmarks share: timing by medians, tables, and finding a Python with PyTorch.
 */
import Table from "cli-table3";

const encoder = new TextEncoder();

/** Writes a line to standard output. */
export function print(text = ""): void {
  const bytes = encoder.encode(`${text}\n`);
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}

/** The middle one of some numbers. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}

/** Milliseconds that `fn` takes. */
export function timed(fn: () => void): number {
  const start = performance.now();
  fn();
  return performance.now() - start;
}

/** Times of calls over about `seconds`, in milliseconds: the median, and the tenth percentile, which other load on the machine disturbs least. */
export function callTimes(fn: () => void, seconds: number): { readonly median_ms: number; readonly p10_ms: number } {
  const times: number[] = [];
  const until = performance.now() + seconds * 1000;
  do times.push(timed(fn)); while (performance.now() < until);
  times.sort((x, y) => x - y);
  return { median_ms: median(times), p10_ms: times[Math.floor(times.length / 10)] ?? NaN };
}

/** Prints a table. */
export function printTable(head: readonly string[], rows: readonly (readonly string[])[]): void {
  const table = new Table({
    head: [...head],
    colAligns: head.map((_, i) => i === 0 ? "left" : "right"),
    style: { head: [], border: [], compact: true },
  });
  for (const row of rows) table.push([...row]);
  print(table.toString());
}

/** A Python that has PyTorch: the one that TESSERA_PEERS_PYTHON names, or `python3`; null if it has none. */
export async function findPeer(): Promise<string | null> {
  const python = Deno.env.get("TESSERA_PEERS_PYTHON") ?? "python3";
  try {
    const { success } = await new Deno.Command(python, {
      args: ["-c", "import torch"],
      stdout: "null",
      stderr: "null",
    }).output();
    return success ? python : null;
  } catch {
    return null;
  }
}

/** Runs a script of `bench/peers` and reads the JSON object that it prints last. */
export async function runPeer<T>(python: string, script: string, args: readonly string[]): Promise<T> {
  const { success, stdout, stderr } = await new Deno.Command(python, {
    args: [new URL(`peers/${script}`, import.meta.url).pathname, ...args],
    stdout: "piped",
    stderr: "piped",
  }).output();
  const text = new TextDecoder().decode(stdout).trim();
  if (!success) throw new Error(`${script} failed: ${new TextDecoder().decode(stderr).trim().split("\n").at(-1)}`);
  return JSON.parse(text.split("\n").at(-1) ?? "") as T;
}
