/**
 * The invariants of block programs, checked.
 *
 * Values are defined before they are used, in the same loop or one around it; a value's axes are those of its operands; conditions cover every axis that
 * may reach beyond its extent; stores and loads name parameters; dtypes match.
 */
import { bool, int64, VerifyError } from "../core/mod.ts";
import { primitive } from "../loops/mod.ts";
import { freeSymbols, symbol } from "../symbolic/mod.ts";
import type { BlockAxis, BlockProgram, BlockStatement, BlockValue, Place } from "./block_ir.ts";
import { expressionsOf, operandsOf } from "./block_ir.ts";

class Checker {
  readonly #program: BlockProgram;
  readonly #variables = new Set<BlockValue>();
  readonly #seen = new Set<BlockValue>();

  constructor(program: BlockProgram) {
    this.#program = program;
  }

  fail(rule: string): never {
    throw new VerifyError(`kernel ${this.#program.name}: ${rule}`);
  }

  body(statements: readonly BlockStatement[], around: ReadonlySet<BlockValue>, open: ReadonlySet<BlockAxis>): void {
    const known = new Set(around);
    for (const s of statements) {
      for (const v of operandsOf(s)) if (!known.has(v)) this.fail(`${s.kind} uses value ${v.id} before it is defined`);
      for (const e of expressionsOf(s)) {
        for (const sym of freeSymbols(e)) {
          const axis = this.#program.axes.find((a) => a.symbol === sym || a.origin === sym);
          if (axis !== undefined && !open.has(axis)) {
            this.fail(`${s.kind} uses the axis ${sym.name}, whose loop is not open`);
          }
        }
      }
      this.#statement(s, known, open);
      if ("out" in s) {
        if (this.#seen.has(s.out)) this.fail(`value ${s.out.id} is defined twice`);
        this.#seen.add(s.out);
        known.add(s.out);
        if (s.out.axes.some((axis) => axis.block === 1 || !open.has(axis))) {
          this.fail(`value ${s.out.id} has a wrong axis`);
        }
      }
    }
  }

  #place(place: Place, writes: boolean): void {
    const parameter = this.#program.parameters.find((p) => p.buffer === place.buffer);
    if (parameter === undefined) this.fail(`${place.buffer.label} is no parameter`);
    if (parameter.writes !== writes) {
      this.fail(`${place.buffer.label} is ${writes ? "written" : "read"}, against its role`);
    }
    for (const axis of place.axes) {
      const covered = place.conditions.some((c) => c.expr === symbol(axis.symbol) && c.upper !== null);
      if (axis.ragged && !covered) this.fail(`${place.buffer.label}: no condition keeps ${axis.symbol.name} inside`);
    }
  }

  #varies(out: BlockValue, values: readonly (BlockValue | null)[], axes: readonly BlockAxis[] = []): void {
    const expected = new Set(axes);
    for (const v of values) for (const axis of v?.axes ?? []) expected.add(axis);
    if (expected.size !== out.axes.length || out.axes.some((axis) => !expected.has(axis))) {
      this.fail(`value ${out.id} has the wrong axes`);
    }
  }

  #statement(s: BlockStatement, known: ReadonlySet<BlockValue>, open: ReadonlySet<BlockAxis>): void {
    switch (s.kind) {
      case "constant":
        return this.#varies(s.out, []);
      case "index":
        if (s.out.dtype !== int64) this.fail(`the index ${s.out.id} is ${s.out.dtype.name}`);
        return;
      case "load":
        this.#place(s.place, false);
        if (s.mask !== null && s.mask.dtype !== bool) this.fail(`the mask ${s.mask.id} is ${s.mask.dtype.name}`);
        if (s.out.dtype !== s.place.buffer.dtype) this.fail(`a load yields ${s.out.dtype.name}`);
        return this.#varies(s.out, [s.mask, ...s.place.gathers.map((g) => g.value)], s.place.axes);
      case "store":
      case "combine":
        this.#place(s.place, true);
        if (s.value.dtype !== s.place.buffer.dtype) this.fail(`a store of ${s.value.dtype.name}`);
        return;
      case "pointwise": {
        const def = primitive(s.op);
        if (s.args.length !== def.arity) this.fail(`${s.op} has ${s.args.length} operands`);
        const numbers = s.op === "where" ? s.args.slice(1) : s.args;
        if (numbers.some((v) => v.dtype !== numbers[0]?.dtype)) this.fail(`operands of ${s.op} differ in dtype`);
        return this.#varies(s.out, s.args);
      }
      case "cast":
        return this.#varies(s.out, [s.arg]);
      case "reduce":
        if (!s.arg.axes.includes(s.axis)) this.fail(`${s.op} along an axis that is not there`);
        return this.#varies(s.out, [], s.arg.axes.filter((axis) => axis !== s.axis));
      case "dot":
        if (!s.a.axes.includes(s.contract) || !s.b.axes.includes(s.contract)) {
          this.fail("dot over an axis that is not there");
        }
        return this.#varies(s.out, [], [...s.a.axes, ...s.b.axes].filter((axis) => axis !== s.contract));
      case "variable":
        this.#variables.add(s.out);
        if (s.init.dtype !== s.out.dtype) this.fail(`variable ${s.out.id} begins with ${s.init.dtype.name}`);
        return;
      case "assign":
        if (!this.#variables.has(s.variable)) this.fail(`value ${s.variable.id} is no variable`);
        if (s.value.dtype !== s.variable.dtype) this.fail(`variable ${s.variable.id} is set to ${s.value.dtype.name}`);
        if (s.value.axes.some((axis) => !s.variable.axes.includes(axis))) {
          this.fail(`variable ${s.variable.id} lacks an axis`);
        }
        return;
      case "snapshot":
        if (!this.#variables.has(s.variable)) this.fail(`value ${s.variable.id} is no variable`);
        return this.#varies(s.out, [s.variable]);
      case "for":
        if (s.axis.role !== "loop" || open.has(s.axis)) this.fail("a loop over an axis that is none, or open already");
        return this.body(s.body, known, new Set([...open, s.axis]));
      default:
        s satisfies never;
    }
  }
}

/**
 * Checks a program.
 *
 * @throws {VerifyError} naming the kernel and the rule that is broken
 */
export function verifyBlockProgram(program: BlockProgram): void {
  const checker = new Checker(program);
  if (!/^[A-Za-z_]\w*$/.test(program.name)) checker.fail(`"${program.name}" is no identifier`);
  checker.body(program.body, new Set(), new Set(program.axes.filter((axis) => axis.role !== "loop")));
}
