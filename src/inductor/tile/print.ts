/**
 * The text form of kernels, stable: names are numbered in order of appearance, so kernels that differ only in buffers, sizes and symbols by name have the
 * same text. {@linkcode kernelKey} is its hash.
 *
 * @example
 * ```ts
 * import { tileToText } from "./print.ts";
 * import type { TileKernel } from "./tile_ir.ts";
 * export const show = (kernel: TileKernel): string => tileToText(kernel);
 * ```
 */
import { createHash } from "node:crypto";
import { blocksToText } from "../../blocks/mod.ts";
import type { BufferRef } from "../../loops/mod.ts";
import { type Dialect, type Expr, printExpr, type Sym } from "../../symbolic/mod.ts";
import type {
  AttentionKernel,
  Axis,
  ContractionKernel,
  Kernel,
  TileKernel,
  TileStatement,
  TileValue,
} from "./tile_ir.ts";

const RELATIONS = { eq: "==", ne: "!=", lt: "<", le: "<=" } as const;

class Printer {
  readonly lines: string[] = [];
  readonly #buffers = new Map<BufferRef, string>();
  readonly #symbols = new Map<Sym, string>();
  readonly #values = new Map<TileValue, string>();
  readonly #dialect: Dialect = {
    const: String,
    symbol: (sym) => this.symbol(sym),
    floorDiv: (a, b) => `${a}//${b}`,
    mod: (a, b) => `${a} % ${b}`,
    min: (a, b) => `min(${a}, ${b})`,
    max: (a, b) => `max(${a}, ${b})`,
    where: (cond, a, b) => `where(${cond}, ${a}, ${b})`,
    relation: (kind, a, b) => `${a} ${RELATIONS[kind]} ${b}`,
    junction: (kind, args) => args.join(` ${kind} `),
    bool: String,
  };

  buffer(b: BufferRef): string {
    let name = this.#buffers.get(b);
    if (name === undefined) this.#buffers.set(b, name = `p${this.#buffers.size}`);
    return name;
  }

  symbol(sym: Sym): string {
    let name = this.#symbols.get(sym);
    if (name === undefined) {
      const prefix = sym.kind === "index" ? "i" : sym.kind === "indirect" ? "g" : "n";
      this.#symbols.set(sym, name = `${prefix}${this.#symbols.size}`);
    }
    return name;
  }

  expr(e: Expr): string {
    return printExpr(e, this.#dialect);
  }

  value(v: TileValue): string {
    let name = this.#values.get(v);
    if (name === undefined) this.#values.set(v, name = `v${this.#values.size}`);
    return name;
  }

  /** A value where it is defined: with its dtype and blocks. */
  define(v: TileValue): string {
    const blocks = v.axes.map((axis) => `${this.symbol(axis.symbol)}:${axis.block}`);
    return `${this.value(v)}: ${v.dtype.short}${blocks.length > 0 ? `[${blocks.join(", ")}]` : ""}`;
  }

  axis(axis: Axis): string {
    return `${this.symbol(axis.symbol)} < ${this.expr(axis.extent)}${axis.block > 1 ? ` by ${axis.block}` : ""}`;
  }

  parameters(kernel: Kernel): string {
    const list = (buffers: readonly BufferRef[]): string =>
      buffers.map((b) => `${this.buffer(b)}: ${b.dtype.short}`).join(", ");
    const sizes = kernel.sizes.map((sym) => this.symbol(sym)).join(", ");
    return `reads(${list(kernel.reads)}) writes(${list(kernel.writes)})${sizes === "" ? "" : ` sizes(${sizes})`}`;
  }

  body(statements: readonly TileStatement[], indent: string): void {
    for (const s of statements) {
      if (s.kind === "for") {
        this.lines.push(`${indent}for ${this.axis(s.axis)}${s.split ? " split" : ""}`);
        this.body(s.body, `${indent}  `);
      } else this.lines.push(indent + this.statement(s));
    }
  }

  statement(s: Exclude<TileStatement, { kind: "for" }>): string {
    switch (s.kind) {
      case "constant":
        return `${this.define(s.out)} = ${Object.is(s.value, -0) ? "-0" : s.value}`;
      case "index":
        return `${this.define(s.out)} = index(${this.expr(s.expr)})`;
      case "bind":
        return `${this.symbol(s.symbol)} = bind ${this.value(s.value)} in ${this.expr(s.size)}${
          s.fromEnd ? " or from its end" : ""
        }${this.#mask(s.mask)}`;
      case "load":
        return `${this.define(s.out)} = load ${this.buffer(s.buffer)}[${this.expr(s.index)}]${this.#mask(s.mask)}`;
      case "store":
        return `store ${this.buffer(s.buffer)}[${this.expr(s.index)}] = ${this.value(s.value)}`;
      case "combine":
        return `${s.op} ${this.buffer(s.buffer)}[${this.expr(s.index)}] with ${this.value(s.value)}`;
      case "pointwise":
        return `${this.define(s.out)} = ${s.op}(${s.args.map((v) => this.value(v)).join(", ")})`;
      case "cast":
      case "bitcast":
        return `${this.define(s.out)} = ${s.kind}(${this.value(s.arg)})`;
      case "lookup":
        return `${this.define(s.out)} = lookup([${s.table.join(" ")}], ${this.value(s.at)})`;
      case "philox": {
        const args = [s.seed, s.stream, s.position].map((v) => this.value(v));
        return `${this.define(s.out)} = philox(${args.join(", ")})`;
      }
      case "accumulator":
        return `${this.define(s.out)} = ${s.op} accumulator`;
      case "accumulate": {
        const at = s.position === null ? "" : ` at ${this.expr(s.position)}`;
        return `${this.value(s.accumulator)} ${s.op}= ${this.value(s.value)}${at}`;
      }
      case "dot":
        return `${this.value(s.accumulator)} += ${this.value(s.a)} · ${this.value(s.b)}`;
      case "finish":
        return `${this.define(s.out)} = finish ${this.value(s.accumulator)}`;
      case "accumulators":
        return `${this.define(s.out)} = ${s.op} accumulators(${this.expr(s.size)})`;
      case "accumulateAt":
        return `${this.value(s.accumulators)}[${this.expr(s.index)}] ${s.op}= ${this.value(s.value)}`;
      case "finishAt":
        return `${this.define(s.out)} = finish ${this.value(s.accumulators)}[${this.expr(s.index)}]`;
      default:
        return s satisfies never;
    }
  }

  #mask(mask: TileValue | null): string {
    return mask === null ? "" : ` where ${this.value(mask)}`;
  }
}

/** The text of a kernel, without its name and comment. */
export function tileToText(kernel: Kernel): string {
  const printer = new Printer();
  printer.lines.push(`kernel ${printer.parameters(kernel)}`);
  if (kernel.kind === "tile") printTile(printer, kernel);
  else if (kernel.kind === "contraction") printContraction(printer, kernel);
  else if (kernel.kind === "attention") printAttention(printer, kernel);
  else printer.lines.push(blocksToText(kernel.program));
  return printer.lines.join("\n");
}

function printTile(printer: Printer, kernel: TileKernel): void {
  const grid = kernel.axes.filter((axis) => axis.role === "grid");
  const axes = grid.map((axis, i) => printer.axis(axis) + (i < kernel.parallelAxes ? "" : " in order"));
  printer.lines.push(`grid ${axes.join(", ")}`);
  printer.body(kernel.body, "  ");
}

function printContraction(printer: Printer, kernel: ContractionKernel): void {
  const list = (axes: readonly Axis[]): string => axes.map((axis) => printer.axis(axis)).join(", ");
  const k = kernel.k.map((e) => printer.expr(e)).join("·");
  printer.lines.push(
    `contraction batch(${list(kernel.batch)}) m ${printer.expr(kernel.m)} n ${
      printer.expr(kernel.n)
    } k ${k} in ${kernel.accumulate.short}`,
  );
  for (const [name, program] of [["a", kernel.a], ["b", kernel.b]] as const) {
    printer.lines.push(`${name} rows(${list(program.rows)}) k(${list(program.k)})`);
    printer.body(program.body, "  ");
    printer.lines.push(`  yield ${printer.value(program.value)}`);
  }
  const { m, n, accumulator, body } = kernel.epilogue;
  printer.lines.push(`epilogue m(${list(m)}) n(${list(n)}) of ${printer.define(accumulator)}`);
  printer.body(body, "  ");
}

function printAttention(printer: Printer, kernel: AttentionKernel): void {
  const { batch, m, n, d, e, query, key, value, mask, grad, lse, delta, out, second } = kernel;
  const axis = (a: Axis): string => printer.axis(a);
  const role = kernel.role === "forward" ? "" : `gradient (${kernel.role}) of `;
  const causal = kernel.causal ? "causal " : "";
  printer.lines.push(
    `${role}${causal}attention batch(${batch.map(axis).join(", ")}) m ${axis(m)} n ${axis(n)} d ${axis(d)} e ${
      axis(e)
    } scale ${kernel.scale}`,
  );
  for (
    const [name, operand] of [
      ["query", query],
      ["key", key],
      ["value", value],
      ["mask", mask],
      ["grad", grad],
      ["lse", lse],
      ["delta", delta],
      ["out", out],
      ["second", second],
    ] as const
  ) {
    if (operand === null) continue;
    printer.lines.push(
      `  ${name} ${printer.buffer(operand.buffer)}[${printer.expr(operand.index)}] ${operand.buffer.dtype.short}`,
    );
  }
  const { scores, tiles } = kernel;
  if (tiles !== null) {
    const lists = [tiles.partialCount, tiles.partial, tiles.fullCount, tiles.full];
    const places = lists.map((o) => `${printer.buffer(o.buffer)}[${printer.expr(o.index)}]`);
    printer.lines.push(`  tiles ${axis(tiles.tile)} ${axis(tiles.position)} ${places.join(" ")}`);
  }
  if (scores === null) return;
  printer.lines.push(`  of ${printer.define(scores.score)}, ${printer.define(scores.grad)}`);
  for (const name of ["change", "keep", "back"] as const) {
    const program = scores[name];
    if (program === null) continue;
    printer.lines.push(`  ${name}`);
    printer.body(program.body, "    ");
    printer.lines.push(`    yield ${printer.value(program.value)}`);
  }
}

/** A hash of a kernel's structure: equal for kernels that do the same to other buffers. */
export function kernelKey(kernel: Kernel): string {
  return createHash("sha256").update(tileToText(kernel)).digest("hex");
}
