/**
 * Convolutions by their definition in C++: the template of `direct.h` with generated functions that read pixels and weights, and the epilogue.
 *
 * Enters: a contraction that is a convolution (`cpp_planes.ts`), whatever its steps, padding, distances and groups. Leaves: its function, or null where windows written out are
 * quicker by the model below: few products a result, or few channels to lie along vectors.
 * Sums are the definition's, in another order.
 */
import { float32 } from "../../core/mod.ts";
import type { BufferRef } from "../../loops/mod.ts";
import { constant, constantValue, mul } from "../../symbolic/mod.ts";
import { CppFunction, parameterLines } from "../codegen/cpp/emit_kernel.ts";
import type { CppFunctionText } from "../codegen/cpp/emit_tile.ts";
import { guess } from "../tile/axes.ts";
import type { ContractionKernel } from "../tile/tile_ir.ts";
import { epilogueFunction, KeptArguments, packForm, packFunction, product, type Writer } from "./cpp_operands.ts";
import { placesOf, planesOf, rowsFunction, unfolded } from "./cpp_planes.ts";
import { keepOperand } from "./kept_operands.ts";

/** What `direct.h` fixes: pixels of a row of results. */
const WIDTH = 128;

/** Bytes of lines that each thread writes for itself, at most: windows whose places are far apart see many lines of every channel. */
const MOST_LINES = 8 << 20;

/** What is measured, in what the models say: they count too little for memory where windows are written out. */
const DIRECT = 0.97;

/** Results of a row times registers of channels. */
interface DirectTile {
  readonly pixels: number;
  readonly registers: number;
  readonly cycles: number;
}

/** The best tile: as many sums as registers hold beside the weights and a pixel. */
function tileOf(width: number, outputs: number, rows: number, k: number, lanes: number): DirectTile {
  const room = lanes >= 16 ? 31 : 15;
  let best: DirectTile = { pixels: 4, registers: 1, cycles: Infinity };
  for (let registers = 1; registers <= 4; registers++) {
    for (let pixels = 1; pixels * registers + registers <= room && pixels <= Math.min(14, lanes); pixels++) {
      const tiles = rows * Math.ceil(width / pixels) * Math.ceil(outputs / (registers * lanes));
      const step = Math.max(pixels * registers / 2, (pixels + registers) / 2, 4);
      const cycles = tiles * (step * k * 1.03 + 4 * pixels * registers + registers * 6 * lanes + 30);
      if (cycles < best.cycles) best = { pixels, registers, cycles };
    }
  }
  return best;
}

/**
 * Emits the function of a convolution that this does quickest; null for all other contractions.
 *
 * @param otherwise Cycles of the same with windows written out.
 */
export function emitCppDirect(
  kernel: ContractionKernel,
  lanes: number,
  constants: ReadonlySet<BufferRef>,
  otherwise: number,
): CppFunctionText | null {
  if (lanes < 8 || kernel.accumulate !== float32) return null;
  const planes = planesOf(kernel);
  if (planes === null) return null;
  const { kernel: own, sample, down, across, channel } = planes;
  const taps = constantValue(mul(placesOf(down), placesOf(across)));
  const channels = constantValue(channel.extent), outputs = constantValue(own.m);
  // A window of one place is a product, whose operands are packed once.
  if (taps === null || taps === 1 || channels === null || outputs === null) return null;
  const samples = sample === null ? 1 : guess(sample.extent), height = down === null ? 1 : guess(down.at.extent);
  const tile = tileOf(guess(across.at.extent), outputs, samples * height, channels * taps, lanes);
  const panel = tile.registers * lanes;
  const kept = new KeptArguments(own, constants);
  const packed = keepOperand(own, own.a, own.n, panel * 4, panel);
  const { axes } = unfolded([], down === null ? [across] : [down, across]);
  const columns = axes.at(-1)?.extent ?? constant(1), lines = axes.at(-2)?.extent ?? constant(1);
  const copied = samples * channels * guess(columns) * guess(lines);
  // What is larger than a second cache is written by each task for itself.
  const seen = down === null ? 1 : (guess(placesOf(down)) - 1) * down.apart + 1;
  if (copied * 4 > 1 << 20 && channels * seen * guess(columns) * 4 > MOST_LINES) return null;
  const batches = product(own.batch.map((axis) => axis.extent));
  const ends = samples * height * outputs * (6 + 3 * Math.ceil(guess(across.at.extent) / lanes));
  const cycles = guess(batches) * (tile.cycles + ends + copied * 0.5);
  if (DIRECT * cycles > otherwise) return null;
  const writer: Writer = { kernel: own, lanes, type: "float", width: WIDTH };
  const f = new CppFunction(own, [], [], lanes);
  const s = f.scopes;
  for (const line of parameterLines(own)) s.line(line);
  const extents = [batches, sample?.extent ?? constant(1), channel.extent, own.m, down?.at.extent ?? constant(1)];
  const numbers = [...extents, across.at.extent].map((e) => s.index(e));
  const panelWriter: Writer = { ...writer, width: panel };
  const weights = kept.add(packed, () => [
    "direct",
    numbers[0],
    numbers[2],
    numbers[3],
    packForm(panelWriter, own.a, panel, constant(taps)),
  ]);
  const fields = [
    ...numbers,
    ...[placesOf(down), placesOf(across)].map((e) => s.index(e)),
    down?.apart ?? 1,
    across.apart,
    planes.isMirrored ? 1 : 0,
    down?.step ?? 1,
    s.index(lines),
    s.index(columns),
    "@_r",
    "@_w",
    "@_e",
    weights,
  ];
  s.line(`const tsr_direct_sum d = { ${fields.join(", ")} };`);
  kept.call(s, `tsr_sum_directly<${tile.pixels}, ${tile.registers}, ${across.step}>(runtime, A, d);`);
  return {
    ...kept.result(),
    needs: "direct",
    support: [
      rowsFunction(writer, "@_r", planes),
      packFunction(panelWriter, "@_w", own.a, panel, constant(taps)),
      epilogueFunction(writer),
    ].join("\n"),
    text: s.text("  "),
    count: constant(1),
    picoseconds: constant(1_000_000_000),
  };
}
