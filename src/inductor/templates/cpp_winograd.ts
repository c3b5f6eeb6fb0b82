/**
 * Convolutions by Winograd's minimal filtering in C++: the template of `winograd.h` with generated functions that read pixels and weights, and the epilogue.
 *
 * Enters: a contraction. Leaves: its function, or null where windows are not 3 × 3 (their places next to each other or 2 apart) or 5 × 5, that move by 1, or plain products are quicker by the model below. Results
 * differ from plain sums by rounding: four to five times their error, 1e-6 of the norm of the result. Transformed weights are four times as large: those that are kept from call to call
 * must fit the plan's budget, others are transformed by each call, which the model counts.
 */
import { float32 } from "../../core/mod.ts";
import type { BufferRef } from "../../loops/mod.ts";
import { constant, constantValue } from "../../symbolic/mod.ts";
import { CppFunction, parameterLines } from "../codegen/cpp/emit_kernel.ts";
import type { CppFunctionText } from "../codegen/cpp/emit_tile.ts";
import { guess } from "../tile/axes.ts";
import type { ContractionKernel } from "../tile/tile_ir.ts";
import { epilogueFunction, KeptArguments, packForm, packFunction, product, type Writer } from "./cpp_operands.ts";
import { placesOf, type Planes, planesOf, rowsFunction } from "./cpp_planes.ts";
import { keepOperand, type KeptBudget } from "./kept_operands.ts";

/** Places along a side of a transformed tile, of all of it, and what else `winograd.h` fixes. */
const PLACES_ALONG = 6, PLACES = PLACES_ALONG ** 2, PANEL = 8, TILES = 48;
/** Fewer channels are transformed in more time than they save. */
const LEAST_CHANNELS = 16;

/** Cycles that a window's weights of eight results take to be transformed. */
const WEIGHT_CYCLES = 370;

/** A window that is filtered: its places along a side, how far they are apart, and the results of a tile along a side. */
interface Filter {
  readonly places: number;
  readonly apart: number;
  readonly side: number;
}

/** Which windows are: of 3, or of 5, along both axes. */
function filterOf({ down, across }: Planes): Filter | null {
  const places = constantValue(placesOf(across)), apart = across.apart;
  if (places !== 3 && places !== 5 || apart > (places === 3 ? 2 : 1)) return null;
  if (down === null || down.apart !== apart || constantValue(placesOf(down)) !== places) return null;
  return down.step !== 1 || across.step !== 1 ? null : { places, apart, side: PLACES_ALONG + 1 - places };
}

/** Cycles that plain products take, and what this takes, on vectors of 16 lanes with two fused multiply-adds a cycle; with weights that are kept transformed or not. */
function isQuicker(
  { kernel, sample, down, across, channel }: Planes,
  { places, apart, side }: Filter,
  isKept: boolean,
): boolean {
  const samples = sample === null ? 1 : guess(sample.extent);
  const height = down === null ? 1 : guess(down.at.extent), width = guess(across.at.extent);
  const channels = guess(channel.extent), outputs = guess(kernel.m);
  const plain = samples * height * width * channels * outputs * places ** 2 / 32 / 0.85;
  const wide = Math.ceil(width / side / apart) * apart;
  const tiles = samples * Math.ceil(height / side / apart) * apart * wide;
  const vectors = Math.ceil(tiles / 16);
  const products = PLACES * vectors * channels * outputs / 2 / 0.85;
  const transforms = vectors * (channels * (350 + 60 * 16 / Math.min(16, wide)) + outputs * 350);
  // Weights of all places come from the third cache or from memory.
  const bytes = PLACES * channels * outputs * 4;
  const weights = bytes / (bytes > 16 << 20 ? 2.5 : 12);
  const anew = isKept ? 0 : Math.ceil(outputs / PANEL) * channels * WEIGHT_CYCLES;
  return products + transforms + weights + anew < 0.9 * plain;
}

/** Emits the function of a convolution that this does quickest; null for all other contractions. */
export function emitCppWinograd(
  kernel: ContractionKernel,
  lanes: number,
  constants: ReadonlySet<BufferRef>,
  budget: KeptBudget | null = null,
): CppFunctionText | null {
  if (lanes !== 16 || kernel.accumulate !== float32) return null;
  const planes = planesOf(kernel);
  if (planes === null) return null;
  const { kernel: own, sample, down, across, channel } = planes;
  const filter = filterOf(planes);
  if (filter === null || down === null) return null;
  const { places, apart, side } = filter;
  const channels = constantValue(channel.extent), outputs = constantValue(own.m);
  if (channels === null || outputs === null || Math.min(channels, outputs) < LEAST_CHANNELS) return null;
  if (!isQuicker(planes, filter, true)) return null;
  const writer: Writer = { kernel: own, lanes, type: "float", width: side * TILES };
  const f = new CppFunction(own, [], [], lanes);
  const s = f.scopes;
  for (const line of parameterLines(own)) s.line(line);
  const batches = product(own.batch.map((axis) => axis.extent));
  const samples = sample === null ? constant(1) : sample.extent;
  const numbers = [batches, samples, channel.extent, own.m, down.at.extent, across.at.extent].map((e) => s.index(e));
  const kept = new KeptArguments(own, constants);
  const packed = keepOperand(own, own.a, own.n, PANEL * 4 * PLACES / places ** 2, PANEL);
  // A cache line a place: `weight_place` of `winograd.h`.
  const bytes = (packed?.bytes ?? 0) + 64 * PLACES * guess(batches);
  const wanted = kept.isKept(packed) && (budget === null || budget.take({ ...packed, bytes }))
    ? { ...packed, bytes }
    : null;
  if (!isQuicker(planes, filter, wanted !== null)) return null;
  const [ofBatches, , ofChannels, ofOutputs] = numbers;
  const weights = kept.add(wanted, () => [
    "winograd",
    ofBatches,
    ofChannels,
    ofOutputs,
    planes.isMirrored ? "mirrored" : "",
    packForm(writer, own.a, PANEL, constant(places ** 2)),
  ]);
  s.line(
    `const tsr_filter d = { ${numbers.join(", ")}, ${planes.isMirrored ? 1 : 0}, @_r, @_w, @_e, ${weights} };`,
  );
  kept.call(s, `tsr_filter_by<${side}, ${places}, ${apart}>(runtime, A, d);`);
  return {
    ...kept.result(),
    needs: "winograd",
    support: [
      rowsFunction(writer, "@_r", planes),
      packFunction(writer, "@_w", own.a, PANEL, constant(places ** 2)),
      epilogueFunction(writer),
    ].join("\n"),
    text: s.text("  "),
    count: constant(1),
    picoseconds: constant(1_000_000_000),
  };
}
