/**
 * Contractions in JavaScript: packed panels and a 4 × 4 block of sums in local variables.
 *
 * Operands are copied into panels of four rows (columns) that run along k, so that the inner loop reads consecutive numbers whatever the operands'
 * strides are: im2col is the packing loop. Panels hold doubles; sums are exact beyond float32. The loop order is that of GotoBLAS with one level less:
 * a slice of columns is packed once, then rows go by in fours.
 */
import { constantValue, type Expr, floorDiv, mod, mul, newSym, symbol } from "../../../symbolic/mod.ts";
import type { Axis, ContractionKernel } from "../../tile/tile_ir.ts";
import { JsFunction, type JsFunctionText } from "./emit_kernel.ts";
import type { JsHelper } from "./helpers.ts";

const TILE = 4;
/** Numbers in a packed slice of columns: half a megabyte, which second-level caches hold. */
const SLICE = 65536;

/** Writes the function of a contraction. */
export function emitJsContraction(kernel: ContractionKernel, use: (name: JsHelper) => string): JsFunctionText {
  const axes = [...kernel.batch, ...kernel.a.rows, ...kernel.a.k, ...kernel.b.rows, ...kernel.b.k];
  const { epilogue } = kernel;
  const f = new JsFunction(kernel, [kernel.a.body, kernel.b.body, epilogue.body], axes, use);
  const s = f.scopes;
  const [m, n, k] = [kernel.m, kernel.n, mul(...kernel.k)].map((e: Expr) => {
    const known = constantValue(e);
    if (known !== null) return String(known);
    const name = s.fresh("e");
    s.line(`const ${name} = ${s.inline(e)};`);
    return name;
  }) as [string, string, string];
  const slice = s.fresh("c");
  s.line(`const ${slice} = Math.max(${TILE}, Math.min(${n} + 3, Math.floor(${SLICE} / Math.max(${k}, 1))) & ~3);`);
  const pa = s.fresh("a");
  const pb = s.fresh("b");
  const pc = s.fresh("t");
  s.line(`const ${pa} = ${use("scratch")}(0, ${TILE} * ${k});`);
  s.line(`const ${pb} = ${use("scratch")}(1, ${slice} * ${k});`);
  s.line(`const ${pc} = ${use("scratch")}(2, ${TILE * TILE});`);
  for (const axis of kernel.batch) f.openAxis(axis);

  s.open(`for (let j0 = 0; j0 < ${n}; j0 += ${slice}) {`);
  s.line(`const je = Math.min(${slice}, ${n} - j0);`);
  s.open(`for (let jj = 0; jj < je; jj++) {`);
  decompose(f, kernel.b.rows, "j0 + jj");
  s.line(`let q = (jj >> 2) * ${TILE} * ${k} + (jj & 3);`);
  pack(f, kernel.b.k, () => {
    f.statements(kernel.b.body);
    s.line(`${pb}[q] = ${f.scalar(kernel.b.value).text}; q += ${TILE};`);
  });
  s.close();

  s.open(`for (let i0 = 0; i0 < ${m}; i0 += ${TILE}) {`);
  s.line(`const ie = Math.min(${TILE}, ${m} - i0);`);
  s.open("for (let ii = 0; ii < ie; ii++) {");
  decompose(f, kernel.a.rows, "i0 + ii");
  s.line("let q = ii;");
  pack(f, kernel.a.k, () => {
    f.statements(kernel.a.body);
    s.line(`${pa}[q] = ${f.scalar(kernel.a.value).text}; q += ${TILE};`);
  });
  s.close();

  s.open(`for (let jt = 0; jt < je; jt += ${TILE}) {`);
  microKernel(f, pa, pb, pc, k);
  s.line(`const jte = Math.min(${TILE}, je - jt);`);
  s.open("for (let ii = 0; ii < ie; ii++) {");
  decompose(f, epilogue.m, "i0 + ii");
  s.open("for (let jj = 0; jj < jte; jj++) {");
  decompose(f, epilogue.n, "j0 + jt + jj");
  s.line(`const acc = ${pc}[ii * ${TILE} + jj];`);
  f.assign(epilogue.accumulator, "acc");
  f.statements(epilogue.body);
  s.close();
  s.close();
  s.close();
  s.close();
  s.close();
  for (const _ of kernel.batch) s.close();
  return f.finish();
}

/** Splits a linear position into the positions along axes. */
function decompose(f: JsFunction, axes: readonly Axis[], linear: string): void {
  const s = f.scopes;
  if (axes.length === 0) return;
  const whole = newSym("whole", { kind: "index", lower: 0, upper: 2 ** 31 - 1 });
  const name = s.fresh("l");
  s.line(`const ${name} = ${linear};`);
  s.define(whole, name);
  let rest = symbol(whole);
  for (let i = axes.length - 1; i >= 0; i--) {
    const axis = axes[i] as Axis;
    const own = i === 0 ? rest : mod(rest, axis.extent);
    const x = s.fresh("x");
    s.line(`const ${x} = ${s.inline(own)};`);
    s.define(axis.symbol, x);
    rest = floorDiv(rest, axis.extent);
  }
}

/** Loops over k around a body. */
function pack(f: JsFunction, k: readonly Axis[], body: () => void): void {
  for (const axis of k) f.openAxis(axis);
  body();
  for (const _ of k) f.scopes.close();
}

function microKernel(f: JsFunction, pa: string, pb: string, pc: string, k: string): void {
  const s = f.scopes;
  const at = [0, 1, 2, 3];
  s.line(`let ${at.flatMap((i) => at.map((j) => `s${i}${j} = 0`)).join(", ")};`);
  s.open(`for (let qa = 0, qb = jt * ${k}, qe = ${TILE} * ${k}; qa < qe; qa += ${TILE}, qb += ${TILE}) {`);
  s.line(`const ${at.map((i) => `u${i} = ${pa}[qa + ${i}]`).join(", ")};`);
  s.line(`const ${at.map((j) => `w${j} = ${pb}[qb + ${j}]`).join(", ")};`);
  for (const i of at) s.line(at.map((j) => `s${i}${j} += u${i} * w${j};`).join(" "));
  s.close();
  for (const i of at) s.line(at.map((j) => `${pc}[${i * TILE + j}] = s${i}${j};`).join(" "));
}
