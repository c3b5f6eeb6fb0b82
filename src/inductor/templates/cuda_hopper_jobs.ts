/**
 * Which tiles, and which steps of their sums, a block of the Hopper template takes.
 *
 * Enters: the shape of a product in tiles and how it is cut. Leaves: the loop over a block's jobs as text (`tile`, `firstStep`, `lastStep`), the lines that add up the parts of
 * tiles that several blocks share, and the grid. Whole rounds of tiles go to blocks one by one. The tiles of the round that would leave multiprocessors idle are either cut into
 * `pieces` each, or, as in stream-K (Osama et al., PPoPP 2023), their steps lie one after the other and every block takes an equal run of them, across the borders of tiles.
 * Nobody waits for others: the block that comes last to a tile adds its parts, in order, so sums do not depend on timing.
 */
import { InternalError } from "../../core/mod.ts";
import { add, ceilDiv, constant, constantValue, type Expr, min, mul, sub } from "../../symbolic/mod.ts";
import type { CudaFunction } from "../codegen/cuda/function.ts";
import type { CudaArg } from "../codegen/cuda/launch.ts";

/** How tiles are shared; see HopperShape. */
export interface Sharing {
  readonly pieces: number;
  readonly tail: boolean;
}

/** Whether the steps of the last tiles are one run that blocks share evenly. */
export function isStream({ pieces }: Sharing): boolean {
  return pieces === 0;
}

/** The jobs of a launch. */
export class HopperJobs {
  readonly #steps: Expr;
  readonly #sharing: Sharing;
  readonly #tiles: Expr;
  readonly #blocks: number;
  readonly #warps: number;
  /** Tiles that one block sums alone, before those that several share. */
  readonly #whole: number;
  readonly #rest: number;

  /** @param blocks how many run at once, @param warps of each have rows of a tile */
  constructor(tiles: Expr, steps: Expr, sharing: Sharing, blocks: number, warps: number) {
    const count = constantValue(tiles) ?? 0;
    this.#tiles = tiles;
    this.#steps = steps;
    this.#sharing = sharing;
    this.#blocks = blocks;
    this.#warps = warps;
    this.#whole = sharing.tail ? count - count % blocks : 0;
    this.#rest = count - this.#whole;
  }

  /** Whether blocks share tiles. */
  get shares(): boolean {
    return this.#sharing.pieces !== 1;
  }

  get grid(): Expr {
    if (isStream(this.#sharing)) return constant(this.#blocks);
    const jobs = add(mul(sub(this.#tiles, this.#whole), this.#sharing.pieces), this.#whole);
    return min(jobs, this.#blocks);
  }

  /** Before both warpgroups' loops. */
  begin(f: CudaFunction): void {
    const s = f.scopes;
    s.line(`const int tiles = ${f.extent(this.#tiles)}, steps = ${f.extent(this.#steps)};`);
    if (isStream(this.#sharing)) {
      const [share, more] = this.#run();
      s.line(`const int runBegin = (int)blockIdx.x * ${share} + tsr_min((int)blockIdx.x, ${more});`);
      s.line(`const int runEnd = runBegin + ${share} + ((int)blockIdx.x < ${more});`);
    } else s.line(`const int jobs = ${this.#whole} + (tiles - ${this.#whole}) * ${this.#sharing.pieces};`);
  }

  /** Opens the loop. */
  open(f: CudaFunction): void {
    const s = f.scopes;
    const { pieces } = this.#sharing;
    const whole = this.#whole;
    if (isStream(this.#sharing)) {
      s.line("int at = runBegin;");
      s.open(`for (int job = blockIdx.x; job < ${whole} || at < runEnd; job += gridDim.x) {`);
      s.line(`const bool streamed = job >= ${whole};`);
      s.line(`const int local = streamed ? at / steps : 0, tile = streamed ? ${whole} + local : job;`);
      s.line("const int firstStep = streamed ? at - local * steps : 0;");
      s.line("const int lastStep = streamed ? tsr_min(steps, firstStep + runEnd - at) : steps;");
      s.line("const bool shared = lastStep - firstStep < steps;");
      s.line("if (streamed) at += lastStep - firstStep;");
      return;
    }
    s.open("for (int job = blockIdx.x; job < jobs; job += gridDim.x) {");
    if (pieces === 1) {
      s.line("const int tile = job, firstStep = 0, lastStep = steps;");
      return;
    }
    const each = f.extent(ceilDiv(this.#steps, pieces));
    s.line(`const bool shared = job >= ${whole};`);
    s.line(`const int part = shared ? job - ${whole} : 0, piece = part % ${pieces};`);
    s.line(`const int tile = shared ? ${whole} + part / ${pieces} : job, firstStep = piece * ${each};`);
    s.line(`const int lastStep = shared ? tsr_min(steps, firstStep + ${each}) : steps;`);
  }

  /** The condition under which the block has another job after this one. */
  get another(): string {
    return "job + gridDim.x < jobs";
  }

  /** Adds the parts of a shared tile, of which a warp has 16 rows in `acc`, numbers of a type: all blocks but the last go on with their next job. */
  join(f: CudaFunction, acc: string, type: string, columns: number): void {
    if (!this.shares) return;
    const s = f.scopes;
    const floats = 16 * columns;
    const { pieces } = this.#sharing;
    if (!isStream(this.#sharing)) {
      s.line(`const int place = (tile - ${this.#whole}) * ${this.#warps} + warp;`);
      s.line(`${type}* const parts = (${type}*)partial + (long)place * ${pieces * floats};`);
      s.line(
        `if (shared && !tsr_add_parts(${acc}, parts, piece, ${pieces}, ${floats / 4}, arrived + place)) continue;`,
      );
      return;
    }
    const [share, more] = this.#run();
    // Blocks that have steps of this tile: those of its first and last step, and all between. Parts are numbered by block and tile, both of which only grow.
    const wide = more * (share + 1);
    s.open("if (shared) {");
    s.line("const int head = local * steps, end = head + steps - 1;");
    const block = (at: string): string =>
      `(${at} < ${wide} ? ${at} / ${share + 1} : ${more} + (${at} - ${wide}) / ${share})`;
    s.line(`const int first = ${block("head")}, count = ${block("end")} - first + 1;`);
    s.line(`${type}* const parts = (${type}*)partial + (long)((first + local) * ${this.#warps} + warp) * ${floats};`);
    s.line(
      `if (!tsr_add_parts(${acc}, parts, (int)blockIdx.x - first, count, ${
        this.#warps * floats / 4
      }, arrived + local * ${this.#warps} + warp)) continue;`,
    );
    s.close();
  }

  /** Scratch memory for the parts of sums, four bytes a number. */
  parameters(columns: number, id: number): { arg: CudaArg; text: string }[] {
    if (!this.shares) return [];
    const parts = isStream(this.#sharing) ? this.#blocks + this.#rest : this.#rest * this.#sharing.pieces;
    const scratch = (bytes: number, zeroed: boolean, n: number): CudaArg => ({
      kind: "scratch",
      bytes: constant(bytes),
      zeroed,
      id: n,
    });
    return [
      { arg: scratch(parts * this.#warps * 16 * columns * 4, false, id), text: "void* partial" },
      { arg: scratch(this.#rest * this.#warps * 4, true, id + 1), text: "unsigned* arrived" },
    ];
  }

  /** Steps of each block's run, and how many blocks have one more. */
  #run(): [share: number, more: number] {
    const steps = constantValue(this.#steps);
    if (steps === null || this.#rest === 0) throw new InternalError("shared steps of an unknown number");
    const all = steps * this.#rest;
    const share = Math.floor(all / this.#blocks);
    if (share < 1) throw new InternalError("more blocks than steps");
    return [share, all - share * this.#blocks];
  }
}
