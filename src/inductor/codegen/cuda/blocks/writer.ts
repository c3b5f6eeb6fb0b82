/**
 * The function of a block program while it is written: values in registers, positions, conversions between layouts, conditions of memory.
 *
 * A value is an array of registers in its layout; constants and index expressions are written where they are used. What is needed in another layout goes
 * through shared memory, once for each place of use.
 */
import type { BlockAxis, BlockProgram, BlockValue, Place } from "../../../../blocks/mod.ts";
import { gridOf } from "../../../../blocks/mod.ts";
import { InternalError } from "../../../../core/mod.ts";
import { ceilDiv, constant, constantValue, dependsOn, type Expr, mul } from "../../../../symbolic/mod.ts";
import type { BlocksKernel } from "../../../tile/tile_ir.ts";
import { laneOf, literal } from "../../cpp/types.ts";
import type { Scopes } from "../../scopes.ts";
import { CudaFunction } from "../function.ts";
import type { EmitContext } from "../kernel_text.ts";
import { scalarType } from "../texts.ts";
import { isAlignedRun } from "../vectors.ts";
import { chooseLayouts, runsAlong, takesGroups } from "./choose.ts";
import { type Layout, registerText, sliceLayout, sliceRegister, threadText } from "./layouts.ts";

/** Registers by name, with the layout that they have. */
interface Registers {
  readonly name: string;
  readonly layout: Layout;
}

/** How a value's element at a register of some layout reads. */
export type Reader = (register: string) => string;

const SCALAR: Layout = { axes: [], digits: new Map(), registers: 1, key: ":" };

/** The function of one program. */
export class BlocksWriter {
  readonly program: BlockProgram;
  readonly kernel: BlocksKernel;
  readonly f: CudaFunction;
  readonly s: Scopes;
  readonly layouts: ReadonlyMap<BlockValue, Layout>;
  readonly threads: number;
  /** Products are those of warpgroups. */
  readonly groups: boolean;
  readonly #registers = new Map<BlockValue, Registers>();
  readonly #plain = new Map<BlockValue, number | Expr>();
  readonly #variables = new Set<BlockValue>();
  readonly #positions = new Map<string, string>();
  readonly #converted: Map<string, string>[] = [new Map()];
  /** Bytes of shared memory that operands have; scratch comes after them. */
  operandBytes = 0;
  #scratchBytes = 0;

  constructor(kernel: BlocksKernel, context: EmitContext) {
    this.kernel = kernel;
    this.program = kernel.program;
    this.f = new CudaFunction(kernel, [], [], { shared: context.shared });
    this.s = this.f.scopes;
    this.groups = takesGroups(kernel.program, context.arch);
    this.layouts = chooseLayouts(kernel.program, this.groups);
    this.threads = 32 * kernel.program.options.warps;
  }

  get sharedBytes(): number {
    return this.operandBytes + this.#scratchBytes;
  }

  /** Where instances begin: origins of the grid's axes from the number of the block of threads. */
  begin(): Expr {
    const { s, f, program } = this;
    const grid = gridOf(program);
    const counts = grid.map((axis) => ceilDiv(axis.extent, axis.block));
    s.line("const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;");
    if (this.groups) s.line("const int party = __shfl_sync(0xffffffffu, warp / 4, 0);");
    const origin = (axis: BlockAxis, number: string): void => {
      const name = s.fresh("o");
      s.line(`const ${f.index} ${name} = (${number}) * ${axis.block};`);
      s.define(axis.origin, name);
    };
    let rest = `(${f.index})blockIdx.x`;
    let last = grid.length - 1;
    const [outer, inner] = [grid[last - 1], grid[last]];
    const { group } = program.options;
    if (group > 1 && outer !== undefined && inner !== undefined) {
      const [rows, columns] = [f.extent(counts[last - 1] ?? constant(1)), f.extent(counts[last] ?? constant(1))];
      const [number, all, first, size] = [s.fresh("g"), s.fresh("g"), s.fresh("g"), s.fresh("g")];
      const whole = `${rows} * ${columns}`;
      s.line(`const ${f.index} ${all} = ${rest} / (${whole}), ${number} = ${rest} - ${all} * (${whole});`);
      s.line(`const ${f.index} ${first} = ${number} / (${group} * ${columns}) * ${group};`);
      s.line(`const ${f.index} ${size} = tsr_min(${rows} - ${first}, ${group});`);
      const within = `(${number} - ${first} * ${columns})`;
      origin(outer, `${first} + ${within} % ${size}`);
      origin(inner, `${within} / ${size}`);
      rest = all;
      last -= 2;
    }
    for (let d = last; d >= 0; d--) {
      const axis = grid[d] as BlockAxis;
      if (d === 0) {
        origin(axis, rest);
        continue;
      }
      const [count, q] = [f.extent(counts[d] ?? constant(1)), s.fresh("q")];
      s.line(`const ${f.index} ${q} = ${rest} / ${count};`);
      origin(axis, `${rest} - ${q} * ${count}`);
      rest = q;
    }
    for (const axis of program.axes) if (axis.role === "whole") s.define(axis.origin, "0");
    return counts.reduce<Expr>((n, c) => mul(n, c), constant(1));
  }

  // Values.

  layoutOf(v: BlockValue): Layout {
    if (v.axes.length === 0) return SCALAR;
    const found = this.layouts.get(v);
    if (found === undefined) throw new InternalError(`value ${v.id} has no layout`);
    return found;
  }

  setPlain(v: BlockValue, what: number | Expr): void {
    this.#plain.set(v, what);
  }

  isPlain(v: BlockValue): boolean {
    return this.#plain.has(v);
  }

  /** Whether a value is in registers. */
  has(v: BlockValue): boolean {
    return this.#registers.has(v);
  }

  /** Declares a value's registers. */
  declare(v: BlockValue, layout: Layout = this.layoutOf(v)): string {
    const name = this.s.fresh("v");
    this.s.line(`${scalarType(v.dtype)} ${name}[${layout.registers}];`);
    this.#registers.set(v, { name, layout });
    return name;
  }

  declareVariable(v: BlockValue): string {
    this.#variables.add(v);
    return this.declare(v);
  }

  registersOf(v: BlockValue): Registers {
    const found = this.#registers.get(v);
    if (found === undefined) throw new InternalError(`value ${v.id} is not in registers`);
    return found;
  }

  /** Opens the loop over a layout's registers; leaves the register's name. */
  each(layout: Layout, body: (register: string) => void): void {
    if (layout.registers === 1) {
      this.s.open("{");
      body("0");
      this.s.close();
      return;
    }
    const r = this.s.fresh("r");
    this.s.open(`#pragma unroll\nfor (int ${r} = 0; ${r} < ${layout.registers}; ${r}++) {`);
    body(r);
    this.s.close();
  }

  /** Opens a loop of the program: what is converted inside is not known after it. */
  openLoop(head: string): void {
    this.s.open(head);
    this.#converted.push(new Map());
  }

  closeLoop(): void {
    this.#converted.pop();
    this.s.close();
  }

  // Positions.

  /** Names the positions of a layout's axes for a register. */
  at(layout: Layout, register: string): void {
    for (const axis of layout.axes) {
      const digits = layout.digits.get(axis) ?? [];
      const own = registerText(digits, register);
      const thread = this.#thread(threadText(digits));
      const origin = this.s.has(axis.origin) ? this.#originText(axis) : "0";
      const parts = [origin, thread, own === "0" ? "" : `(${own})`].filter((t) => t !== "" && t !== "0");
      this.s.define(
        axis.symbol,
        parts.length === 0 ? "0" : parts.length === 1 ? parts[0] ?? "0" : `(${parts.join(" + ")})`,
      );
    }
  }

  #originText(axis: BlockAxis): string {
    return axis.role === "whole" ? "0" : this.f.symbolText(axis.origin);
  }

  /** A number that depends on the thread alone, named once. */
  #thread(text: string): string {
    if (/^\d+$/.test(text)) return text;
    let name = this.#positions.get(text);
    if (name === undefined) {
      name = this.s.fresh("t");
      this.s.line(`const int ${name} = ${text};`, 0);
      this.#positions.set(text, name);
    }
    return name;
  }

  /** How a value reads at registers of a layout whose axes are its own and perhaps more. Conversions are written now. */
  reader(v: BlockValue, layout: Layout): Reader {
    const plain = this.#plain.get(v);
    if (plain !== undefined) {
      if (typeof plain === "number") return () => literal(plain, laneOf(v.dtype, false));
      const own = sliceLayout(layout, v.axes);
      return (register) => {
        this.at(own, sliceRegister(layout, own, register));
        return `((long)${this.s.inline(plain)})`;
      };
    }
    const { name, layout: from } = this.registersOf(v);
    const wanted = v.axes.length === 0 ? SCALAR : sliceLayout(layout, v.axes);
    const where = wanted.key === from.key ? name : this.#convert(v, wanted);
    return (register) => `${where}[${sliceRegister(layout, wanted, register)}]`;
  }

  /** The same as {@linkcode reader} in 32 bits, for positions and constants; null for anything else. */
  narrow(v: BlockValue, layout: Layout): Reader | null {
    const plain = this.#plain.get(v);
    if (plain === undefined || this.f.index !== "int") return null;
    if (typeof plain === "number") return Math.abs(plain) < 2 ** 30 ? () => `${plain}` : null;
    const own = sliceLayout(layout, v.axes);
    return (register) => {
      this.at(own, sliceRegister(layout, own, register));
      return this.s.inline(plain);
    };
  }

  /** Asks for scratch memory; leaves its text. Threads must meet before it is written and after. */
  scratch(bytes: number): string {
    this.#scratchBytes = Math.max(this.#scratchBytes, Math.ceil(bytes / 16) * 16);
    return "(room + OPERANDS)";
  }

  meet(): void {
    this.s.line("__syncthreads();");
  }

  #convert(v: BlockValue, to: Layout): string {
    const key = `${v.id}>${to.key}`;
    for (const known of this.#converted) {
      const found = known.get(key);
      if (found !== undefined) return found;
    }
    const { name, layout: from } = this.registersOf(v);
    const type = scalarType(v.dtype);
    const count = v.axes.reduce((n, axis) => n * axis.block, 1);
    const room = `((${type}*)${
      this.scratch(count * (laneOf(v.dtype, false) === "i64" || v.dtype.bytes === 8 ? 8 : 4))
    })`;
    const linear = (layout: Layout, register: string): string => {
      let step = 1;
      const parts: string[] = [];
      for (const axis of [...v.axes].reverse()) {
        const digits = layout.digits.get(axis) ?? [];
        const at = `${this.#thread(threadText(digits))} + ${registerText(digits, register)}`;
        parts.push(step === 1 ? at : `(${at}) * ${step}`);
        step *= axis.block;
      }
      return parts.join(" + ");
    };
    const out = this.s.fresh("w");
    this.s.line(`${type} ${out}[${to.registers}];`);
    this.meet();
    this.each(from, (r) => this.s.line(`${room}[${linear(from, r)}] = ${name}[${r}];`));
    this.meet();
    this.each(to, (r) => this.s.line(`${out}[${r}] = ${room}[${linear(to, r)}];`));
    if (!this.#variables.has(v)) this.#converted[this.#converted.length - 1]?.set(key, out);
    return out;
  }

  // Memory.

  /** The conditions of a place as text; positions are named. */
  conditions(place: Place, gathered: readonly string[]): string[] {
    const out: string[] = [];
    place.gathers.forEach((g, i) => out.push(`${gathered[i]} >= 0 && ${gathered[i]} < ${this.s.inline(g.size)}`));
    for (const { expr, lower, upper } of place.conditions) {
      const text = this.s.inline(expr);
      if (lower) out.push(`${text} >= 0`);
      if (upper !== null) out.push(`${text} < ${this.s.inline(upper)}`);
    }
    return out;
  }

  /** The address of a place; positions are named. */
  address(place: Place, gathered: readonly string[]): string {
    const parts = place.gathers.map((g, i) => ` + ${gathered[i]} * (long)${this.s.inline(g.stride)}`);
    return `${this.f.pointer(place.buffer)} + ${this.s.inline(place.index)}${parts.join("")}`;
  }

  /** The axis along which runs of `lanes` elements at a multiple of `lanes` are whole: all there or not, and aligned. */
  runAxis(place: Place, axes: readonly BlockAxis[], lanes: number): BlockAxis | null {
    for (const axis of axes) {
      if (axis.block < lanes || !runsAlong(place, axis) || place.gathers.length > 0) continue;
      if (!isAlignedRun(place.index, axis.symbol, lanes)) continue;
      const whole = place.conditions.every(({ expr, lower, upper }) => {
        if (!dependsOn(expr, axis.symbol)) return true;
        const end = upper === null ? 0 : constantValue(upper);
        return expr.kind === "symbol" && !lower && end !== null && end % lanes === 0;
      });
      if (whole) return axis;
    }
    return null;
  }
}
