/**
 * What the templates of contractions in C++ have generated: functions that pack an operand, and one that gives sums to the epilogue.
 *
 * An operand is packed in one of two ways: "across", whole runs of its rows (contiguous in memory) at one position of k; "along", runs of k for as many rows as a
 * vector has lanes, transposed in registers. Either way a vector stays inside of one run of the innermost axis, so that its index has a
 * stride, and masks of padding are computed once a run. The epilogue runs over a tile while it is in registers' reach, along runs of the columns.
 */
import type { BufferRef } from "../../loops/mod.ts";
import { constant, constantValue, type Expr, floorDiv, mod, mul, newSym, symbol } from "../../symbolic/mod.ts";
import { CppFunction, parameterLines } from "../codegen/cpp/emit_kernel.ts";
import type { CppFunctionText, KeptOperand } from "../codegen/cpp/emit_tile.ts";
import type { Scopes } from "../codegen/scopes.ts";
import type { Axis, ContractionKernel, OperandProgram, TileStatement } from "../tile/tile_ir.ts";
import { packMode } from "./contraction_tiling.ts";
import { operandSources } from "./kept_operands.ts";

/** A block of k is a whole number of steps; a step is about this long. */
const LONGEST_STEP = 512;

/** What the functions of a template share. */
export interface Writer {
  readonly kernel: ContractionKernel;
  readonly lanes: number;
  /** The C++ type of sums and panels. */
  readonly type: string;
  /** Columns of a tile. */
  readonly width: number;
}

/** The product of extents. */
export function product(list: readonly Expr[]): Expr {
  return list.reduce<Expr>((a, b) => mul(a, b), constant(1));
}

/** How many leading axes of k are counted by steps: as few as keep a step short, but never all if there are several. */
export function stepLevel(k: readonly Expr[]): number {
  for (let level = 1; level < k.length; level++) {
    const inner = product(k.slice(level));
    if (inner.upper <= LONGEST_STEP || level === k.length - 1) return level;
  }
  return 1;
}

/** The arguments of a function that name what it keeps packed: behind the buffers and sizes stands the runtime, then these, two for each. */
export class KeptArguments {
  readonly #kernel: ContractionKernel;
  readonly #constants: ReadonlySet<BufferRef>;
  readonly #first: number;
  readonly #keeps: KeptOperand[] = [];

  /** @param constants Buffers whose packed form may be kept from call to call. */
  constructor(kernel: ContractionKernel, constants: ReadonlySet<BufferRef>) {
    this.#kernel = kernel;
    this.#constants = constants;
    this.#first = kernel.reads.length + kernel.writes.length + kernel.sizes.length + 1;
  }

  /** Whether an operand is kept. */
  isKept(found: Omit<KeptOperand, "form"> | null): found is Omit<KeptOperand, "form"> {
    return found !== null && found.sources.every((b) => this.#constants.has(b));
  }

  /** The text of a `tsr_kept`: null pointers where nothing is kept. `form` tells all that decides the packed form. */
  add(found: Omit<KeptOperand, "form"> | null, form: () => readonly (string | undefined)[]): string {
    if (!this.isKept(found)) return "{ 0, 0 }";
    const at = this.#first + 2 * this.#keeps.length;
    this.#keeps.push({ ...found, form: form().join("\n") });
    return `{ (long*)A[${at}], (char*)A[${at + 1}] }`;
  }

  /** Writes a call that packs what is kept, and gives pages back that only that needed. */
  call(s: Scopes, text: string): void {
    this.#keeps.forEach((_, i) => s.line(`const bool last${i} = *(long*)A[${this.#first + 2 * i}] == 2;`));
    s.line(text);
    this.#keeps.forEach(({ sources }, i) => {
      for (const source of sources) {
        const bytes = (constantValue(source.numel) ?? 0) * source.dtype.bytes;
        const from = `p${this.#kernel.reads.indexOf(source)}`;
        s.line(`if (last${i} && *(long*)A[${this.#first + 2 * i}] == 1) tsr_give_back(${from}, ${bytes}l);`);
      }
    });
  }

  /** A part of the function's text. */
  result(): Pick<CppFunctionText, "keeps"> {
    return this.#keeps.length > 0 ? { keeps: this.#keeps } : {};
  }
}

/** Names the positions along axes of a linear position; returns the name of the innermost one. */
export function decompose(s: Scopes, axes: readonly Axis[], linear: string): string | null {
  if (axes.length === 0) return null;
  const whole = newSym("whole", { kind: "index", lower: 0 });
  const name = s.fresh("l");
  s.line(`const long ${name} = ${linear};`);
  s.define(whole, name);
  let rest = symbol(whole);
  let innermost = "";
  for (let i = axes.length - 1; i >= 0; i--) {
    const axis = axes[i] as Axis;
    const x = s.fresh("x");
    s.line(`const long ${x} = ${s.inline(i === 0 ? rest : mod(rest, axis.extent))};`);
    s.define(axis.symbol, x);
    if (innermost === "") innermost = x;
    rest = floorDiv(rest, axis.extent);
  }
  return innermost;
}

/** The part of an operand's k that steps count, and how its unit relates to a step. */
function splitK(k: readonly Axis[], inner: Expr): { counted: readonly Axis[]; looped: readonly Axis[]; unit: Expr } {
  // The operand's axes are unions of neighbours: find the shortest prefix whose remainder fits into a step.
  for (let i = 1; i <= k.length; i++) {
    const rest = product(k.slice(i).map((axis) => axis.extent));
    if (rest === inner || constantValue(mod(inner, rest)) === 0 || i === k.length) {
      return { counted: k.slice(0, i), looped: k.slice(i), unit: floorDiv(inner, rest) };
    }
  }
  return { counted: [], looped: [], unit: inner };
}

/** A function over positions of a batch: parameters and axes that it has, its lanes along `lane`. */
export function functionFor(
  writer: Writer,
  name: string,
  parameters: string,
  bodies: readonly (readonly TileStatement[])[],
  lane: Axis | null,
  write: (f: CppFunction) => void,
): string {
  const { kernel, lanes } = writer;
  const f = new CppFunction(kernel, bodies, lane === null ? [] : [{ ...lane, block: lanes }], lanes);
  for (const line of parameterLines(kernel)) f.scopes.line(line);
  decompose(f.scopes, kernel.batch, "batch");
  write(f);
  return `static void ${name}(void** A, long batch, ${parameters}) {\n${f.scopes.text("  ")}\n}`;
}

/** The function that packs an operand into panels of `width` rows. */
export function packFunction(
  writer: Writer,
  name: string,
  program: OperandProgram,
  width: number,
  inner: Expr,
): string {
  const along = packMode(program) === "along";
  const lane = along ? program.k[program.k.length - 1] : program.rows[program.rows.length - 1];
  const parameters = "long first, long count, long step0, long step1, void* to";
  return functionFor(writer, name, parameters, [program.body], lane ?? null, (f) => {
    const s = f.scopes;
    const { type } = writer;
    s.line(`${type}* const out = (${type}*)to;`);
    s.line(`const long kc = (step1 - step0) * ${s.index(inner)};`);
    s.open(`for (long r = 0; r < count; r += ${width}) {`);
    s.line(`${type}* const panel = out + r * kc;`);
    s.line(`const long width = tsr_min(${width}, count - r);`);
    s.line(`if (width < ${width}) tsr_clear(panel, ${width} * kc);`);
    if (along && lane !== undefined) packAlong(writer, f, program, lane, width, inner);
    else packAcross(writer, f, program, lane ?? null, width, inner);
    s.close();
  });
}

/** What a pack function does, as text that is the same for all kernels: as if the kernel read nothing but the operand. */
export function packForm(writer: Writer, program: OperandProgram, width: number, inner: Expr): string {
  const reads = [...operandSources(program)];
  return packFunction({ ...writer, kernel: { ...writer.kernel, reads, writes: [] } }, "form", program, width, inner);
}

/** Loops over the operand's k for the steps asked for; `body` runs at each position of all but the axes left out. */
function overK(
  f: CppFunction,
  k: readonly Axis[],
  inner: Expr,
  leaveOut: Axis | null,
  body: (from: string, to: string) => void,
): void {
  const s = f.scopes;
  const { counted, looped, unit } = splitK(k, inner);
  const scale = constantValue(unit) === 1 ? "" : ` * ${s.index(unit)}`;
  const nest = (i: number): void => {
    const axis = looped[i];
    if (axis === undefined) body("", "");
    else if (axis === leaveOut) body("0", s.index(axis.extent));
    else f.overAxis(axis, () => nest(i + 1));
  };
  const [only] = counted;
  if (counted.length === 1 && only === leaveOut && looped.length === 0) {
    body(`step0${scale}`, `step1${scale}`);
    return;
  }
  if (counted.length === 0) {
    nest(0);
    return;
  }
  const at = s.fresh("f");
  if (leaveOut !== null && counted[counted.length - 1] === leaveOut && looped.length === 0) {
    // Runs of the axis left out, from where the steps begin to where it or the steps end.
    const run = s.fresh("n");
    s.open(`for (long ${at} = step0${scale}, ${run}; ${at} < step1${scale}; ${at} += ${run}) {`);
    const x = decompose(s, counted, at) ?? "0";
    s.line(`${run} = tsr_min(step1${scale} - ${at}, ${s.index(leaveOut.extent)} - ${x});`);
    body(x, `(${x} + ${run})`);
    s.close();
    return;
  }
  s.open(`for (long ${at} = step0${scale}; ${at} < step1${scale}; ${at}++) {`);
  decompose(s, counted, at);
  nest(0);
  s.close();
}

function packAcross(
  writer: Writer,
  f: CppFunction,
  program: OperandProgram,
  lane: Axis | null,
  width: number,
  inner: Expr,
): void {
  const s = f.scopes;
  if (lane === null) {
    // One row: nothing to run across.
    s.line(`${writer.type}* q = panel;`);
    overK(f, program.k, inner, null, () => {
      f.statements(program.body);
      s.line(`*q = ${f.scalar(program.value)};`);
      s.line(`q += ${width};`);
    });
    return;
  }
  s.open("for (long t = 0, len; t < width; t += len) {");
  const x = decompose(s, program.rows, "first + r + t");
  s.line(`len = tsr_min(tsr_min(VW, width - t), ${s.index(lane.extent)} - ${x});`);
  const copy = (rest: string | null): void => {
    f.inLanes(lane, x ?? "0", rest, () => {
      s.line(`${writer.type}* q = panel + t;`);
      overK(f, program.k, inner, null, () => {
        f.statements(program.body);
        const value = f.vector(program.value);
        s.line(rest === null ? `tsr_store(q, ${value});` : `tsr_store_n(q, ${value}, ${rest});`);
        s.line(`q += ${width};`);
      });
    });
  };
  eitherLength(s, lane, writer.lanes, copy);
  s.close();
}

/** A vector that is whole or not; one copy where the extent leaves no choice. */
function eitherLength(s: Scopes, lane: Axis, lanes: number, copy: (rest: string | null) => void): void {
  const extent = constantValue(lane.extent);
  const never = extent !== null && extent < lanes;
  if (!never) {
    s.open("if (len == VW) {");
    copy(null);
    s.close();
  }
  s.open(never ? "{" : "else {");
  s.line("const long rest = len;");
  copy("rest");
  s.close();
}

function packAlong(
  writer: Writer,
  f: CppFunction,
  program: OperandProgram,
  lane: Axis,
  width: number,
  inner: Expr,
): void {
  const s = f.scopes;
  const vector = writer.type === "double" ? "vd2" : "vf32";
  s.open("for (long t = 0; t < width; t += VW) {");
  s.line("const long lanes = tsr_min(VW, width - t);");
  const arrays = program.rows.map(() => s.fresh("xs"));
  if (arrays.length > 0) {
    s.line(`long ${arrays.map((name) => `${name}[VW]`).join(", ")};`);
    s.open("for (long u = 0; u < lanes; u++) {");
    decompose(s, program.rows, "first + r + t + u");
    program.rows.forEach((axis, i) => s.line(`${arrays[i]}[u] = ${s.index(symbol(axis.symbol))};`));
    s.close();
  }
  s.line(`${writer.type}* q = panel + t;`);
  s.line(`${vector} rows[VW] = {};`);
  overK(f, program.k, inner, lane, (from, to) => {
    const y = s.fresh("y");
    const copy = (rest: string | null, count: string): void => {
      f.inLanes(lane, y, rest, () => {
        s.open("for (long u = 0; u < lanes; u++) {");
        program.rows.forEach((axis, i) => {
          const x = s.fresh("x");
          s.line(`const long ${x} = ${arrays[i]}[u];`);
          s.define(axis.symbol, x);
        });
        f.statements(program.body);
        s.line(`rows[u] = ${f.vector(program.value)};`);
        s.close();
        s.line(`tsr_transpose_put(rows, q, ${width}, ${count}, lanes);`);
        s.line(`q += ${width} * ${count};`);
      });
    };
    // Over the whole axis it may be known that there is no whole vector, or no rest.
    const whole = from === "0" ? constantValue(lane.extent) : null;
    s.line(`long ${y} = ${from};`);
    if (whole === null || whole >= writer.lanes) {
      s.open(`for (; ${y} + VW <= ${to}; ${y} += VW) {`);
      copy(null, "VW");
      s.close();
    }
    if (whole !== null && whole % writer.lanes === 0) return;
    s.open(`if (${y} < ${to}) {`);
    s.line(`const long rest = ${to} - ${y};`);
    copy("rest", "rest");
    s.close();
  });
  s.close();
}

/** The function that gives sums of a tile to the epilogue. */
export function epilogueFunction(writer: Writer): string {
  const { epilogue } = writer.kernel;
  const lane = epilogue.n[epilogue.n.length - 1] ?? null;
  const parameters = "long i0, long ni, long j0, long nj, const void* tile";
  return functionFor(writer, "@_e", parameters, [epilogue.body], lane, (f) => {
    const s = f.scopes;
    const { type } = writer;
    s.line(`const ${type}* const c = (const ${type}*)tile;`);
    const rows = (acc: () => void): void => {
      const [m] = epilogue.m;
      const i = s.fresh("i");
      s.open(`for (long ${i} = 0; ${i} < ni; ${i}++) {`);
      if (epilogue.m.length === 1 && m !== undefined) {
        const x = s.fresh("x");
        s.line(`const long ${x} = i0 + ${i};`);
        s.define(m.symbol, x);
      } else decompose(s, epilogue.m, `i0 + ${i}`);
      s.line(`const ${type}* const row = c + ${i} * ${writer.width};`);
      acc();
      f.statements(epilogue.body);
      s.close();
    };
    if (lane === null) {
      rows(() => f.assign(epilogue.accumulator, "row[0]"));
      return;
    }
    const vector = type === "double" ? "vd2" : "vf32";
    s.open("for (long t = 0, len; t < nj; t += len) {");
    const x = decompose(s, epilogue.n, "j0 + t") ?? "0";
    s.line(`len = tsr_min(tsr_min(VW, nj - t), ${s.index(lane.extent)} - ${x});`);
    const copy = (rest: string | null): void => {
      f.inLanes(lane, x, rest, () => {
        rows(() => {
          s.line(`const ${vector} acc = ${rest === null ? "tsr_load(row + t)" : `tsr_load_n(row + t, ${rest})`};`);
          f.assignVector(epilogue.accumulator, "acc");
        });
      });
    };
    eitherLength(s, lane, writer.lanes, copy);
    s.close();
  });
}
