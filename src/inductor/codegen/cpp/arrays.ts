/**
 * Arrays of accumulators: column sums that rows are added to.
 *
 * They lie in the calling thread's scratch memory, one after the other. Where workers share the loop over the rows, each piece of it has an array
 * of its own, filled and added to by one worker; at the end the pieces are added up in order, so that the sums depend on the sizes alone, not on
 * the number of threads or on who ran which piece. Arrays are padded to whole registers: filling and adding up need no rest.
 */
import { InternalError } from "../../../core/mod.ts";
import { add, type Expr, floorDiv, mul } from "../../../symbolic/mod.ts";
import { walkStatements } from "../../tile/parameters.ts";
import type { Axis, TileStatement, TileValue } from "../../tile/tile_ir.ts";
import type { CppMemory } from "./memory.ts";
import { broadcast, combineText, laneOf, memoryType, neutral } from "./types.ts";
import type { CppValues } from "./values.ts";

/** Pieces into which a shared loop is cut: the same for every number of threads, so that results are the same too. */
export const SPLIT_PIECES = 32;
/** Iterations that a piece with arrays of its own has at least for each element of them: they are filled and read once more a piece. */
const WORK_AN_ELEMENT = 4;
const ALIGNMENT = 64;

type Declaration = TileStatement & { readonly kind: "accumulators" };

interface CppArray {
  readonly declaration: Declaration;
  /** The pointer to the first piece's array. */
  readonly name: string;
  /** Elements from one piece's array to the next one's. */
  readonly stride: string;
}

function isArrayUse(s: TileStatement): s is TileStatement & { readonly kind: "accumulateAt" } {
  return s.kind === "accumulateAt";
}

/** The arrays of one function. */
export class CppArrays {
  readonly #values: CppValues;
  readonly #memory: CppMemory;
  readonly #axes: readonly Axis[];
  readonly #declarations: Declaration[] = [];
  readonly #arrays = new Map<TileValue, CppArray>();
  /** Pointers in the piece that is being written. */
  readonly #own = new Map<TileValue, string>();
  #isShared = false;

  constructor(
    values: CppValues,
    memory: CppMemory,
    bodies: readonly (readonly TileStatement[])[],
    axes: readonly Axis[],
  ) {
    this.#axes = axes;
    this.#values = values;
    this.#memory = memory;
    for (const body of bodies) {
      walkStatements(body, (s) => {
        if (s.kind === "accumulators") this.#declarations.push(s);
        else if (s.kind === "for" && s.split) this.#isShared = true;
      });
    }
  }

  /** Declares an array; the first one takes the memory of all. */
  declare(s: Declaration): void {
    if (this.#arrays.size === 0) this.#allocate();
    const array = this.#arrays.get(s.out);
    if (array === undefined) throw new InternalError(`accumulators ${s.out.id} are not of this kernel`);
    if (!this.#isShared) this.#fill(array, array.name);
  }

  #allocate(): void {
    const { scopes } = this.#values;
    const memory = scopes.fresh("m");
    const pieces = this.#isShared ? SPLIT_PIECES : 1;
    let at: Expr = add(0);
    const places = this.#declarations.map((declaration) => {
      const { bytes } = declaration.out.dtype;
      const unit = ALIGNMENT / Math.min(bytes, 4);
      const stride = mul(floorDiv(add(declaration.size, unit - 1), unit), unit);
      const place = { declaration, stride, at };
      at = add(at, mul(stride, bytes * pieces));
      return place;
    });
    scopes.line(`char* const ${memory} = (char*)runtime->scratch(worker, ${scopes.index(at)});`);
    for (const { declaration, stride, at: offset } of places) {
      const name = scopes.fresh("c");
      const type = memoryType(declaration.out.dtype);
      scopes.line(`${type}* const ${name} = (${type}*)(${memory} + ${scopes.index(offset)});`);
      this.#arrays.set(declaration.out, { declaration, name, stride: scopes.index(stride) });
    }
  }

  #array(v: TileValue): CppArray {
    const found = this.#arrays.get(v);
    if (found === undefined) throw new InternalError(`accumulators ${v.id} are not defined`);
    return found;
  }

  #fill({ declaration, stride }: CppArray, pointer: string): void {
    const lane = laneOf(declaration.out.dtype, false);
    const value = broadcast(neutral(declaration.op, lane), lane);
    this.#values.scopes.line(`for (long z = 0; z < ${stride}; z += VW) tsr_store(${pointer} + z, ${value});`);
  }

  /** Combines into an accumulator. */
  accumulate(s: TileStatement & { readonly kind: "accumulateAt" }): void {
    const { dtype } = s.accumulators;
    const pointer = this.#own.get(s.accumulators) ?? this.#array(s.accumulators).name;
    const lane = laneOf(dtype, false);
    this.#memory.storeTo(pointer, s.index, (u, vector) => {
      const old = this.#memory.loadFrom(pointer, dtype, s.index, null, vector, u);
      return combineText(s.op, old, this.#memory.stored(s.value, dtype, vector, u), dtype, lane, vector);
    });
  }

  /** Defines a value as an accumulator's. */
  finish(s: TileStatement & { readonly kind: "finishAt" }): void {
    const { name } = this.#array(s.accumulators);
    const vector = this.#values.varies(s.index);
    const { depth } = this.#values.scopes;
    const narrow = vector && this.#values.isNarrow(s.out);
    this.#values.define(s.out, vector, depth, (u) => {
      const text = this.#memory.loadFrom(name, s.out.dtype, s.index, null, vector, u);
      return narrow ? `tsr_i32(${text})` : text;
    });
  }

  /** The arrays that a loop's body combines into. */
  usedBy(body: readonly TileStatement[]): TileValue[] {
    const used = new Set<TileValue>();
    walkStatements(body, (s) => {
      if (isArrayUse(s)) used.add(s.accumulators);
    });
    return [...used];
  }

  /** Writes the number of pieces of a shared loop of `blocks` steps with arrays, and yields its name. */
  pieces(blocks: string): string {
    const { scopes } = this.#values;
    const name = scopes.fresh("n");
    const elements = add(...this.#declarations.map((d) => d.size));
    const iterations = this.#axes.reduce<Expr>((product, axis) => mul(product, axis.extent), add(1));
    const worth = `${scopes.index(iterations)} / (${scopes.index(mul(elements, WORK_AN_ELEMENT))} + 1)`;
    scopes.line(`const long ${name}m = tsr_min(${SPLIT_PIECES}, tsr_min(${blocks}, ${worth}));`);
    scopes.line(`const long ${name} = ${name}m < 1 ? 1 : ${name}m;`);
    return name;
  }

  /** Writes `body` with the arrays of the piece whose number is in `piece`. */
  inPiece(used: readonly TileValue[], body: () => void): void {
    for (const v of used) {
      const array = this.#array(v);
      const own = this.#values.scopes.fresh("c");
      this.#values.scopes.line(
        `${memoryType(v.dtype)}* const ${own} = ${array.name} + piece * ${array.stride};`,
      );
      this.#fill(array, own);
      this.#own.set(v, own);
    }
    body();
    for (const v of used) this.#own.delete(v);
  }

  /** Adds up the pieces, in order, into the first one. */
  combine(used: readonly TileValue[], pieces: string): void {
    const { scopes } = this.#values;
    for (const v of used) {
      const { name, stride, declaration } = this.#array(v);
      const task = scopes.fresh("t");
      const lane = laneOf(v.dtype, false);
      scopes.open(`auto ${task} = [&](long from, long to) {`, "};");
      scopes.open("for (long z = from * VW; z < to * VW; z += VW) {");
      scopes.line(`auto sum = tsr_load(${name} + z);`);
      const next = `tsr_load(${name} + piece * ${stride} + z)`;
      const text = combineText(declaration.op, "sum", next, v.dtype, lane, true);
      scopes.line(`for (long piece = 1; piece < ${pieces}; piece++) sum = ${text};`);
      scopes.line(`tsr_store(${name} + z, sum);`);
      scopes.close();
      scopes.close();
      scopes.line(
        `runtime->parallel_for([](void* c, long from, long to, int) { (*(decltype(${task})*)c)(from, to); }, &${task}, ${stride} / VW, 64);`,
      );
    }
  }
}
