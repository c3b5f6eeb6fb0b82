// deno-lint-ignore-file no-console
/**
 * Fits the cost model of products on Hopper's tensor cores to measurements.
 *
 *     deno run -A bench/cuda_contractions.ts --out bench/data/contractions_h100.jsonl     on the device
 *     deno run -A tools/fit_contractions.ts bench/data/contractions_h100.jsonl            anywhere: writes src/inductor/templates/contraction_costs.ts
 *     deno run -A tools/fit_contractions.ts --check                                       how well it chooses for products that it was not fitted to; writes nothing
 *
 * The model: a launch costs so much; each round of tiles costs its steps along k and its end; shared tiles cost a sum over their pieces; and no product is faster than memory. The constants for each
 * size of a tile are found by descent along one coordinate after the other, over the squares of logarithms of predicted over measured. Prints how far the model's choice
 * is from the best one.
 */
import { kernelOf, type Shape } from "../bench/contraction_shapes.ts";
import { bfloat16, type DType, float16, float32 } from "../src/core/mod.ts";
import { candidateContext } from "../src/inductor/autotune/candidates.ts";
import { contractionCost, type ContractionCosts, type CostQuery } from "../src/inductor/templates/contraction_cost.ts";
import { prepareHopper, shapesOf } from "../src/inductor/templates/cuda_hopper_plan.ts";

interface File {
  readonly device: string;
  readonly multiprocessors: number;
}

interface Row {
  readonly shape: Omit<Shape, "dtype"> & { readonly dtype: string };
  readonly ways: readonly {
    readonly choice: {
      readonly template: string;
      readonly apart?: boolean;
      readonly shape?: {
        readonly m: number;
        readonly n: number;
        readonly pieces: number;
        readonly tail: boolean;
        readonly turns: boolean;
        readonly mates: boolean;
      };
    };
    readonly ms: number | null;
  }[];
}

const check = Deno.args.includes("--check");
const [path = "bench/data/contractions_h100.jsonl", target = "src/inductor/templates/contraction_costs.ts"] = Deno.args
  .filter((arg) => arg !== "--check");
const [head = "{}", ...lines] = Deno.readTextFileSync(path).trim().split("\n");
const { device, multiprocessors } = JSON.parse(head) as File;
const rows = lines.map((line) => JSON.parse(line) as Row);

const DTYPES = new Map([bfloat16, float16, float32].map((dtype): [string, DType] => [dtype.name, dtype]));
const samples: { row: number; query: CostQuery; us: number; text: string; weight: number }[] = [];
rows.forEach(({ shape, ways }, row) => {
  const dtype = DTYPES.get(shape.dtype);
  // Sums of fp8 are made in steps, those of int8 are others, and elements that have to be turned first are another kernel's.
  if (dtype === undefined || (dtype === float32 && shape.layout !== "nt")) return;
  const context = candidateContext({ arch: 90, multiprocessors, allowTf32: true });
  const prepared = prepareHopper(kernelOf({ ...shape, dtype }), context);
  const known = prepared === null ? [] : shapesOf(prepared, context);
  const least = Math.min(...ways.map(({ choice, ms }) => choice.template === "hopper" ? ms ?? Infinity : Infinity));
  for (const { choice, ms } of ways) {
    const own = choice.shape;
    if (choice.template !== "hopper" || own === undefined || choice.apart === true || ms === null) continue;
    const query = known.find(({ shape: s }) =>
      s.m === own.m && s.n === own.n && s.pieces === own.pieces && s.turns === own.turns && s.mates === own.mates
    )?.query;
    if (query === undefined) continue;
    const text = `${shape.batch} × ${shape.m} × ${shape.n} × ${shape.k} ${shape.ending}: ${JSON.stringify(own)}`;
    // What is far behind need not be known well.
    samples.push({ row, us: 1000 * ms, text, query, weight: Math.min(1, (1.1 * least / ms) ** 4) });
  }
});

const TILES = [
  ...[[128, 64], [128, 96], [128, 128], [128, 160], [128, 192], [128, 256]] as const,
  ...[[192, 128], [192, 160], [192, 192], [256, 128], [256, 192]] as const,
];
/** Constants of the device, before those of the tiles. */
const GLOBAL = 9;

function costsOf(x: readonly number[]): ContractionCosts {
  const [
    launch = 0,
    piece = 0,
    bytesPerMicrosecond = 1,
    join = 0,
    stream = 0,
    straddle = 0,
    pair = 1,
    work = 0,
    workAlone = 0,
  ] = x;
  const rest = x.slice(GLOBAL);
  return {
    device,
    launch,
    piece,
    bytesPerMicrosecond,
    join,
    stream,
    straddle,
    pair,
    work,
    workAlone,
    tiles: TILES.map(([height, width], i) => {
      const [step = 0, end = 0, turn = 0] = rest.slice(3 * i);
      return { height, width, step, end, turn };
    }),
  };
}

function error(x: readonly number[], given: typeof samples): number {
  const costs = costsOf(x);
  let [sum, weights] = [0, 0];
  for (const { query, us, weight } of given) {
    sum += weight * Math.log(contractionCost(costs, query) / us) ** 2;
    weights += weight;
  }
  return sum / weights;
}

const start = TILES.flatMap(([height, width]) => {
  const area = height * width / 16384;
  return [0.08 + area / 3.6, 1 + area, 1 + area];
});

function fit(given: typeof samples): number[] {
  let best = [4, 0.3, 2.5e6, 1.5, 2, 0.0026, 1, 0.06, 0.08, ...start];
  let lowest = error(best, given);
  for (let size = 0.3; size > 0.001; size *= 0.87) {
    for (let round = 0; round < 4; round++) {
      for (let i = 0; i < best.length; i++) {
        for (const factor of [1 + size, 1 / (1 + size)]) {
          const next = best.map((v, j) => j === i ? v * factor : v);
          const found = error(next, given);
          if (found < lowest) [best, lowest] = [next, found];
        }
      }
    }
  }
  return best;
}

/** How much longer the choices take than the best ways of some products: on average, at worst, and a line for each that loses. */
function lostBy(
  costs: ContractionCosts,
  of: (row: number) => boolean,
): { mean: number; worst: number; lines: string[] } {
  let [lost, worst, count] = [0, 1, 0];
  const lines: string[] = [];
  rows.forEach((_, row) => {
    const own = samples.filter((s) => s.row === row);
    if (own.length < 2 || !of(row)) return;
    const least = own.reduce((a, b) => b.us < a.us ? b : a);
    const chosen = own.reduce((a, b) => contractionCost(costs, b.query) < contractionCost(costs, a.query) ? b : a);
    const ratio = chosen.us / least.us;
    lost += Math.log(ratio);
    worst = Math.max(worst, ratio);
    count++;
    if (ratio > 1.05) lines.push(`  ${ratio.toFixed(2)} of the best; ${chosen.text} instead of ${least.text}`);
  });
  return { mean: Math.exp(lost / Math.max(1, count)) - 1, worst, lines };
}

if (check) {
  // Each product's best way is looked for by constants that were fitted to others.
  const PARTS = 5;
  let [sum, worst] = [0, 1];
  for (let part = 0; part < PARTS; part++) {
    const own = costsOf(fit(samples.filter((s) => s.row % PARTS !== part)));
    const left = lostBy(own, (row) => row % PARTS === part);
    for (const line of left.lines) console.log(line);
    sum += left.mean / PARTS;
    worst = Math.max(worst, left.worst);
  }
  console.log(
    `products left out of the fit: ${(100 * sum).toFixed(1)} % more than the best on average, ${
      worst.toFixed(2)
    } at worst`,
  );
  Deno.exit(0);
}

const best = fit(samples);
const costs = costsOf(best.map((x) => Number(x.toPrecision(4))));
const typical = 100 * Math.sqrt(error(best, samples));
console.log(`${samples.length} measurements on ${device}: typical error ${typical.toFixed(1)} %`);
const { mean, worst, lines: losing } = lostBy(costs, () => true);
for (const line of losing) console.log(line);
console.log(
  `the model's choice takes ${(100 * mean).toFixed(1)} % more than the best on average, ${worst.toFixed(2)} at worst`,
);

const tiles = costs.tiles.map(({ height, width, step, end, turn }) =>
  `    { height: ${height}, width: ${width}, step: ${step}, end: ${end}, turn: ${turn} },`
);
Deno.writeTextFileSync(
  target,
  `/**
 * What products cost on Hopper's tensor cores, in microseconds. Written by \`tools/fit_contractions.ts\` from \`${path}\`: do not edit.
 */
import type { ContractionCosts } from "./contraction_cost.ts";

/** ${samples.length} measurements, typical error ${typical.toFixed(0)} %. */
export const HOPPER_COSTS: ContractionCosts = {
  device: ${JSON.stringify(device)},
  launch: ${costs.launch},
  piece: ${costs.piece},
  join: ${costs.join},
  stream: ${costs.stream},
  straddle: ${costs.straddle},
  pair: ${costs.pair},
  work: ${costs.work},
  workAlone: ${costs.workAlone},
  bytesPerMicrosecond: ${costs.bytesPerMicrosecond},
  tiles: [
${tiles.join("\n")}
  ],
};
`,
);
