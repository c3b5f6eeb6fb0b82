/** Random block programs: sums, largest numbers, products and loops over blocks of random shapes, for comparing executors. */
import {
  Block,
  type BlockAxis,
  float16,
  float32,
  kernel,
  type KernelFunction,
  randn,
  type Tensor,
  Tile,
} from "../../mod.ts";

/** A repeatable source of numbers in [0, 1). */
export function numbersFrom(seed: number): () => number {
  let state = seed * 2654435761 >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 32;
  };
}

/** A random kernel of x [m, n], y [n], z [m], a [m, k] and b [k, n], and arguments for it. */
export function randomKernel(seed: number): { readonly fn: KernelFunction; readonly args: readonly Tensor[] } {
  const random = numbersFrom(seed);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const below = (n: number): number => Math.floor(random() * n);
  const halves = random() < 0.4;
  const [rows, columns, depth] = [1 + below(90), 1 + below(90), 1 + below(70)];
  const bm = pick([16, 32, 64]);
  const bn = pick([16, 32, 64]);
  const bk = pick([16, 32, 64]);
  const warps = pick([1, 2, 4]);
  const steps = 3 + below(7);
  const choices = Array.from({ length: 400 }, random);
  const fn = kernel({
    schema: `random::kernel_${seed}(Tensor x, Tensor y, Tensor z, Tensor a, Tensor b) -> (Tensor, Tensor)`,
    meta: () => [{ shape: [rows, columns], dtype: float32 }, { shape: [rows], dtype: float32 }],
    configs: [{ warps, stages: pick([1, 2, 3]), group: pick([1, 2]) }],
    body: (tile, { x, y, z, a, b, out0, out1 }) => {
      let next = 0;
      const chance = (): number => choices[next++ % choices.length] as number;
      const m = tile.grid(rows, bm);
      const walk = (n: BlockAxis): [Block, Block] => {
        const values: Block[] = [x.load([m, n]).to(float32), y.load([n]).to(float32), z.load([m]).to(float32)];
        const any = (): Block => values[Math.floor(chance() * values.length)] as Block;
        const both = (v: Block): Block => v.add(values[0] as Block);
        for (let i = 0; i < steps; i++) values.push(step(tile, chance, any, both, m, n));
        const sum = tile.variable(0, [m, n]);
        if (chance() < 0.6) {
          tile.loop(depth, bk, (k) => sum.addDot(a.load([m, k]), b.load([k, n]), k));
          values.push(sum.value);
          // A product whose left operand is computed: rows of the first one times what it came from.
          if (chance() < 0.5 && n.block >= 16) {
            const left = (values.at(-1) as Block).tanh();
            tile.loop(depth, bk, (k) => {
              const part = tile.dot(left.to(a.dtype), b.load([k, n]), n);
              values.push(both(part.sum(k)));
              kept.set(kept.value.add(part.sum(k).mul(0.01)));
            });
            values.length -= 1;
          }
        }
        return [both(values.at(-1) as Block), both(any()).tanh().sum(n)];
      };
      const kept = tile.variable(0, [m]);
      if (chance() < 0.5) {
        const n = tile.range(columns, Math.max(bn, 2 ** Math.ceil(Math.log2(columns))));
        const [whole, row] = walk(n);
        out0.store([m, n], whole);
        kept.add(row);
      } else {
        tile.loop(columns, bn, (n) => {
          const [whole, row] = walk(n);
          out0.store([m, n], whole);
          kept.add(row);
        });
      }
      out1.store([m], kept.value);
    },
  });
  const dtype = halves ? float16 : float32;
  const make = (...shape: number[]): Tensor => randn(shape).to(dtype);
  const turned = random() < 0.3;
  return {
    fn,
    args: [
      turned ? make(columns, rows).t() : make(rows, columns),
      make(columns),
      make(rows),
      make(rows, depth),
      random() < 0.5 ? make(columns, depth).t() : make(depth, columns),
    ],
  };
}

function step(
  tile: Tile,
  chance: () => number,
  any: () => Block,
  both: (v: Block) => Block,
  m: BlockAxis,
  n: BlockAxis,
): Block {
  const [p, q] = [any(), any()];
  switch (Math.floor(chance() * 9)) {
    case 0:
      return p.add(q);
    case 1:
      return p.mul(q.tanh());
    case 2:
      return p.sub(q).mul(0.5);
    case 3:
      return tile.where(p.lt(q), p, q.neg());
    case 4:
      return both(p).max(n);
    case 5:
      return both(p).tanh().sum(n).mul(0.1);
    case 6:
      return both(p).max(m).minimum(3);
    case 7:
      return tile.where(tile.position(m).ge(tile.position(n)), p, 0.25);
    default:
      return both(p).tanh().sum(m).mul(0.1);
  }
}
