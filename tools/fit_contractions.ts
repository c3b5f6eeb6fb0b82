// deno-lint-ignore-file no-console
/**
 * Fits the cost model of products on Hopper's tensor cores to measurements.
 *
 *     deno run -A bench/cuda_contractions.ts --out bench/data/contractions_h100.jsonl     on the device
 *     deno run -A tools/fit_contractions.ts bench/data/contractions_h100.jsonl            anywhere: writes src/inductor/templates/contraction_costs.ts
 *
 * The model: a launch costs so much; each round of tiles costs its steps along k and its end; shared tiles cost a sum over their pieces; and no product is faster than memory. The constants for each
 * size of a tile are found by descent along one coordinate after the other, over the squares of logarithms of predicted over measured. Prints how far the model's choice
 * is from the best one.
 */
import { contractionCost, type ContractionCosts, type CostQuery } from "../src/inductor/templates/contraction_cost.ts";

interface File {
  readonly device: string;
  readonly multiprocessors: number;
}

interface Row {
  readonly shape: {
    readonly batch: number;
    readonly m: number;
    readonly n: number;
    readonly k: number;
    readonly dtype: string;
    readonly layout: string;
    readonly ending: string;
  };
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

const [path = "bench/data/contractions_h100.jsonl", target = "src/inductor/templates/contraction_costs.ts"] = Deno.args;
const [head = "{}", ...lines] = Deno.readTextFileSync(path).trim().split("\n");
const { device, multiprocessors } = JSON.parse(head) as File;
const rows = lines.map((line) => JSON.parse(line) as Row);

const samples: { row: number; query: CostQuery; us: number; text: string }[] = [];
rows.forEach(({ shape, ways }, row) => {
  const bytes = shape.dtype === "float32" ? 4 : 2;
  // Sums of fp8 are made in steps, and elements that have to be turned first are another kernel's.
  if (/8(_|$)/.test(shape.dtype) || (bytes === 4 && shape.layout !== "nt")) return;
  // The template has the longer side as its rows where one is short.
  const turned = shape.m <= 96 && shape.n > shape.m;
  const [m, n] = turned ? [shape.n, shape.m] : [shape.m, shape.n];
  for (const { choice, ms } of ways) {
    const own = choice.shape;
    if (choice.template !== "hopper" || own === undefined || choice.apart === true || ms === null) continue;
    const results = shape.ending === "residual" ? 2 : 1;
    samples.push({
      row,
      us: 1000 * ms,
      text: `${shape.batch} × ${shape.m} × ${shape.n} × ${shape.k}: ${JSON.stringify(own)}`,
      query: {
        height: own.m,
        width: own.n,
        tiles: shape.batch * Math.ceil(n / own.n) *
          (own.mates ? 2 * Math.ceil(m / (2 * own.m)) : Math.ceil(m / own.m)),
        steps: Math.ceil(shape.k * bytes / 128),
        pieces: own.pieces,
        turns: own.turns,
        mates: own.mates,
        straddles: shape.layout === "nt" && shape.k * bytes % 128 !== 0,
        gathered: false,
        multiprocessors,
        bytes: shape.batch * bytes * (m * shape.k + n * shape.k + m * n * results),
      },
    });
  }
});

const TILES = [[128, 64], [128, 96], [128, 128], [128, 160], [128, 192], [128, 256], [256, 128], [256, 192]] as const;

function costsOf(x: readonly number[]): ContractionCosts {
  const [launch = 0, piece = 0, bytesPerMicrosecond = 1, join = 0, stream = 0, straddle = 0, pair = 1, ...rest] = x;
  return {
    device,
    launch,
    piece,
    bytesPerMicrosecond,
    join,
    stream,
    straddle,
    pair,
    tiles: TILES.map(([height, width], i) => {
      const [step = 0, end = 0, turn = 0] = rest.slice(3 * i);
      return { height, width, step, end, turn };
    }),
  };
}

function error(x: readonly number[]): number {
  const costs = costsOf(x);
  let sum = 0;
  for (const { query, us } of samples) sum += Math.log(contractionCost(costs, query) / us) ** 2;
  return sum / samples.length;
}

const start = TILES.flatMap(([height, width]) => {
  const area = height * width / 16384;
  return [0.08 + area / 3.6, 1 + area, 0.3 + area / 2];
});
let best = [4, 0.3, 2.5e6, 1.5, 2, 0.0026, 1, ...start];
let lowest = error(best);
for (let size = 0.3; size > 0.001; size *= 0.9) {
  for (let round = 0; round < 6; round++) {
    for (let i = 0; i < best.length; i++) {
      for (const factor of [1 + size, 1 / (1 + size)]) {
        const next = best.map((v, j) => j === i ? v * factor : v);
        const found = error(next);
        if (found < lowest) [best, lowest] = [next, found];
      }
    }
  }
}
const costs = costsOf(best.map((x) => Number(x.toPrecision(4))));
console.log(
  `${samples.length} measurements on ${device}: typical error ${(100 * Math.sqrt(lowest)).toFixed(1)} %`,
);

let [lost, worst] = [0, 1];
rows.forEach(({ shape }, row) => {
  const own = samples.filter((s) => s.row === row);
  if (own.length < 2) return;
  const least = Math.min(...own.map((s) => s.us));
  const chosen = own.toSorted((a, b) => contractionCost(costs, a.query) - contractionCost(costs, b.query))[0];
  const ratio = (chosen?.us ?? least) / least;
  lost += Math.log(ratio);
  worst = Math.max(worst, ratio);
  if (ratio > 1.05) {
    const [fastest] = own.filter((s) => s.us === least);
    console.log(
      `  ${shape.batch} × ${shape.m} × ${shape.n} × ${shape.k}: ${
        ratio.toFixed(2)
      } of the best; ${chosen?.text} instead of ${fastest?.text}`,
    );
  }
});
console.log(
  `the model's choice takes ${(100 * (Math.exp(lost / rows.length) - 1)).toFixed(1)} % more than the best on average, ${
    worst.toFixed(2)
  } at worst`,
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

/** ${samples.length} measurements, typical error ${(100 * Math.sqrt(lowest)).toFixed(0)} %. */
export const HOPPER_COSTS: ContractionCosts = {
  device: ${JSON.stringify(device)},
  launch: ${costs.launch},
  piece: ${costs.piece},
  join: ${costs.join},
  stream: ${costs.stream},
  straddle: ${costs.straddle},
  pair: ${costs.pair},
  bytesPerMicrosecond: ${costs.bytesPerMicrosecond},
  tiles: [
${tiles.join("\n")}
  ],
};
`,
);
