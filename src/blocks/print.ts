/**
 * The text of block programs: stable, for logs, caches and people.
 */
import { Namer } from "../loops/mod.ts";
import { type BlockProgram, type BlockStatement, type BlockValue, type Place } from "./block_ir.ts";

/** A program as text: axes by position, values in the order of their making. */
export function blocksToText(program: BlockProgram, namer: Namer = new Namer()): string {
  const numbers = new Map<BlockValue, string>();
  const name = (v: BlockValue): string => {
    let found = numbers.get(v);
    if (found === undefined) numbers.set(v, found = `%${numbers.size}`);
    return found;
  };
  const typed = (v: BlockValue): string => {
    const axes = v.axes.map((axis) => namer.symbol(axis.symbol)).join(", ");
    return `${name(v)}: ${v.dtype.short}[${axes}]`;
  };
  const place = (p: Place): string => {
    const gathers = p.gathers.map((g) => ` + ${name(g.value)} * ${namer.expr(g.stride)} (of ${namer.expr(g.size)})`);
    const where = p.conditions.map((c) =>
      `${c.lower ? "0 <= " : ""}${namer.expr(c.expr)}${c.upper === null ? "" : ` < ${namer.expr(c.upper)}`}`
    );
    return `${namer.buffer(p.buffer)}[${namer.expr(p.index)}${gathers.join("")}]${
      where.length === 0 ? "" : ` where ${where.join(", ")}`
    }`;
  };
  const masked = (mask: BlockValue | null): string => mask === null ? "" : ` if ${name(mask)}`;
  const lines = (body: readonly BlockStatement[], indent: string): string[] =>
    body.flatMap((s): string[] => {
      switch (s.kind) {
        case "constant":
          return [`${indent}${typed(s.out)} = ${s.value}`];
        case "index":
          return [`${indent}${typed(s.out)} = ${namer.expr(s.expr)}`];
        case "load":
          return [`${indent}${typed(s.out)} = ${place(s.place)}${masked(s.mask)} else ${s.other}`];
        case "store":
          return [`${indent}${place(s.place)} = ${name(s.value)}${masked(s.mask)}`];
        case "combine":
          return [`${indent}${place(s.place)} ${s.op}= ${name(s.value)}${masked(s.mask)}`];
        case "pointwise":
          return [`${indent}${typed(s.out)} = ${s.op}(${s.args.map(name).join(", ")})`];
        case "cast":
          return [`${indent}${typed(s.out)} = ${name(s.arg)}`];
        case "reduce":
          return [`${indent}${typed(s.out)} = ${s.op}(${name(s.arg)}) along ${namer.symbol(s.axis.symbol)}`];
        case "dot": {
          const more = s.add === null ? "" : ` + ${name(s.add)}`;
          return [
            `${indent}${typed(s.out)} = dot(${name(s.a)}, ${name(s.b)}) along ${
              namer.symbol(s.contract.symbol)
            }${more}`,
          ];
        }
        case "variable":
          return [`${indent}var ${typed(s.out)} = ${name(s.init)}`];
        case "assign":
          return [`${indent}${name(s.variable)} := ${name(s.value)}`];
        case "snapshot":
          return [`${indent}${typed(s.out)} = now ${name(s.variable)}`];
        case "for": {
          const part = `${s.from === null ? "" : ` from ${name(s.from)}`}${s.to === null ? "" : ` to ${name(s.to)}`}`;
          return [`${indent}for ${namer.symbol(s.axis.symbol)}${part}`, ...lines(s.body, `${indent}  `)];
        }
        default:
          return s satisfies never;
      }
    });
  const { warps, stages, group } = program.options;
  const axes = program.axes.map((a) =>
    `${namer.symbol(a.symbol)}: ${a.role} ${namer.expr(a.extent)} by ${a.block}${a.ragged ? " ragged" : ""}`
  );
  return [
    `kernel ${program.name} (${warps} warps, ${stages} stages, groups of ${group})`,
    ...axes.map((a) => `  ${a}`),
    ...lines(program.body, "  "),
  ].join("\n");
}
