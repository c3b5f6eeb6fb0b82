/**
 * Mutated programs: whatever is changed in a real file, reading it either works or ends in a `FormatError`, and running what was read ends in a
 * result or an error meant for users. `--` followed by a number sets how many mutations are tried (300 unless told).
 */
import assert from "node:assert/strict";
import { InternalError } from "../../src/core/mod.ts";
import {
  compileExported,
  type ExportedProgram,
  FormatError,
  inspectProgram,
  inspectToText,
  readProgram,
  ZipArchive,
} from "../../src/export/mod.ts";
import { fixture, recorded } from "./support.ts";
import { type Json, type Parts, partsOf, readParts } from "./rewrite.ts";

const RUNS = Number(Deno.args.find((a) => /^\d+$/.test(a)) ?? 300);
const NAMES = [
  "mlp_dynamic",
  "dynamic_math",
  "cond",
  "loops",
  "mutation",
  "constants",
  "nested",
  "args",
  "grad_autocast",
  "unbacked",
  "data_sizes",
  "control",
];
const CONTROL_FLOW: ReadonlySet<string> = new Set(["cond", "loops", "control"]);

/** A small generator with a seed, so that a failure can be repeated. */
function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const VALUES: readonly Json[] = [
  null,
  true,
  -1,
  0,
  1,
  3,
  1.5,
  2 ** 40,
  1e300,
  "",
  "x",
  "Symbol('s77', positive=True)",
  "Max(s77, u0)",
  "../..",
  "add",
  "NaN",
  [],
  {},
  [[]],
  { as_int: 2 },
  { as_tensor: { name: "x" } },
  { as_expr: { expr_str: "s77*s77//3", hint: null } },
  { as_none: true },
  { as_sym_int: { as_name: "add" } },
];

/** Changes one random place of a JSON document. */
function mutate(root: Json, next: () => number): void {
  let at = root;
  for (let depth = 0; depth < 40; depth++) {
    const keys = Object.keys(at);
    const key = keys[Math.floor(next() * keys.length)];
    if (key === undefined) return;
    const child = at[key];
    if (typeof child === "object" && child !== null && Object.keys(child).length > 0 && next() < 0.93) {
      at = child;
      continue;
    }
    const kind = next();
    if (kind < 0.15) Array.isArray(at) ? at.splice(Number(key), 1) : delete at[key];
    else if (kind < 0.3 && Array.isArray(at)) at.push(structuredClone(at[Math.floor(next() * at.length)]));
    else if (kind < 0.45) at[key] = structuredClone(at[keys[Math.floor(next() * keys.length)] ?? key]);
    else if (kind < 0.6 && typeof child === "number") at[key] = child + (next() < 0.5 ? 1 : -1);
    else if (kind < 0.75 && typeof child === "string" && child.length > 0) {
      const i = Math.floor(next() * child.length);
      at[key] = child.slice(0, i) + child.slice(i + 1);
    } else at[key] = structuredClone(VALUES[Math.floor(next() * VALUES.length)]);
    return;
  }
}

/** An error that tells its user something, not a slip of the reader. */
function checkError(error: unknown, where: string): void {
  assert.ok(error instanceof Error, `${where}: ${error}`);
  const slip = error instanceof InternalError ||
    /undefined|is not a function|not iterable|Cannot (read|convert|mix)|call stack|Invalid array length/.test(
      error.message,
    );
  assert.ok(!slip, `${where}: ${error.stack}`);
}

function use(program: ExportedProgram, name: string, where: string): void {
  inspectToText(inspectProgram(program, name));
  try {
    program.callFlat(recorded(name).inputs);
  } catch (error) {
    checkError(error, where);
  }
  if (!CONTROL_FLOW.has(name)) return;
  // Sub-graphs reach the compiler as they stand in the file.
  try {
    compileExported(program, { options: { tier: "js" } })(recorded(name).inputs);
  } catch (error) {
    checkError(error, `${where}, compiled`);
  }
}

Deno.test(`${RUNS} changes of the JSON of real programs end in results or errors with a place`, async () => {
  const originals = new Map<string, Parts>();
  for (const name of NAMES) originals.set(name, await partsOf(name));
  let read = 0;
  for (let run = 0; run < RUNS; run++) {
    const next = random(run);
    const name = NAMES[run % NAMES.length] ?? "";
    const original = originals.get(name);
    assert.ok(original);
    const parts = {
      ...original,
      program: structuredClone(original.program),
      weights: structuredClone(original.weights),
      constants: structuredClone(original.constants),
    };
    const changes = 1 + Math.floor(next() * 3);
    for (let i = 0; i < changes; i++) {
      mutate(next() < 0.85 ? parts.program : next() < 0.5 ? parts.weights : parts.constants, next);
    }
    const where = `run ${run} of ${name}`;
    let program: ExportedProgram;
    try {
      program = await readParts(parts);
    } catch (error) {
      assert.ok(error instanceof FormatError, `${where}: ${error instanceof Error ? error.stack : error}`);
      continue;
    }
    read++;
    use(program, name, where);
  }
  assert.ok(read > RUNS / 20, `only ${read} of ${RUNS} mutants could be read: the mutations are too coarse`);
});

Deno.test(`${RUNS} changes of the bytes of real files end in results or errors with a place`, async () => {
  const originals = NAMES.map((name) => Deno.readFileSync(fixture(`${name}.pt2`)));
  for (let run = 0; run < RUNS; run++) {
    const next = random(run + 1_000_000);
    const name = NAMES[run % NAMES.length] ?? "";
    let bytes = (originals[run % NAMES.length] ?? new Uint8Array()).slice();
    if (next() < 0.2) bytes = bytes.slice(0, Math.floor(next() * bytes.length));
    else {
      // The directory at the end is where changes are noticed least by the CRC.
      const from = next() < 0.5 ? Math.max(0, bytes.length - 2000) : 0;
      for (let i = 1 + Math.floor(next() * 4); i > 0; i--) {
        bytes[from + Math.floor(next() * (bytes.length - from))] = Math.floor(next() * 256);
      }
    }
    const where = `run ${run} of ${name}`;
    let program: ExportedProgram;
    try {
      program = readProgram(await ZipArchive.from(bytes, "fuzz.pt2"));
    } catch (error) {
      assert.ok(error instanceof FormatError, `${where}: ${error instanceof Error ? error.stack : error}`);
      continue;
    }
    use(program, name, where);
  }
});
