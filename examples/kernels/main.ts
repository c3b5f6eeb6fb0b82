// deno-lint-ignore-file no-console
/**
 * Runs the kernels of `kernels.ts` and holds them against the library's own operators.
 *
 * `deno run -A examples/kernels/main.ts [--device cuda]`
 */
import { parseArgs } from "node:util";
import { F, randn, type Tensor } from "../../mod.ts";
import { flashAttention, layerNorm, matmul, softmax, vectorAdd } from "./kernels.ts";

const { device } = parseArgs({ options: { device: { type: "string", default: "cpu" } } }).values;
const make = (...shape: number[]): Tensor => randn(shape).to(device);

function compare(name: string, got: unknown, want: Tensor): void {
  const difference = (got as Tensor).sub(want).abs().max().cpu().item();
  console.log(
    `${name.padEnd(16)} [${want.shape.join(", ")}], largest difference ${Number(difference).toExponential(1)}`,
  );
}

const [x, y] = [make(10_000), make(10_000)];
compare("vector add", vectorAdd(x, y), x.add(y));
const rows = make(64, 1000);
compare("softmax", softmax(rows), rows.softmax(1));
const [weight, bias] = [make(1000), make(1000)];
compare("layer norm", layerNorm(rows, weight, bias), F.layerNorm(rows, [1000], weight, bias));
const [a, b] = [make(200, 300), make(300, 100)];
compare("matmul", matmul(a, b), a.matmul(b));
const [q, k, v] = [make(2, 4, 100, 32), make(2, 4, 100, 32), make(2, 4, 100, 32)];
compare("flash attention", flashAttention(q, k, v, true), F.scaledDotProductAttention(q, k, v, null, 0, true));
