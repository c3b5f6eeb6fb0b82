/**
 * Prints tensors as PyTorch does: four decimals, one scientific notation for all if needed, edges only above 1000 elements.
 */
import { bool, getDefaultDtype, int64 } from "../core/mod.ts";
import { shapeToText } from "../symbolic/mod.ts";
import { hostFromRaw } from "./memory.ts";
import { withoutModes } from "./mode.ts";
import { readElements } from "./read.ts";
import type { Tensor } from "./tensor.ts";

const PRECISION = 4;
const THRESHOLD = 1000;
const EDGE = 3;
const LINE_WIDTH = 80;

function scientific(value: number): string {
  const [mantissa = "", exponent = ""] = value.toExponential(PRECISION).split("e");
  const digits = exponent.replace(/^[+-]/, "").padStart(2, "0");
  return `${mantissa}e${exponent.startsWith("-") ? "-" : "+"}${digits}`;
}

function special(value: number): string | null {
  if (Number.isNaN(value)) return "nan";
  return value === Infinity ? "inf" : value === -Infinity ? "-inf" : null;
}

/** One way of writing for all elements, and the width they are padded to. */
interface Formatter {
  readonly width: number;
  readonly format: (v: number | bigint) => string;
}

function formatter(t: Tensor, shown: readonly (number | bigint)[]): Formatter {
  let format: (v: number | bigint) => string;
  if (t.dtype === bool) format = (v) => v ? "True" : "False";
  else if (!t.dtype.isFloat) format = String;
  else {
    const finite = shown.map(Number).filter((v) => Number.isFinite(v) && v !== 0).map(Math.abs);
    const max = finite.reduce((a, b) => Math.max(a, b), 0);
    const min = finite.reduce((a, b) => Math.min(a, b), max);
    const whole = finite.every((v) => Number.isInteger(v));
    const useScientific = finite.length > 0 &&
      (max / min > 1000 || max > 1e8 || (!whole && min < 1e-4)) && !(whole && max / min <= 1000 && max <= 1e8);
    format = (v) => {
      const n = Number(v);
      const text = special(n);
      if (text !== null) return text;
      if (useScientific) return scientific(n);
      if (whole) return `${Object.is(n, -0) ? "-0" : n.toFixed(0)}.`;
      return Object.is(n, -0) ? "-0.0000" : n.toFixed(PRECISION);
    };
  }
  // As PyTorch does, zeros, nan and inf do not widen columns of floating point numbers.
  const measured = t.dtype.isFloat ? shown.filter((v) => Number.isFinite(Number(v)) && Number(v) !== 0) : shown;
  const width = measured.reduce((most: number, v) => Math.max(most, format(v).length), 1);
  return { width, format: (v) => format(v).padStart(width) };
}

function suffix(t: Tensor): string {
  const parts: string[] = [];
  const implied = t.dtype === getDefaultDtype() || t.dtype === int64 || t.dtype === bool;
  if (t.numel === 0 && t.ndim !== 1) parts.push(`size=${shapeToText(t.shape).replace("[", "(").replace("]", ")")}`);
  if (t.device.type !== "cpu") parts.push(`device='${t.device.type}:${t.device.index}'`);
  if (!implied || (t.numel === 0 && t.dtype !== getDefaultDtype())) parts.push(`dtype=${t.dtype}`);
  const fn = t.gradFn;
  if (fn !== null) parts.push(`grad_fn=<${fn.name}>`);
  else if (t.requiresGrad) parts.push("requires_grad=True");
  return parts.map((p) => `, ${p}`).join("");
}

/** The text of a tensor; fake and traced tensors show their description. */
export function printTensor(t: Tensor): string {
  if (!t.isDense) {
    const kind = t.payload.kind === "traced" ? `TracedTensor` : t.device.type === "meta" ? "MetaTensor" : "FakeTensor";
    return `${kind}(shape=${shapeToText(t.shape)}, dtype=${t.dtype}${t.requiresGrad ? ", requires_grad=True" : ""})`;
  }
  if (t.storage.buffer?.disposed === true) return `Tensor(disposed, shape=${shapeToText(t.shape)})`;
  return withoutModes(() => `tensor(${body(t)}${suffix(t)})`);
}

function body(t: Tensor): string {
  const shape = t.shape.map(Number);
  const flat = hostFromRaw(t.dtype, readElements(t));
  const at = (i: number): number | bigint => flat[i] ?? 0;
  if (flat.length === 0) return "[]";
  if (shape.length === 0) return formatter(t, [at(0)]).format(at(0)).trim();
  const summarize = flat.length > THRESHOLD;
  const shownIndices = (size: number): (number | null)[] =>
    summarize && size > 2 * EDGE
      ? [0, 1, 2, null, size - 3, size - 2, size - 1]
      : Array.from({ length: size }, (_, i) => i);
  const strides = shape.map((_, d) => shape.slice(d + 1).reduce((a, b) => a * b, 1));
  const shown: (number | bigint)[] = [];
  const collect = (d: number, offset: number): void => {
    if (d === shape.length) shown.push(at(offset));
    else for (const i of shownIndices(shape[d] ?? 0)) if (i !== null) collect(d + 1, offset + i * (strides[d] ?? 1));
  };
  collect(0, 0);
  const { width, format } = formatter(t, shown);
  const perLine = (indent: number): number => Math.max(1, Math.floor((LINE_WIDTH - indent) / (width + 2)));
  const row = (offset: number, indent: number): string => {
    const items = shownIndices(shape.at(-1) ?? 0).map((i) => i === null ? " ..." : format(at(offset + i)));
    const step = perLine(indent);
    const lines: string[] = [];
    for (let i = 0; i < items.length; i += step) lines.push(items.slice(i, i + step).join(", "));
    return `[${lines.join(`,\n${" ".repeat(indent + 1)}`)}]`;
  };
  const build = (d: number, offset: number, indent: number): string => {
    if (d === shape.length - 1) return row(offset, indent);
    const parts = shownIndices(shape[d] ?? 0).map((i) =>
      i === null ? "..." : build(d + 1, offset + i * (strides[d] ?? 1), indent + 1)
    );
    const gap = `,${"\n".repeat(shape.length - 1 - d)}${" ".repeat(indent + 1)}`;
    return `[${parts.join(gap)}]`;
  };
  return build(0, 0, "tensor(".length);
}
