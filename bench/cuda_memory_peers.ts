/**
 * `cuda_memory.ts` and `torch.compile` of the same functions on one GPU in one call: a table with both, how much longer PyTorch takes, and what a copy of as many bytes takes.
 *
 *     deno run -A bench/cuda_memory_peers.ts [FILTER…] [--python python3] [--processes 12] [--within 25]
 *
 * Needs a GPU, nvrtc and a Python with PyTorch. Both sides compile at the same time, PyTorch in several processes that each begin no further function after so many seconds; then each
 * process is timed alone, in the same way: five calls as one recorded graph between two events, of tensors that no cache keeps. Functions that PyTorch did not reach are left out of the
 * table. PyTorch keeps what it compiled where TORCHINDUCTOR_CACHE_DIR and TRITON_CACHE_DIR say.
 */
import { waitForFile } from "./cuda_support.ts";
import { print } from "./support.ts";

const OPTIONS = ["python", "processes", "within"] as const;
const optionOf = (name: typeof OPTIONS[number], otherwise: string): string => {
  const at = Deno.args.indexOf(`--${name}`);
  return at < 0 ? otherwise : Deno.args[at + 1] ?? otherwise;
};
const filters = Deno.args.filter((a, i) =>
  !a.startsWith("--") && !OPTIONS.some((name) => Deno.args[i - 1] === `--${name}`)
);
const processes = Number(optionOf("processes", "12"));
/** Processes that compile ours. */
const OWN = 4;
/** Seconds in which a process that was told to stop becomes ready. */
const PATIENCE = 12;
const within = Number(optionOf("within", "25"));
const folder = new URL("./", import.meta.url).pathname;
const room = Deno.makeTempDirSync({ prefix: "tessera-memory-" });

/** A process that compiles, waits for its turn, and prints a line a function. */
interface Side {
  readonly turn: string;
  readonly child: Deno.ChildProcess;
}

function start(name: string, command: string, args: readonly string[], part: number, parts: number): Side {
  const turn = `${room}/${name}${part}`;
  const child = new Deno.Command(command, {
    args: [...args, ...filters, "--part", `${part}/${parts}`, "--turn", turn],
    env: { OMP_NUM_THREADS: "1", TORCHINDUCTOR_COMPILE_THREADS: "1", NO_COLOR: "1" },
    stdout: "piped",
    stderr: "null",
  }).spawn();
  return { turn, child };
}

/** A line of either side: its name, milliseconds, and the percentage of a copy. */
interface Row {
  readonly name: string;
  readonly ms: number;
  readonly copy: number;
}

/** Lets a process time what it has. */
async function timed({ turn, child }: Side): Promise<Row[]> {
  Deno.writeTextFileSync(turn, "");
  const { stdout } = await child.output();
  return new TextDecoder().decode(stdout).split("\n").flatMap((text) => {
    const found = /^(.*?) +([\d.]+) ms .* (\d+) % of a copy/.exec(text);
    if (found !== null) return [{ name: found[1] ?? "", ms: Number(found[2]), copy: Number(found[3]) }];
    if (/FAILED|WRONG/.test(text)) print(text);
    return [];
  });
}

try {
  const began = performance.now();
  const python = [`${folder}peers/cuda_memory.py`, "--within", String(within)];
  const theirs = Array.from(
    { length: processes },
    (_, i) => start("torch", optionOf("python", "python3"), python, i, processes),
  );
  const flags = ["run", "-A", "--no-check", `${folder}cuda_memory.ts`];
  const ours = Array.from({ length: OWN }, (_, i) => start("ours", Deno.execPath(), flags, i, OWN));
  await Promise.all([...theirs, ...ours].map(({ turn }) => waitForFile(`${turn}.ready`, within + PATIENCE)));
  print(`compiled after ${((performance.now() - began) / 1000).toFixed(0)} s`);
  const own = new Map<string, Row>();
  for (const side of ours) for (const row of await timed(side)) own.set(row.name, row);
  print(`${"".padEnd(62)}  ours, ms  torch, ms  ratio  of a copy`);
  let behind = 0;
  for (const side of theirs) {
    for (const { name, ms } of await timed(side)) {
      const row = own.get(name);
      if (row === undefined) continue;
      const ratio = ms / row.ms;
      if (ratio < 0.99) behind++;
      const times = `${row.ms.toFixed(4).padStart(10)} ${ms.toFixed(4).padStart(10)} ${ratio.toFixed(2).padStart(6)}`;
      print(`${name.padEnd(62)}${times} ${String(row.copy).padStart(9)} %`);
    }
  }
  print(`${behind} behind by more than 1 %`);
} finally {
  Deno.removeSync(room, { recursive: true });
}
