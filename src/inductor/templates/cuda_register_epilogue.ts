/**
 * The end of a tile on Hopper without shared memory: sums go through the epilogue's program in the registers where wgmma leaves them.
 *
 * Enters: the sums of a warpgroup, two neighbours of a row in a thread, four threads side by side. Leaves: text that computes results in pairs, exchanges them between the four
 * threads, so that each has eight of one row, and stores sixteen bytes at a time. What the epilogue reads for each element comes the same way. For epilogues that write one
 * matrix of halves along its columns and read others that lie so; the rest is staged (`cuda_epilogue.ts`). The ring of tiles and the tensor cores need all that shared memory can give: staged sums took
 * eight bytes of it for each element, results that are exchanged take two.
 */
import type { BufferRef } from "../../loops/mod.ts";
import { coefficient, constant, constantValue, freeSymbols } from "../../symbolic/mod.ts";
import type { CudaFunction } from "../codegen/cuda/function.ts";
import { memoryType } from "../codegen/cpp/types.ts";
import { type Axis, type ContractionKernel, PLAIN_KINDS, type TileStatement } from "../tile/tile_ir.ts";
import { exactLanes } from "./cuda_epilogue.ts";

/** Halves that a thread stores at once. */
const RUN = 8;
/** Columns of which the lanes of a warp have a pair each. */
const PAIRS = 64;
/** Columns of which four threads have runs. */
const SPAN = 32;

/** Whether a tile of so many columns ends in registers. */
export function endsInRegisters({ epilogue, writes }: ContractionKernel, columns: number): boolean {
  const { body, m, n } = epilogue;
  const inner = n.at(-1);
  const stores = body.filter((s) => s.kind === "store");
  if (inner === undefined || columns % SPAN !== 0 || stores.length !== 1 || writes.length !== 1) return false;
  if (stores[0]?.buffer.dtype.bytes !== 2 || !body.every(({ kind }) => kind === "store" || PLAIN_KINDS.has(kind))) {
    return false;
  }
  const loads = body.filter((s) => s.kind === "load");
  if (loads.some(({ mask }) => mask !== null) || exactLanes(body, inner, RUN) !== RUN) return false;
  // What is read for each element lies as what is written does: halves, side by side along the columns.
  return loads.filter((s) => isMatrix(s, m, n)).every(({ buffer, index }) =>
    buffer.dtype.bytes === 2 && constantValue(coefficient(index, inner.symbol) ?? constant(0)) === 1 &&
    loads.filter((other) => other.buffer === buffer).length === 1 && !writes.includes(buffer)
  );
}

type Load = TileStatement & { readonly kind: "load" };

function isMatrix({ index }: Load, m: readonly Axis[], n: readonly Axis[]): boolean {
  const free = freeSymbols(index);
  return [m, n].every((axes) => axes.some(({ symbol }) => free.has(symbol)));
}

/** What an epilogue reads for each column, in registers of a warp: pair by pair, a lane after the other. */
export interface HeldColumns {
  readonly load: Load;
  readonly name: string;
}

/**
 * Loads what the epilogue reads for each column of a tile (biases) before its sums are made: at the tile's end each read would wait for the second cache, which copies of the next tiles
 * keep busy. `column` is the tile's first one.
 */
export function holdColumns(
  f: CudaFunction,
  kernel: ContractionKernel,
  { column, columns }: { readonly column: string; readonly columns: number },
): HeldColumns[] {
  const s = f.scopes;
  const { body, m, n } = kernel.epilogue;
  const inner = n.at(-1);
  const loads = body.filter((st): st is Load =>
    st.kind === "load" && inner !== undefined && !m.some(({ symbol }) => freeSymbols(st.index).has(symbol)) &&
    st.buffer.dtype.bytes === 2 && constantValue(coefficient(st.index, inner.symbol) ?? constant(0)) === 1 &&
    body.filter((other) => other.kind === "load" && other.buffer === st.buffer).length === 1
  );
  if (loads.length === 0) return [];
  const held = loads.map((load) => ({ load, name: s.fresh("held") }));
  for (const { name } of held) s.line(`unsigned ${name}[${Math.ceil(columns / PAIRS)}];`);
  s.open(`#pragma unroll\nfor (int i = 0; i < ${Math.ceil(columns / PAIRS)}; i++) {`);
  s.line(`const int own = i * ${PAIRS} + ((int)threadIdx.x & 31) * 2;`);
  s.line(`const bool there = own < ${columns} && ${column} + own < ${f.extent(kernel.n)};`);
  s.line(`const ${f.index} en = there ? ${column} + own : 0;`);
  f.decompose(n, "en", (axis) => f.extent(axis.extent));
  for (const { load, name } of held) {
    s.line(`${name}[i] = *(const unsigned*)(${f.pointer(load.buffer)} + ${s.index(load.index)});`);
  }
  s.close();
  return held;
}

/** Where a warpgroup's tile lies, as texts. */
export interface RegisterTile {
  /** Arrays of sums, 64 rows each. */
  readonly sums: readonly string[];
  /** The first row of each, and the tile's first column. */
  readonly rows: readonly string[];
  readonly column: string;
  readonly columns: number;
  /** The type of sums. */
  readonly type: string;
  /** What was loaded before, by {@linkcode holdColumns}. */
  readonly held?: readonly HeldColumns[];
  /** Sizes of a whole tile, by which rows or columns may lie beyond the end. */
  readonly tileM: number;
  readonly tileN: number;
}

/** Writes the end of a tile. */
export function writeRegisterEpilogue(f: CudaFunction, kernel: ContractionKernel, tile: RegisterTile): void {
  const s = f.scopes;
  const { epilogue } = kernel;
  const { sums, rows, column, columns, type, held = [] } = tile;
  const inner = epilogue.n.at(-1);
  const store = epilogue.body.find((st) => st.kind === "store");
  if (inner === undefined || store?.kind !== "store") return;
  const extent = (axis: Axis): string => f.extent(axis.extent);
  const pointer = f.pointer(store.buffer);
  const partial = {
    m: (constantValue(kernel.m) ?? 1) % tile.tileM !== 0,
    n: (constantValue(kernel.n) ?? 1) % tile.tileN !== 0,
  };
  const kept = (buffer: BufferRef, at: string): string => {
    const name = s.fresh("kept");
    s.line(`const tsr_kept<${memoryType(buffer.dtype)}> ${name} = {&${at}};`);
    return name;
  };
  const places = held.map(({ load }) => f.pointer(load.buffer));
  const matrices = epilogue.body.filter((st): st is Load => st.kind === "load" && isMatrix(st, epilogue.m, epilogue.n))
    .map((load) => ({ load, pointer: f.pointer(load.buffer), name: s.fresh("read") }));
  const parts = sums.flatMap((sum, i) => [0, 1].map((upper) => ({ sum, upper, part: i * 2 + upper, row: rows[i] })));
  // Runs of eight as they lie in memory: for what is read before, and what is written after.
  const runs = (span: string, write: (part: number, inside: string) => void): void => {
    for (const { part, row, upper } of parts) {
      s.open("{");
      const [m, n] = [`${row} + line + ${upper * 8}`, `${column} + ${span} * ${SPAN} + quad * 8`];
      const inside = [
        ...(partial.m ? [`${m} < ${f.extent(kernel.m)}`] : []),
        ...(partial.n ? [`${n} < ${f.extent(kernel.n)}`] : []),
      ];
      if (inside.length > 0) s.line(`const bool inside = ${inside.join(" && ")};`);
      const place = (at: string): string => inside.length > 0 ? `inside ? ${at} : 0` : at;
      s.line(`const ${f.index} em = ${place(m)}, en = ${place(n)};`);
      f.decompose(epilogue.m, "em", extent);
      f.decompose(epilogue.n, "en", extent);
      write(part, inside.length > 0 ? "inside" : "true");
      s.close();
    }
  };
  // What comes from memory is asked for some runs before it is used.
  const ahead = parts.length > 2 ? 1 : 2;
  const ask = (span: string): void =>
    runs(span, (part) => {
      for (const { load, pointer, name } of matrices) {
        s.line(`tsr_quad_load(${name}[(${span}) % ${ahead + 1}][${part}], ${pointer} + ${s.index(load.index)});`);
      }
    });
  s.line("const int lane = (int)threadIdx.x & 31, quad = lane & 3, line = (warp & 3) * 16 + (lane >> 2);");
  for (const { name } of matrices) s.line(`unsigned ${name}[${ahead + 1}][${parts.length}][4];`);
  if (matrices.length > 0) {
    s.open(`#pragma unroll\nfor (int c = 0; c < ${ahead}; c++) {`);
    ask("c");
    s.close();
  }
  s.open(`#pragma unroll\nfor (int c = 0; c < ${columns / SPAN}; c++) {`);
  s.line(`unsigned results[${parts.length}][4];`);
  if (matrices.length > 0) {
    s.open(`if (c + ${ahead} < ${columns / SPAN}) {`);
    ask(`(c + ${ahead})`);
    s.close();
    for (const { name } of matrices) {
      for (const { part } of parts) s.line(`tsr_quad_turn(${name}[c % ${ahead + 1}][${part}]);`);
    }
  }
  s.open("#pragma unroll\nfor (int j = 0; j < 4; j++) {");
  for (const { name } of held) {
    s.line(`unsigned ${name}Pair = __shfl_sync(0xffffffffu, ${name}[c / 2], c % 2 * 16 + j * 4 + quad);`);
  }
  for (const { sum, upper, part, row: first } of parts) {
    s.open("{");
    f.replacePointer(store.buffer, kept(store.buffer, `results[${part}][j]`));
    for (const { load, name } of matrices) {
      f.replacePointer(load.buffer, kept(load.buffer, `${name}[c % ${ahead + 1}][${part}][j]`));
    }
    for (const { load, name } of held) f.replacePointer(load.buffer, kept(load.buffer, `${name}Pair`));
    const [row, at] = [`${first} + line + ${upper * 8}`, `${column} + c * ${SPAN} + j * 8 + quad * 2`];
    s.line(`const ${f.index} em = ${partial.m ? `tsr_min(${row}, ${f.extent(kernel.m)} - 1)` : row};`);
    s.line(`const ${f.index} en = ${partial.n ? `${at} < ${f.extent(kernel.n)} ? ${at} : 0` : at};`);
    f.decompose(epilogue.m, "em", extent);
    f.decompose(epilogue.n, "en", extent);
    f.chunk(epilogue.body, {
      symbol: inner.symbol,
      lanes: 2,
      base: f.symbolText(inner.symbol),
      outside: [epilogue.accumulator],
      before: (u) => {
        const name = s.fresh("acc");
        s.line(`const ${type} ${name} = ${sum}[c * 16 + j * 4 + ${upper * 2} + ${u}];`);
        f.assign(epilogue.accumulator, name);
      },
    });
    s.close();
  }
  s.close();
  f.replacePointer(store.buffer, pointer);
  for (const { load, pointer } of matrices) f.replacePointer(load.buffer, pointer);
  held.forEach(({ load }, i) => f.replacePointer(load.buffer, places[i] ?? ""));
  runs("c", (part, inside) => {
    s.line(`tsr_quad_turn(results[${part}]);`);
    s.line(`tsr_quad_store(${pointer} + ${s.index(store.index)}, results[${part}], ${inside});`);
  });
  s.close();
}
