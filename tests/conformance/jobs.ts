/**
 * Cases over several processes: `deno task conformance --jobs N`.
 *
 * Most of a case's time is its compiler's, and one process has one thread for everything before it. The parent has the list of cases and hands out runs of them, the
 * next to whoever is done; a worker (this program, with `--worker`) reads `FROM TO` lines, runs those cases and answers with one line of JSON. A worker that
 * dies fails the cases that it had, with its exit code, and another takes its place; so does one that does not answer in time.
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
  /** A run of cases that takes longer has failed. Milliseconds, 120,000 unless told. */
  readonly patience?: number;
  /** What starts a worker, unless it is this program. */
  readonly command?: () => Deno.Command;
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
  const { patience = 120_000, command = workerCommand } = options;
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
      const child = command().spawn();
      const writer = child.stdin.getWriter();
      const lines = linesOf(child.stdout);
      for (; range !== null; range = take()) {
        const [from, to] = range;
        const answer = await inTime(ask(writer, lines, `${from} ${to}\n`), patience);
        if (typeof answer === "string") {
          told(from, JSON.parse(answer) as Told[]);
          continue;
        }
        const reason = answer === null
          ? `the process that ran it ended with code ${(await child.status).code}`
          : `the process that ran it and ${to - from - 1} others did not answer within ${patience / 1000} s`;
        told(from, chosen.slice(from, to).map((c) => lost(c, reason)));
        if (answer === undefined) end(child);
        range = take();
        break;
      }
      writer.close().catch(() => {});
      // It has answered all: what keeps it from ending is not waited for.
      if (await inTime(child.status, Math.min(patience, 10_000)) === undefined) end(child);
    }
  };
  await Promise.all(Array.from({ length: options.jobs }, one));
  return outcomes;
}

/** What a promise gives; undefined if it takes longer than `ms`. */
async function inTime<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => timer = setTimeout(() => resolve(undefined), ms));
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function end(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // it has ended by now
  }
}

/** A case whose process died, or does not answer. */
function lost(c: VectorCase, reason: string): Told {
  const verdict = { kind: "failed", reason } as const;
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
