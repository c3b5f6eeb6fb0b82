/** Recurrent networks against the equations, written out for one cell at a time. */
import assert from "node:assert/strict";
import "../../src/autograd/mod.ts";
import { F, manualSeed, randn, type Tensor } from "../../src/tensor/mod.ts";

function near(got: Tensor, want: Tensor): void {
  assert.deepEqual(got.shape, want.shape);
  const w = want.contiguous().dataSync();
  got.contiguous().dataSync().forEach((g: number | bigint, i: number) =>
    assert.ok(Math.abs(Number(g) - Number(w[i])) < 1e-5, `${i}: ${g}, expected ${w[i]}`)
  );
}

const sig = (x: Tensor): Tensor => x.neg().exp().add(1).reciprocal();

Deno.test("lstm_cell() follows Hochreiter's equations with gates in the order i, f, g, o", () => {
  manualSeed(1);
  const [x, h, c] = [randn([2, 3]), randn([2, 4]), randn([2, 4])];
  const [wi, wh, bi, bh] = [randn([16, 3]), randn([16, 4]), randn([16]), randn([16])];
  const gates = x.matmul(wi.t()).add(bi).add(h.matmul(wh.t())).add(bh);
  const part = (k: number): Tensor => gates.narrow(1, 4 * k, 4);
  const memory = sig(part(1)).mul(c).add(sig(part(0)).mul(part(2).tanh()));
  const [next, cell] = F.lstmCell(x, [h, c], wi, wh, bi, bh);
  near(cell, memory);
  near(next, sig(part(3)).mul(memory.tanh()));
});

Deno.test("gru_cell() follows Cho's equations with the bias inside the reset gate", () => {
  manualSeed(2);
  const [x, h] = [randn([2, 3]), randn([2, 4])];
  const [wi, wh, bi, bh] = [randn([12, 3]), randn([12, 4]), randn([12]), randn([12])];
  const a = x.matmul(wi.t()).add(bi), b = h.matmul(wh.t()).add(bh);
  const part = (t: Tensor, k: number): Tensor => t.narrow(1, 4 * k, 4);
  const r = sig(part(a, 0).add(part(b, 0))), z = sig(part(a, 1).add(part(b, 1)));
  const n = part(a, 2).add(r.mul(part(b, 2))).tanh();
  near(F.gruCell(x, h, wi, wh, bi, bh), n.mul(z.neg().add(1)).add(z.mul(h)));
});

Deno.test("lstm() in two layers and both directions is its cells in order, batch first too", () => {
  manualSeed(3);
  const [T, N, I, H] = [5, 2, 3, 4];
  const x = randn([T, N, I]);
  const h0 = randn([4, N, H]), c0 = randn([4, N, H]);
  const params: Tensor[] = [];
  for (let i = 0; i < 4; i++) {
    params.push(randn([4 * H, i < 2 ? I : 2 * H]), randn([4 * H, H]), randn([4 * H]), randn([4 * H]));
  }
  let layer = x;
  const lastH: Tensor[] = [], lastC: Tensor[] = [];
  for (let l = 0; l < 2; l++) {
    const outs: Tensor[] = [];
    for (let d = 0; d < 2; d++) {
      const k = 2 * l + d;
      const [wi, wh, bi, bh] = params.slice(4 * k, 4 * k + 4) as [Tensor, Tensor, Tensor, Tensor];
      let h = h0.select(0, k), c = c0.select(0, k);
      const steps: Tensor[] = [];
      for (let n = 0; n < T; n++) {
        const t = d === 0 ? n : T - 1 - n;
        [h, c] = F.lstmCell(layer.select(0, t), [h, c], wi, wh, bi, bh);
        steps[t] = h;
      }
      outs.push(F.stack(steps, 0));
      lastH.push(h);
      lastC.push(c);
    }
    layer = F.cat(outs, -1);
  }
  const [out, h, c] = F.lstm(x, [h0, c0], params, true, 2, 0, false, true, false);
  near(out, layer);
  near(h, F.stack(lastH, 0));
  near(c, F.stack(lastC, 0));
  const [first] = F.lstm(x.transpose(0, 1), [h0, c0], params, true, 2, 0, false, true, true);
  near(first, layer.transpose(0, 1));
});

Deno.test("lstm() refuses wrong parameters, saying which", () => {
  const x = randn([2, 1, 3]), h = randn([1, 1, 4]);
  assert.throws(
    () => F.lstm(x, [h, h], [randn([16, 3])], false, 1, 0, false, false, false),
    /need 2 parameters, got 1/,
  );
  assert.throws(
    () => F.lstm(x, [h, h], [randn([16, 5]), randn([16, 4])], false, 1, 0, false, false, false),
    /input weights 0 must be \[16, 3\]/,
  );
});
