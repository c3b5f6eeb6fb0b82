/**
 * Block programs as CUDA kernels: an instance is a block of threads, blocks lie in registers, products run on tensor cores.
 *
 * Enters: a program. Leaves: one kernel. Layouts are chosen in `choose.ts`, values written in `writer.ts`, products in `products.ts`; here are the
 * statements. Mirrors what Triton does between its language and PTX.
 */
import {
  type BlockAxis,
  type BlockReduceOp,
  type BlockStatement,
  type BlockValue,
  statementsOf,
} from "../../../../blocks/mod.ts";
import { bool, type DType, int64 } from "../../../../core/mod.ts";
import type { BlocksKernel } from "../../../tile/tile_ir.ts";
import { castText, combineText, laneOf, literal, neutral, primitiveText } from "../../cpp/types.ts";
import { type CudaInclude, type CudaKernelText, type EmitContext, line, signature } from "../kernel_text.ts";
import { scalarType } from "../texts.ts";
import { blockedLayout, copyBits, type Layout, sliceLayout, sliceRegister } from "./layouts.ts";
import { Products } from "./products.ts";
import { BlocksWriter } from "./writer.ts";

/** Bytes of shared memory that a block may have. */
function sharedLimit(arch: number): number {
  return arch >= 90 && arch < 120 ? 227 * 1024 : arch === 80 || arch === 87 ? 163 * 1024 : 99 * 1024;
}

class Emitter {
  readonly #w: BlocksWriter;
  readonly products: Products;
  readonly #warps: number;

  constructor(writer: BlocksWriter) {
    this.#w = writer;
    this.products = new Products(writer);
    this.#warps = writer.program.options.warps;
  }

  statements(body: readonly BlockStatement[]): void {
    for (const s of body) this.#statement(s);
  }

  #statement(s: BlockStatement): void {
    const w = this.#w;
    switch (s.kind) {
      case "constant":
        w.setPlain(s.out, s.value);
        return;
      case "index":
        w.setPlain(s.out, s.expr);
        return;
      case "load":
        if (!this.products.isOperand(s.out)) this.#load(s);
        else if (!this.#ahead.has(s.out)) this.products.load(s.out);
        return;
      case "store":
      case "combine":
        return this.#store(s);
      case "pointwise":
        return this.#pointwise(s);
      case "cast": {
        const [from, to] = [laneOf(s.arg.dtype, false), laneOf(s.out.dtype, false)];
        return this.#define(s.out, [s.arg], ([text = ""]) => castText(text, from, s.arg.dtype, s.out.dtype, to, false));
      }
      case "reduce":
        return this.#reduce(s.out, s.arg, s.axis, s.op);
      case "dot":
        return this.products.dot(s);
      case "variable": {
        const layout = w.layoutOf(s.out);
        const read = w.reader(s.init, layout);
        const name = w.declareVariable(s.out);
        return w.each(layout, (r) => w.s.line(`${name}[${r}] = ${read(r)};`));
      }
      case "assign": {
        const { name, layout } = w.registersOf(s.variable);
        const read = w.reader(s.value, layout);
        return w.each(layout, (r) => w.s.line(`${name}[${r}] = ${read(r)};`));
      }
      case "snapshot":
        return this.#define(s.out, [s.variable], ([text = ""]) => text);
      case "for":
        return this.#loop(s);
      default:
        s satisfies never;
    }
  }

  readonly #ahead = new Set<BlockValue>();

  /** A value from its operands, register by register. */
  #define(out: BlockValue, operands: readonly BlockValue[], build: (texts: readonly string[]) => string): void {
    const w = this.#w;
    const layout = w.layoutOf(out);
    const readers = operands.map((v) => w.reader(v, layout));
    const name = w.declare(out);
    w.each(layout, (r) => w.s.line(`${name}[${r}] = ${build(readers.map((read) => read(r)))};`));
  }

  #pointwise(s: BlockStatement & { readonly kind: "pointwise" }): void {
    const numbers = s.op === "where" ? s.args.slice(1) : s.args;
    const dtype: DType = numbers[0]?.dtype ?? s.out.dtype;
    const lane = laneOf(dtype, false);
    const w = this.#w;
    // Comparisons of positions take one instruction in 32 bits.
    if (dtype === int64 && s.out.dtype === bool) {
      const layout = w.layoutOf(s.out);
      const readers = s.args.map((v) => w.narrow(v, layout));
      if (readers.every((read) => read !== null)) {
        const name = w.declare(s.out);
        w.each(layout, (r) => {
          w.s.line(`${name}[${r}] = ${primitiveText(s.op, readers.map((read) => read(r)), dtype, lane, false)};`);
        });
        return;
      }
    }
    this.#define(s.out, s.args, (texts) => primitiveText(s.op, texts, dtype, lane, false));
  }

  #load(s: BlockStatement & { readonly kind: "load" }): void {
    const w = this.#w;
    const { out, place, mask } = s;
    const layout = w.layoutOf(out);
    const masked = mask === null ? null : w.reader(mask, layout);
    const gathers = place.gathers.map((g) => w.reader(g.value, layout));
    const name = w.declare(out);
    const other = literal(s.other, laneOf(out.dtype, false));
    const vector = masked === null ? this.#vector(layout, place, out.dtype) : 1;
    if (vector > 1) {
      const r = w.s.fresh("r");
      w.s.open(`#pragma unroll\nfor (int ${r} = 0; ${r} < ${layout.registers}; ${r} += ${vector}) {`);
      w.at(layout, r);
      const conditions = w.conditions(place, []);
      const to = `(${scalarType(out.dtype)} (&)[${vector}])${name}[${r}]`;
      const load = `tsr_load<${vector}>(${to}, ${w.address(place, [])});`;
      const fill = `for (int u = 0; u < ${vector}; u++) ${name}[${r} + u] = ${other};`;
      w.s.line(conditions.length === 0 ? load : `if (${conditions.join(" && ")}) ${load} else ${fill}`);
      w.s.close();
      return;
    }
    w.each(layout, (r) => {
      const found = gathers.map((read) => read(r));
      const when = masked === null ? [] : [masked(r)];
      w.at(layout, r);
      const conditions = [...when, ...w.conditions(place, found)];
      const text = `tsr_get(${w.address(place, found)})`;
      w.s.line(
        `${name}[${r}] = ${conditions.length === 0 ? text : `${conditions.join(" && ")} ? ${text} : ${other}`};`,
      );
    });
  }

  /** How many registers one access can take. */
  #vector(layout: Layout, place: (BlockStatement & { readonly kind: "load" })["place"], dtype: DType): number {
    for (const axis of layout.axes) {
      const [first] = layout.digits.get(axis) ?? [];
      if (first?.source !== "register" || first.weight !== 1 || first.stride !== 1) continue;
      for (let lanes = Math.min(first.size, 16 / dtype.bytes); lanes > 1; lanes /= 2) {
        if (this.#w.runAxis(place, [axis], lanes) === axis) return lanes;
      }
    }
    return 1;
  }

  #store(s: BlockStatement & { readonly kind: "store" | "combine" }): void {
    const w = this.#w;
    const { place, mask } = s;
    // A block goes out as it lies; what varies less is spread over the place's axes.
    const wide = s.value.axes.length >= place.axes.length ? s.value : null;
    const layout = wide !== null && !w.isPlain(wide) ? w.layoutOf(wide) : this.#storeLayout(s);
    const read = w.reader(s.value, layout);
    const masked = mask === null ? null : w.reader(mask, layout);
    const gathers = place.gathers.map((g) => w.reader(g.value, layout));
    const copies = copyBits(layout, this.#warps);
    const once: string[] = [];
    if (copies.lane !== 0) once.push(`(lane & ${copies.lane}) == 0`);
    if (copies.warp !== 0) once.push(`(warp & ${copies.warp}) == 0`);
    if (once.length > 0) w.s.open(`if (${once.join(" && ")}) {`);
    const vector = s.kind === "store" && masked === null ? this.#vector(layout, place, s.value.dtype) : 1;
    const type = scalarType(s.value.dtype);
    if (vector > 1) {
      const r = w.s.fresh("r");
      w.s.open(`#pragma unroll\nfor (int ${r} = 0; ${r} < ${layout.registers}; ${r} += ${vector}) {`);
      w.s.line(`${type} z[${vector}];`);
      w.s.line(`#pragma unroll\nfor (int u = 0; u < ${vector}; u++) z[u] = ${read(`(${r} + u)`)};`);
      w.at(layout, r);
      const conditions = w.conditions(place, []);
      const store = `tsr_store<${vector}>(${w.address(place, [])}, z);`;
      w.s.line(conditions.length === 0 ? store : `if (${conditions.join(" && ")}) ${store}`);
      w.s.close();
    } else {
      w.each(layout, (r) => {
        const found = gathers.map((g) => g(r));
        const when = masked === null ? [] : [masked(r)];
        const value = read(r);
        w.at(layout, r);
        const conditions = [...when, ...w.conditions(place, found)];
        const at = w.address(place, found);
        const text = s.kind === "store" ? `tsr_put(${at}, ${value});` : combine(s.op, at, value, s.value.dtype, type);
        w.s.line(conditions.length === 0 ? text : `if (${conditions.join(" && ")}) ${text}`);
      });
    }
    if (once.length > 0) w.s.close();
  }

  /** A layout for a store of what has none of its own. */
  #storeLayout(s: BlockStatement & { readonly kind: "store" | "combine" }): Layout {
    const axes = this.#w.program.axes.filter((axis) =>
      s.place.axes.includes(axis) || s.value.axes.includes(axis) || s.mask?.axes.includes(axis) === true
    );
    for (const layout of this.#w.layouts.values()) {
      if (layout.axes.length === axes.length && layout.axes.every((axis, i) => axis === axes[i])) return layout;
    }
    for (const layout of this.#w.layouts.values()) {
      if (axes.every((axis) => layout.axes.includes(axis))) return sliceLayout(layout, axes);
    }
    return blockedLayout(axes, axes, 1, this.#warps);
  }

  #reduce(out: BlockValue, arg: BlockValue, axis: BlockAxis, op: BlockReduceOp): void {
    const w = this.#w;
    const layout = w.layoutOf(arg);
    const read = w.reader(arg, layout);
    const kept = out.axes.length === 0 ? w.layoutOf(out) : sliceLayout(layout, out.axes);
    const lane = laneOf(out.dtype, false);
    const join = (a: string, b: string): string => combineText(op, a, b, out.dtype, lane, false);
    const name = w.declare(out, kept);
    w.each(kept, (r) => w.s.line(`${name}[${r}] = ${neutral(op, lane)};`));
    w.each(layout, (r) => {
      const to = `${name}[${sliceRegister(layout, kept, r)}]`;
      w.s.line(`${to} = ${join(to, read(r))};`);
    });
    const digits = layout.digits.get(axis) ?? [];
    for (const d of digits) {
      if (d.source !== "lane") continue;
      for (let bit = d.stride; bit < d.stride * d.size; bit *= 2) {
        w.each(
          kept,
          (r) =>
            w.s.line(
              `${name}[${r}] = ${join(`${name}[${r}]`, `__shfl_xor_sync(0xffffffffu, ${name}[${r}], ${bit})`)};`,
            ),
        );
      }
    }
    for (const d of digits) {
      if (d.source !== "warp") continue;
      const type = scalarType(out.dtype);
      const room = `((${type}*)${w.scratch(kept.registers * 32 * this.#warps * 8)})`;
      const place = (r: string, warp: string): string => `(${r} * ${this.#warps} + ${warp}) * 32 + lane`;
      w.meet();
      w.each(kept, (r) => w.s.line(`${room}[${place(r, "warp")}] = ${name}[${r}];`));
      w.meet();
      const own = `(warp / ${d.stride} % ${d.size})`;
      w.each(kept, (r) => {
        w.s.line(`${name}[${r}] = ${room}[${place(r, `(warp - ${own} * ${d.stride})`)}];`);
        const q = w.s.fresh("q");
        const other = `${room}[${place(r, `(warp + (${q} - ${own}) * ${d.stride})`)}]`;
        w.s.line(
          `#pragma unroll\nfor (int ${q} = 1; ${q} < ${d.size}; ${q}++) ${name}[${r}] = ${
            join(`${name}[${r}]`, other)
          };`,
        );
      });
    }
  }

  #loop(s: BlockStatement & { readonly kind: "for" }): void {
    const w = this.#w;
    const { axis } = s;
    const { index } = w.f;
    const scalar = (v: BlockValue): string => `(${index})${w.reader(v, w.layoutOf(v))("0")}`;
    const [first, end] = [s.from, s.to].map((v) => v === null ? null : scalar(v));
    const [from, to, x] = [w.s.fresh("b"), w.s.fresh("e"), w.s.fresh("o")];
    const extent = w.f.extent(axis.extent);
    w.s.line(
      `const ${index} ${from} = ${
        first === null ? "0" : `tsr_max((${index})0, ${first}) / ${axis.block} * ${axis.block}`
      };`,
    );
    w.s.line(`const ${index} ${to} = ${end === null ? extent : `tsr_min((${index})${extent}, ${end})`};`);
    const ahead = this.products.ahead(s.body);
    const { stages } = w.program.options;
    const copies = (origin: string, stage: string): void => {
      w.s.define(axis.origin, origin);
      if (axis.block === 1) w.s.define(axis.symbol, origin);
      for (const operand of ahead) this.products.copy(operand, stage);
    };
    const stage = w.s.fresh("s");
    const running = this.products.running(s.body);
    // A product that is under way still reads the tile before: that is not the one to be overwritten then.
    const distance = running === null ? stages - 1 : stages - 2;
    if (ahead.length > 0) {
      const [i, o] = [w.s.fresh("i"), w.s.fresh("o")];
      // What an earlier loop left in shared memory is read by now.
      w.meet();
      w.s.open(`#pragma unroll\nfor (int ${i} = 0; ${i} < ${distance}; ${i}++) {`);
      w.s.line(`const ${index} ${o} = ${from} + ${i} * ${axis.block};`);
      w.s.open(`if (${o} < ${to}) {`);
      copies(o, i);
      w.s.close();
      w.s.line("tsr_copy_commit();");
      w.s.close();
      w.s.line(`int ${stage} = 0;`);
    }
    w.openLoop(`for (${index} ${x} = ${from}; ${x} < ${to}; ${x} += ${axis.block}) {`);
    if (ahead.length > 0) {
      w.s.line(`tsr_copy_wait<${distance - 1}>();`);
      this.products.arrived();
      const [next, then] = [w.s.fresh("o"), w.s.fresh("s")];
      w.s.line(`const ${index} ${next} = ${x} + ${distance * axis.block};`);
      w.s.line(
        `const int ${then} = ${stage} < ${stages - distance} ? ${stage} + ${distance} : ${stage} - ${
          stages - distance
        };`,
      );
      w.s.open(`if (${next} < ${to}) {`);
      copies(next, then);
      w.s.close();
      w.s.line("tsr_copy_commit();");
      for (const operand of ahead) {
        this.products.arrive(operand, stage);
        this.#ahead.add(operand.load.out);
      }
    }
    w.s.define(axis.origin, x);
    if (axis.block === 1) w.s.define(axis.symbol, x);
    if (running === null) this.statements(s.body);
    else this.products.run(running);
    if (ahead.length > 0) w.s.line(`${stage} = ${stage} == ${stages - 1} ? 0 : ${stage} + 1;`);
    w.closeLoop();
    if (running !== null) w.s.line("tsr_wgmma_wait<0>();");
    if (ahead.length > 0) w.s.line("tsr_copy_wait<0>();");
  }
}

function combine(op: "sum" | "max" | "min", at: string, value: string, dtype: DType, type: string): string {
  if (op === "sum") return `tsr_atomic_add(${at}, ${value});`;
  const text = combineText(op, "x", "y", dtype, laneOf(dtype, false), false);
  return `{ const ${type} y = ${value}; tsr_atomic(${at}, [=](${type} x) { return ${text}; }); }`;
}

/** Emits a block program. */
export function emitCudaBlocks(kernel: BlocksKernel, context: EmitContext): CudaKernelText {
  const writer = new BlocksWriter(kernel, context);
  const emitter = new Emitter(writer);
  const count = writer.begin();
  emitter.statements(kernel.program.body);
  emitter.products.check(sharedLimit(context.arch));
  const includes = new Set<CudaInclude>();
  const statements = [...statementsOf(kernel.program.body)];
  if (statements.some((s) => s.kind === "combine")) includes.add("collectives");
  if (statements.some((s) => s.kind === "dot")) includes.add("mma").add("blocks");
  if (writer.groups) includes.add("hopper").add("block_groups");
  const { instructions } = emitter.products;
  const { args, parameters } = signature(writer.f);
  const body = writer.s.text("  ").replaceAll("OPERANDS", String(writer.operandBytes));
  return {
    parameters,
    body: writer.sharedBytes > 0 ? `  TSR_DYNAMIC(room);\n${body}` : body,
    includes,
    ...(instructions.size === 0 ? {} : { support: ["#ifndef TSR_EMULATED", ...instructions, "#endif"].join("\n") }),
    args,
    grid: line(count),
    block: [writer.threads, 1, 1],
    sharedBytes: writer.sharedBytes,
  };
}
