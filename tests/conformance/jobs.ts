/**
 * Cases over several processes: `deno task conformance --jobs N`.
 *
 * Most of a case's time is its compiler's, and one process has one thread for everything before it. The parent has the list of cases and hands out runs of them, the
 * next to whoever is done; a worker (this program, with `--worker`) reads `FROM TO` lines, runs those cases and answers with one line of JSON. A worker that
 * dies fails the cases that it had, with its exit code, and another takes its place.
 */
import { reasonOf } from "./case.ts";
import type { Executor } from "./execute.ts";
import { type Outcome, runCases } from "./report.ts";
import type { VectorCase, Vectors } from "./vectors.ts";

/** What of an outcome travels: all but the case, errors as texts. */
type Told = Omit<Outcome, "c">;

/** Runs cases that standard input names, until it ends. */
export async function work(chosen: readonly VectorCase[], vectors: Vectors, executor: Executor): Promise<void> {
  const encoder = new TextEncoder();
  for await (const line of linesOf(Deno.stdin.readable)) {
    const [from = 0, to = 0] = line.split(" ").map(Number);
    const outcomes = runCases(chosen.slice(from, to), vectors, executor, { batch: to - from });
    const told = outcomes.map(({ c: _, errors, ...rest }): Told => ({ ...rest, errors: errors.map(textOf) }));
    await write(Deno.stdout, encoder.encode(JSON.stringify(told) + "\n"));
  }
}

/** Options of {@linkcode runJobs}. */
export interface JobOptions {
  readonly jobs: number;
  readonly batch: number;
  readonly progress?: (done: number) => void;
}

/** The program's own command line. */
function workerCommand(): Deno.Command {
  const flags = ["--worker", ...Deno.args];
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--cached-only", new URL("./run.ts", import.meta.url).href, ...flags],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  });
}

/** Runs all cases in processes of their own; outcomes in the order of the cases. */
export async function runJobs(chosen: readonly VectorCase[], options: JobOptions): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  let next = 0, done = 0;
  const take = (): readonly [number, number] | null => {
    if (next >= chosen.length) return null;
    // Shorter runs at the end, so that all end together.
    const most = Math.max(4, Math.ceil((chosen.length - next) / (2 * options.jobs)));
    const from = next;
    next = Math.min(chosen.length, from + Math.min(options.batch, most));
    return [from, next];
  };
  const told = (from: number, list: readonly Told[]): void => {
    list.forEach((o, i) => outcomes[from + i] = { ...o, c: chosen[from + i] as VectorCase });
    options.progress?.(done += list.length);
  };
  const one = async (): Promise<void> => {
    for (let range = take(); range !== null;) {
      const child = workerCommand().spawn();
      const writer = child.stdin.getWriter();
      const lines = linesOf(child.stdout);
      for (; range !== null; range = take()) {
        const [from, to] = range;
        const answer = await ask(writer, lines, `${from} ${to}\n`);
        if (answer !== null) {
          told(from, JSON.parse(answer) as Told[]);
          continue;
        }
        const { code } = await child.status;
        told(from, chosen.slice(from, to).map((c) => lost(c, code)));
        range = take();
        break;
      }
      await writer.close().catch(() => {});
      await child.status;
    }
  };
  await Promise.all(Array.from({ length: options.jobs }, one));
  return outcomes;
}

/** A case whose process died. */
function lost(c: VectorCase, code: number): Told {
  const verdict = { kind: "failed", reason: `the process that ran it ended with code ${code}` } as const;
  return { values: verdict, gradients: c.grads === null ? null : verdict, missing: false, errors: [] };
}

/** A worker's answer; null if it is gone. */
async function ask(
  writer: WritableStreamDefaultWriter<Uint8Array>,
  lines: AsyncIterator<string>,
  question: string,
): Promise<string | null> {
  try {
    await writer.write(new TextEncoder().encode(question));
  } catch {
    return null;
  }
  const answer = await lines.next();
  return answer.done === true ? null : answer.value;
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>)) {
    const parts = (rest + text).split("\n");
    rest = parts.pop() ?? "";
    yield* parts;
  }
}

async function write(to: { write(bytes: Uint8Array): Promise<number> }, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await to.write(bytes.subarray(at));
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.stack ?? reasonOf(error) : String(error);
}
