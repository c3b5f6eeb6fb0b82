/**
 * Which layout each value of a block program has.
 *
 * Values of the same axes that are computed from each other share one. Where a product is among them it is that of tensor cores, elsewhere rows of lanes with the
 * axis innermost along which memory lies together; blocks of one axis take the slice of a matrix that they meet. What does not fit is
 * converted where it is used, so a choice here costs time at worst.
 */
import {
  type BlockAxis,
  type BlockProgram,
  type BlockStatement,
  type BlockValue,
  operandsOf,
  type Place,
  statementsOf,
} from "../../../../blocks/mod.ts";
import { CompileError } from "../../../../core/mod.ts";
import { coefficient, constantValue } from "../../../../symbolic/mod.ts";
import { blockedLayout, groupLayout, type Layout, productLayout, productShape, sliceLayout } from "./layouts.ts";

/** Whether memory lies together along an axis. */
export function runsAlong(place: Place, axis: BlockAxis): boolean {
  if (place.gathers.some((g) => g.value.axes.includes(axis))) return false;
  const step = coefficient(place.index, axis.symbol);
  return step !== null && constantValue(step) === 1;
}

/**
 * Whether the products of a program are those of warpgroups, whose operands lie in shared memory in swizzled pieces of 64 columns: halves, 64 rows for each four
 * warps, blocks of whole pieces. All of them or none, so that layouts agree.
 */
export function takesGroups(program: BlockProgram, arch: number): boolean {
  if (arch < 90 || arch >= 100 || program.options.warps % 4 !== 0) return false;
  const groups = program.options.warps / 4;
  let any = false;
  for (const s of statementsOf(program.body)) {
    if (s.kind !== "dot") continue;
    any = true;
    const [row] = s.a.axes.filter((axis) => axis !== s.contract);
    const [column] = s.b.axes.filter((axis) => axis !== s.contract);
    if (row === undefined || column === undefined || !s.a.dtype.isFloat || s.a.dtype.bytes !== 2) return false;
    if (row.block % (64 * groups) !== 0 || column.block % 64 !== 0 || column.block > 256) return false;
    if (s.contract.block % 64 !== 0) return false;
  }
  return any;
}

class Classes {
  readonly #parent = new Map<BlockValue, BlockValue>();

  find(v: BlockValue): BlockValue {
    let at = v;
    for (let up = this.#parent.get(at); up !== undefined; up = this.#parent.get(at)) at = up;
    return at;
  }

  join(a: BlockValue, b: BlockValue): void {
    const [x, y] = [this.find(a), this.find(b)];
    if (x !== y) this.#parent.set(x, y);
  }
}

const sameAxes = (a: BlockValue, b: BlockValue): boolean =>
  a.axes.length === b.axes.length && a.axes.every((axis, i) => axis === b.axes[i]);

/** Layouts of all values with axes. @throws {CompileError} where a product's blocks are too small */
export function chooseLayouts(program: BlockProgram, groups: boolean): Map<BlockValue, Layout> {
  const { warps } = program.options;
  const classes = new Classes();
  const all: BlockValue[] = [];
  const statements = [...statementsOf(program.body)];
  const loads = new Set<BlockValue>();
  /** Matrices and the vectors that they meet. */
  const meets: [BlockValue, BlockValue][] = [];
  const meet = (a: BlockValue, b: BlockValue): void => {
    if (sameAxes(a, b)) classes.join(a, b);
    else if (a.axes.length > b.axes.length) meets.push([a, b]);
    else meets.push([b, a]);
  };
  for (const s of statements) {
    if ("out" in s) all.push(s.out);
    if (s.kind === "load") loads.add(s.out);
    if (s.kind === "dot") {
      if (s.add !== null) classes.join(s.out, s.add);
    } else if (s.kind === "assign") meet(s.variable, s.value);
    else if ("out" in s && s.kind !== "load") { for (const v of operandsOf(s)) if (v.axes.length > 0) meet(s.out, v); }
    else if (s.kind === "load" && s.mask !== null) meet(s.out, s.mask);
  }
  const products = new Map<BlockValue, { readonly row: BlockAxis; readonly column: BlockAxis }>();
  for (const s of statements) {
    if (s.kind !== "dot") continue;
    const [row] = s.a.axes.filter((axis) => axis !== s.contract);
    const [column] = s.b.axes.filter((axis) => axis !== s.contract);
    if (row === undefined || column === undefined) continue;
    products.set(classes.find(s.out), { row, column });
  }
  for (const s of statements) {
    // A computed left operand goes from registers to registers if it lies as a result does.
    if (s.kind !== "dot" || loads.has(s.a)) continue;
    const [row] = s.a.axes.filter((axis) => axis !== s.contract);
    const root = classes.find(s.a);
    if (row !== undefined && !products.has(root)) products.set(root, { row, column: s.contract });
  }
  const layouts = new Map<BlockValue, Layout>();
  const made = new Map<BlockValue, Layout>();
  const matrixOf = (root: BlockValue, members: readonly BlockValue[]): Layout => {
    const product = products.get(root);
    const { axes } = root;
    if (product !== undefined && groups && product.row.block % (16 * warps) === 0) {
      return groupLayout(axes, product.row, product.column, warps);
    }
    if (product !== undefined) {
      const shape = productShape(product.row.block, product.column.block, warps);
      if (shape === null) {
        throw new CompileError(
          `kernel ${program.name}: a product of ${product.row.block} × ${product.column.block} results is too small for CUDA: use blocks of at least 16`,
        );
      }
      return productLayout(axes, product.row, product.column, shape);
    }
    return blocked(axes, members, statements, warps);
  };
  const members = new Map<BlockValue, BlockValue[]>();
  for (const v of all) {
    if (v.axes.length === 0) continue;
    const root = classes.find(v);
    const list = members.get(root);
    if (list === undefined) members.set(root, [v]);
    else list.push(v);
  }
  const sorted = [...members].sort((a, b) => b[0].axes.length - a[0].axes.length);
  for (const [root, values] of sorted) {
    let layout: Layout | null = null;
    if (root.axes.length === 1) {
      const met = meets.filter(([, small]) => classes.find(small) === root).map(([large]) => classes.find(large));
      const best = met.find((m) => products.has(m)) ?? met[0];
      const around = best === undefined ? undefined : made.get(best);
      if (around !== undefined) layout = sliceLayout(around, root.axes);
    }
    layout ??= matrixOf(root, values);
    made.set(root, layout);
    for (const v of values) layouts.set(v, layout);
  }
  return layouts;
}

function blocked(
  axes: readonly BlockAxis[],
  members: readonly BlockValue[],
  statements: readonly BlockStatement[],
  warps: number,
): Layout {
  const votes = new Map<BlockAxis, number>(axes.map((axis) => [axis, 0]));
  let bytes = 4;
  for (const s of statements) {
    if (s.kind !== "load" && s.kind !== "store") continue;
    const value = s.kind === "load" ? s.out : s.value;
    if (!members.includes(value)) continue;
    for (const axis of axes) if (runsAlong(s.place, axis)) votes.set(axis, (votes.get(axis) ?? 0) + 1);
    bytes = Math.min(bytes, value.dtype.bytes);
  }
  const order = [...axes].sort((a, b) => (votes.get(a) ?? 0) - (votes.get(b) ?? 0));
  const count = axes.reduce((n, axis) => n * axis.block, 1);
  const vector = Math.max(1, Math.min(16 / bytes, count / (32 * warps)));
  return blockedLayout(axes, order, vector, warps);
}
