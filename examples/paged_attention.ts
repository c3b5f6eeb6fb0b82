// deno-lint-ignore-file no-console
/**
 * Generation for several sequences at once, whose keys lie in pages of one pool: sequences begin and end at any time, none is padded or moved, and one compiled function
 * serves them all.
 *
 *     deno run -A examples/paged_attention.ts [--device cuda]
 */
import { parseArgs } from "node:util";
import { compile, float16, nn, noGrad, randn, type Tensor, tensor, zeros } from "../mod.ts";

const { device } = parseArgs({ options: { device: { type: "string", default: "cpu" } } }).values;
const [HEADS, SHARED, WIDTH, PAGE, PAGES, SLOTS, COLUMNS] = [8, 2, 64, 16, 64, 3, 8];

/** A pool of pages for keys and values; free ones are on a list. */
const pool = [0, 1].map(() => zeros([PAGES * PAGE, SHARED, WIDTH], { dtype: float16, device })) as [Tensor, Tensor];
const free = Array.from({ length: PAGES }, (_, i) => PAGES - 1 - i);

/** One sequence under way. */
interface Sequence {
  length: number;
  readonly pages: number[];
  readonly until: number;
}

const step = compile((q: Tensor, k: Tensor, v: Tensor, places: Tensor, table: Tensor, lengths: Tensor): Tensor => {
  const [keys, values] = pool;
  keys.indexCopy_(0, places, k);
  values.indexCopy_(0, places, v);
  const pages = (t: Tensor): Tensor => t.reshape([PAGES, PAGE, SHARED, WIDTH]);
  return nn.functional.pagedAttention(q, pages(keys), pages(values), { table, lengths });
});

const active: Sequence[] = Array.from({ length: SLOTS }, (_, i) => ({ length: 0, pages: [], until: 20 + 9 * i }));
noGrad(() => {
  for (let round = 0; round < 40; round++) {
    active.forEach((s, i) => {
      if (s.length === s.until) {
        // Its pages go to whoever needs some next.
        free.push(...s.pages);
        active[i] = { length: 0, pages: [], until: 12 };
      }
    });
    for (const s of active) {
      if (s.length % PAGE === 0) s.pages.push(free.pop() ?? fail());
      s.length++;
    }
    const places = active.map((s) => (s.pages.at(-1) ?? 0) * PAGE + (s.length - 1) % PAGE);
    const table = active.map((s) => Array.from({ length: COLUMNS }, (_, c) => s.pages[c] ?? 0));
    const row = (heads: number): Tensor => randn([SLOTS, heads, WIDTH]).to(float16).to(device);
    const numbers = [places, table, active.map((s) => s.length)].map((n) => tensor(n).to(device));
    const out = step(row(HEADS), row(SHARED), row(SHARED), ...numbers as [Tensor, Tensor, Tensor]);
    if (round % 10 === 9) {
      const lengths = active.map((s) => s.length).join(", ");
      console.log(
        `round ${round + 1}: lengths ${lengths}; largest ${out.abs().max().cpu().item()}; ${free.length} pages free`,
      );
    }
  }
});

function fail(): never {
  throw new RangeError("the pool has no page left: end a sequence, or make the pool larger");
}
