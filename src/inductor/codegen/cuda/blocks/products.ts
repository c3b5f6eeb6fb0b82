/**
 * Products of a block program on CUDA: operands in shared memory, fragments of results in registers.
 *
 * An operand that is loaded for a product alone goes from memory to shared memory without passing through registers, 16 bytes at a time where it lies together;
 * in a loop several tiles are on their way at once. A computed left operand stays in registers if it lies as results do. Halves run on tensor cores,
 * float32 and float64 as sums of products.
 */
import {
  type BlockAxis,
  type BlockStatement,
  type BlockValue,
  operandsOf,
  statementsOf,
} from "../../../../blocks/mod.ts";
import { bfloat16, CompileError, type DType, InternalError } from "../../../../core/mod.ts";
import { memoryType } from "../../cpp/types.ts";
import { wgmmaTexts } from "../../../templates/cuda_flash.ts";
import { scalarType } from "../texts.ts";
import { type Layout, productShape, registerText, sliceLayout, sliceRegister, threadText } from "./layouts.ts";
import type { BlocksWriter } from "./writer.ts";

type Load = BlockStatement & { readonly kind: "load" };
type Dot = BlockStatement & { readonly kind: "dot" };

/** A tile in shared memory: rows of `inner` elements and some more, so that neighbouring rows fall into different banks. */
interface Tile {
  readonly outer: BlockAxis;
  readonly inner: BlockAxis;
  readonly dtype: DType;
  /** Bytes from the beginning of shared memory to the tile, as text. */
  readonly at: string;
}

interface Operand {
  readonly load: Load;
  readonly outer: BlockAxis;
  readonly inner: BlockAxis;
  /** Elements that are copied at once. */
  readonly run: number;
  readonly offset: number;
  readonly bytes: number;
  readonly stages: number;
}

function isHalf(dtype: DType): boolean {
  return dtype.isFloat && dtype.bytes === 2;
}

/** Elements in 16 bytes. */
function pieceOf(dtype: DType): number {
  return 16 / dtype.bytes;
}

/** The products of one program. */
export class Products {
  readonly #w: BlocksWriter;
  readonly #operands = new Map<BlockValue, Operand>();
  /** Tiles that are there now. */
  readonly #tiles = new Map<BlockValue, Tile>();
  /** Where computed operands are put, by value. */
  readonly #spill = new Map<BlockValue, number>();

  constructor(writer: BlocksWriter) {
    this.#w = writer;
    const statements = [...statementsOf(writer.program.body)];
    const used = new Map<BlockValue, { dots: Dot[]; others: number }>();
    for (const s of statements) {
      for (const v of operandsOf(s)) {
        const uses = used.get(v) ?? { dots: [], others: 0 };
        used.set(v, uses);
        if (s.kind === "dot" && v !== s.add) uses.dots.push(s);
        else uses.others++;
      }
    }
    this.#visit(writer.program.body, null, used);
  }

  #visit(
    body: readonly BlockStatement[],
    loop: (BlockStatement & { readonly kind: "for" }) | null,
    used: ReadonlyMap<BlockValue, { readonly dots: readonly Dot[]; readonly others: number }>,
  ): void {
    for (const s of body) {
      if (s.kind === "for") this.#visit(s.body, s, used);
      if (s.kind !== "load" || s.out.axes.length !== 2 || s.mask !== null) continue;
      const uses = used.get(s.out);
      if (uses === undefined || uses.dots.length === 0 || uses.others > 0) continue;
      const pieces = pieceOf(s.out.dtype);
      const run = this.#w.runAxis(s.place, s.out.axes, pieces);
      const inner = run ?? uses.dots[0]?.contract;
      const outer = s.out.axes.find((axis) => axis !== inner);
      if (inner === undefined || outer === undefined || s.place.gathers.length > 0) continue;
      const bytes = this.#tileBytes(outer, inner, s.out.dtype);
      const isAhead = run !== null && loop !== null && uses.dots.every((d) => loop.body.includes(d));
      const stages = isAhead ? this.#w.program.options.stages : 1;
      const own = {
        load: s,
        outer,
        inner,
        run: run === null ? 1 : pieces,
        offset: this.#w.operandBytes,
        bytes,
        stages,
      };
      this.#operands.set(s.out, own);
      this.#w.operandBytes += bytes * stages;
    }
  }

  #tileBytes(outer: BlockAxis, inner: BlockAxis, dtype: DType): number {
    return outer.block * (inner.block + (this.#w.groups ? 0 : pieceOf(dtype))) * dtype.bytes;
  }

  /** Where an element of a tile is, from the tile's beginning in bytes: rows with some more at their end, or swizzled pieces of 128 bytes. */
  #place(outer: BlockAxis, inner: BlockAxis, dtype: DType, row: string, column: string): string {
    if (!this.#w.groups) return `((${row}) * ${inner.block + pieceOf(dtype)} + ${column}) * ${dtype.bytes}`;
    const piece = inner.block === 64 ? "" : `((${column}) >> 6) * ${outer.block * 128} + `;
    return `${piece}(${row}) * 128 + (((((${column}) >> 3) & 7) ^ ((${row}) & 7)) << 4) + ((${column}) & 7) * 2`;
  }

  /** Threads meet, and what they wrote is there for tensor cores. */
  arrived(): void {
    if (this.#w.groups) this.#w.s.line("tsr_gathered();");
    this.#w.meet();
  }

  /** Whether a load is no value but a tile of a product. */
  isOperand(v: BlockValue): boolean {
    return this.#operands.has(v);
  }

  /** The operands of a loop that are loaded ahead. */
  ahead(body: readonly BlockStatement[]): readonly Operand[] {
    const out: Operand[] = [];
    for (const s of body) {
      const found = s.kind === "load" ? this.#operands.get(s.out) : undefined;
      if (found !== undefined && found.run > 1 && found.stages > 1) out.push(found);
    }
    return out;
  }

  /**
   * The product of a loop that does nothing but add products of tiles that are loaded ahead: it may still be under way when the next iteration begins. Null if
   * the loop is none.
   */
  running(body: readonly BlockStatement[]): Dot | null {
    const [dot, ...others] = body.filter((s) => s.kind === "dot");
    if (!this.#w.groups || dot?.kind !== "dot" || others.length > 0 || this.#w.program.options.stages < 3) return null;
    const ahead = this.ahead(body);
    const only = body.every((s) =>
      s === dot || (s.kind === "assign" && s.value === dot.out && s.variable === dot.add) ||
      (s.kind === "load" && ahead.some((o) => o.load === s))
    );
    const whole = [dot.a, dot.b].every((v) => ahead.some((o) => o.load.out === v));
    return only && whole && dot.add !== null && body.some((s) => s.kind === "assign") ? dot : null;
  }

  /** Adds a running product to its variable. */
  run(d: Dot): void {
    const [row] = d.a.axes.filter((axis) => axis !== d.contract);
    const [column] = d.b.axes.filter((axis) => axis !== d.contract);
    if (row === undefined || column === undefined || d.add === null) throw new InternalError("no running product");
    const { name } = this.#w.registersOf(d.add);
    this.#warpgroups(d, row, column, name, null, this.#tile(d.a, d.contract), this.#tile(d.b, d.contract), 1);
  }

  /** Copies an operand's tile to a stage (text). */
  copy({ load, outer, inner, run, offset, bytes, stages }: Operand, stage: string): void {
    const { s, threads } = this.#w;
    const { dtype } = load.out;
    const type = memoryType(dtype);
    const i = s.fresh("i");
    const perRow = inner.block / run;
    s.open(`#pragma unroll\nfor (int ${i} = threadIdx.x; ${i} < ${outer.block * perRow}; ${i} += ${threads}) {`);
    const [row, column] = [s.fresh("y"), s.fresh("x")];
    s.line(`const int ${row} = ${i} / ${perRow}, ${column} = ${i} % ${perRow}${run === 1 ? "" : ` * ${run}`};`);
    for (const [axis, name] of [[outer, row], [inner, column]] as const) {
      const origin = axis.role === "whole" ? "" : `${this.#w.f.symbolText(axis.origin)} + `;
      s.define(axis.symbol, `(${origin}${name})`);
    }
    const begin = `room + ${offset}${stages > 1 ? ` + ${stage} * ${bytes}` : ""}`;
    const to = `(${type}*)(${begin} + ${this.#place(outer, inner, dtype, row, column)})`;
    const conditions = this.#w.conditions(load.place, []);
    const there = conditions.length === 0 ? "true" : conditions.join(" && ");
    const from = this.#w.address(load.place, []);
    if (run > 1) {
      const there1 = s.fresh("b");
      s.line(`const bool ${there1} = ${there};`);
      s.line(`tsr_copy16(${to}, ${there1} ? ${from} : ${this.#w.f.pointer(load.place.buffer)}, ${there1});`);
    } else if (there === "true") s.line(`*(${to}) = *(${from});`);
    else {
      s.line(`${type} z;`);
      s.line(`tsr_put(&z, 0);`);
      s.line(`*(${to}) = ${there} ? *(${from}) : z;`);
    }
    s.close();
  }

  /** An operand that is not loaded ahead: its tile is complete after this. */
  load(v: BlockValue): void {
    const operand = this.#operands.get(v);
    if (operand === undefined) throw new InternalError("no operand of a product");
    this.#w.meet();
    this.copy(operand, "0");
    if (operand.run > 1) this.#w.s.line("tsr_copy_commit(); tsr_copy_wait<0>();");
    this.arrived();
    this.arrive(operand, "0");
  }

  /** From now on an operand's tile is that of a stage. */
  arrive({ load, outer, inner, offset, bytes, stages }: Operand, stage: string): void {
    const at = stages > 1 ? `${offset} + ${stage} * ${bytes}` : `${offset}`;
    this.#tiles.set(load.out, { outer, inner, dtype: load.out.dtype, at });
  }

  /** The tile of an operand; a computed one is put there now. */
  #tile(v: BlockValue, contract: BlockAxis): Tile {
    const known = this.#tiles.get(v);
    if (known !== undefined) return known;
    const outer = v.axes.find((axis) => axis !== contract);
    if (outer === undefined) throw new InternalError("an operand of one axis");
    let offset = this.#spill.get(v);
    if (offset === undefined) {
      this.#spill.set(v, offset = this.#w.operandBytes);
      this.#w.operandBytes += this.#tileBytes(outer, contract, v.dtype);
    }
    const { s } = this.#w;
    const layout = this.#w.layoutOf(v);
    const read = this.#w.reader(v, layout);
    const place = (axis: BlockAxis, r: string): string => {
      const digits = layout.digits.get(axis) ?? [];
      return `${threadText(digits)} + ${registerText(digits, r)}`;
    };
    this.#w.meet();
    this.#w.each(layout, (r) => {
      const at = this.#place(outer, contract, v.dtype, place(outer, r), place(contract, r));
      s.line(`tsr_put((${memoryType(v.dtype)}*)(room + ${offset} + ${at}), ${read(r)});`);
    });
    this.arrived();
    return { outer, inner: contract, dtype: v.dtype, at: `${offset}` };
  }

  /** Writes a product. */
  dot(d: Dot): void {
    const w = this.#w;
    const layout = w.layoutOf(d.out);
    const [row] = d.a.axes.filter((axis) => axis !== d.contract);
    const [column] = d.b.axes.filter((axis) => axis !== d.contract);
    if (row === undefined || column === undefined) throw new InternalError("a product without rows or columns");
    const before = d.add === null ? null : w.reader(d.add, layout);
    const fromRegisters = isHalf(d.a.dtype) ? this.#fragments(d, row) : null;
    const a = fromRegisters === null ? this.#tile(d.a, d.contract) : null;
    const b = this.#tile(d.b, d.contract);
    const name = w.declare(d.out);
    w.each(layout, (r) => w.s.line(`${name}[${r}] = ${before === null ? "0" : before(r)};`));
    if (w.groups) this.#warpgroups(d, row, column, name, fromRegisters, a, b);
    else if (isHalf(d.a.dtype)) this.#tensorCores(d, row, column, name, fromRegisters, a, b);
    else if (a !== null) this.#sums(d, row, column, layout, name, a, b);
  }

  /** The registers of a left operand that lie as tensor cores want them; null if they do not. */
  #fragments(d: Dot, row: BlockAxis): string | null {
    const w = this.#w;
    if (!w.has(d.a)) return null;
    const { name, layout } = w.registersOf(d.a);
    const rows = (of: Layout): string => sliceLayout(of, [row]).key;
    if (rows(layout) !== rows(w.layoutOf(d.out))) return null;
    if ((layout.digits.get(d.contract) ?? []).some((digit) => digit.source === "warp")) return null;
    const digits = layout.digits.get(d.contract) ?? [];
    const isProduct = digits[0]?.source === "register" && digits[0].size === 2 && digits[1]?.source === "lane" &&
      digits[1].stride === 1 && digits[1].size === 4;
    return isProduct ? name : null;
  }

  #shapeOf(d: Dot): { rows: number; columns: number; warpsDown: number; warpsAcross: number } {
    const [row] = d.a.axes.filter((axis) => axis !== d.contract);
    const [column] = d.b.axes.filter((axis) => axis !== d.contract);
    const shape = productShape(row?.block ?? 0, column?.block ?? 0, this.#w.program.options.warps);
    if (shape === null) throw new InternalError("a product that is too small");
    return shape;
  }

  #tensorCores(
    d: Dot,
    row: BlockAxis,
    column: BlockAxis,
    name: string,
    fragments: string | null,
    a: Tile | null,
    b: Tile,
  ): void {
    const { s, program } = this.#w;
    if (d.contract.block < 16) {
      throw new CompileError(
        `kernel ${program.name}: a product over blocks of ${d.contract.block} is too small for tensor cores: use 16 or more`,
      );
    }
    const shape = this.#shapeOf(d);
    const type = d.a.dtype === bfloat16 ? "bf16" : "f16";
    const [wm, wn] = [`warp % ${shape.warpsDown} * ${shape.rows}`, `warp / ${shape.warpsDown} * ${shape.columns}`];
    const results = `(float (&)[${shape.rows / 16}][${shape.columns / 8}][4])${name}`;
    const right = `(const ${type}*)(room + ${b.at})`;
    const rightK = b.inner === d.contract;
    if (fragments !== null) {
      const parameters = [type, column.block, d.contract.block, shape.rows, shape.columns, rightK];
      s.line(`tsr_mma_fragments<${parameters.join(", ")}>(${results}, ${fragments}, ${right}, ${wn});`);
      return;
    }
    if (a === null) throw new InternalError("a product without a left operand");
    const parameters = [
      type,
      row.block,
      column.block,
      d.contract.block,
      shape.rows,
      shape.columns,
      a.inner === d.contract,
      rightK,
    ];
    s.line(
      `tsr_mma_tile<${parameters.join(", ")}>(${results}, (const ${type}*)(room + ${a.at}), ${right}, ${wm}, ${wn});`,
    );
  }

  /** The instructions that warpgroups need, by their number of columns and type. */
  readonly instructions = new Set<string>();

  #warpgroups(
    d: Dot,
    row: BlockAxis,
    column: BlockAxis,
    name: string,
    fragments: string | null,
    a: Tile | null,
    b: Tile,
    running = 0,
  ): void {
    const { s, program } = this.#w;
    const type = d.a.dtype === bfloat16 ? "bf16" : "f16";
    const tiles = row.block / 16 / program.options.warps;
    this.instructions.add(wgmmaTexts(column.block, type));
    const right = `tsr_smem(room + ${b.at})`;
    const rightK = b.inner === d.contract;
    const each = column.block / 2;
    s.line("tsr_wgmma_begin();");
    for (let i = 0; i < tiles; i++) {
      const sums = `*(float (*)[${each}])(${name} + ${i * each})`;
      if (fragments !== null) {
        const part = `*(const float (*)[${d.contract.block / 2}])(${fragments} + ${i * d.contract.block / 2})`;
        s.line(
          `tsr_block_rs<${[type, d.contract.block, rightK, b.outer.block].join(", ")}>(${sums}, ${part}, ${right});`,
        );
        continue;
      }
      if (a === null) throw new InternalError("a product without a left operand");
      const leftK = a.inner === d.contract;
      const tile = `(party * ${tiles} + ${i}) * ${leftK ? 64 * 128 : a.outer.block * 128}`;
      const parameters = [type, d.contract.block, leftK, rightK, a.outer.block, b.outer.block];
      s.line(`tsr_block_ss<${parameters.join(", ")}>(${sums}, tsr_smem(room + ${a.at}) + ${tile}, ${right});`);
    }
    s.line("tsr_wgmma_commit();");
    s.line(`tsr_wgmma_wait<${running}>();`);
  }

  /** Products of numbers that tensor cores do not take. */
  #sums(d: Dot, row: BlockAxis, column: BlockAxis, layout: Layout, name: string, a: Tile, b: Tile): void {
    const { s } = this.#w;
    const type = scalarType(d.out.dtype);
    const memory = memoryType(d.a.dtype);
    const k = s.fresh("k");
    s.open(`for (int ${k} = 0; ${k} < ${d.contract.block}; ${k}++) {`);
    const element = (tile: Tile, axis: BlockAxis, slice: Layout, r: string): string => {
      const digits = slice.digits.get(axis) ?? [];
      const at = `(${threadText(digits)} + ${registerText(digits, r)})`;
      const width = tile.inner.block + pieceOf(tile.dtype);
      const place = tile.inner === d.contract ? `${at} * ${width} + ${k}` : `${k} * ${width} + ${at}`;
      return `((const ${memory}*)(room + ${tile.at}))[${place}]`;
    };
    const slices = ([[a, row], [b, column]] as const).map(([tile, axis]) => {
      const slice = sliceLayout(layout, [axis]);
      const own = s.fresh("x");
      s.line(`${type} ${own}[${slice.registers}];`);
      this.#w.each(slice, (r) => s.line(`${own}[${r}] = ${element(tile, axis, slice, r)};`));
      return { own, slice };
    });
    this.#w.each(layout, (r) => {
      const [x, y] = slices.map(({ own, slice }) => `${own}[${sliceRegister(layout, slice, r)}]`);
      s.line(`${name}[${r}] = tsr_fma(${x}, ${y}, ${name}[${r}]);`);
    });
    s.close();
  }

  /** Refuses what does not fit. */
  check(limit: number): void {
    const bytes = this.#w.sharedBytes;
    if (bytes > limit) {
      throw new CompileError(
        `kernel ${this.#w.program.name}: needs ${bytes} bytes of shared memory, there are ${limit}: use smaller blocks or fewer stages`,
      );
    }
  }
}
