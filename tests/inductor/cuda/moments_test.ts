/**
 * Statistics of norms over columns: the mean and the squares around it come from one reading, whatever the numbers are.
 * Without a GPU they run on the emulated device.
 */
import assert from "node:assert/strict";
import {
  compile,
  CompiledGraph,
  device,
  type DType,
  float16,
  float32,
  noGrad,
  onCompile,
  type Tensor,
  tensor,
} from "../../../mod.ts";
import { F } from "../../../src/tensor/mod.ts";
import { cudaTest } from "../../helpers/cuda_test.ts";

/** Columns with means far from 0 in terms of their spread, an outlier in the first row, and one column of equal numbers. */
function columns(rows: number, width: number, dtype: DType): Tensor {
  const data = Array.from({ length: rows * width }, (_, i) => {
    const [row, at] = [Math.floor(i / width), i % width];
    if (at === 1) return 7;
    if (at === 2 && row === 0) return 1000;
    return Math.sin(i * 0.37 + row) + (dtype === float32 ? 20 : 4) * (at % 5);
  });
  return tensor(data).view([rows, width]).to(dtype);
}

type Numbers = readonly ArrayLike<number | bigint | boolean>[] | undefined;

/** Checks that results are the same but for rounding. */
function agree(got: Numbers, want: Numbers): void {
  assert.equal(got?.length, want?.length);
  got?.forEach((own, k) => {
    for (let i = 0; i < own.length; i++) {
      const [a, b] = [Number(own[i]), Number(want?.[k]?.[i])];
      assert.ok(Math.abs(a - b) <= 2e-4 * Math.max(1, Math.abs(b)), `result ${k}, ${i}: ${a}, ${b}`);
    }
  });
}

for (const [n, side, channels, groups] of [[2, 16, 128, 32], [1, 34, 60, 6], [1, 40, 48, 16]] as const) {
  cudaTest(`group norm of ${channels} innermost channels in ${groups} groups reads whole lines`, () => {
    const texts: string[] = [];
    using _ = onCompile(({ graph }) => {
      if (!(graph instanceof CompiledGraph) || graph.cuda === null) return;
      texts.push(...graph.cuda.modules.modules.map((m) => m.source));
    });
    const compiled = compile((x: Tensor, w: Tensor): Tensor[] => {
      const y = F.silu(F.groupNorm(F.permute(x, [0, 3, 1, 2]), groups, w, w));
      return [y, F.contiguous(F.permute(y, [0, 2, 3, 1]))];
    });
    const count = n * side * side * channels;
    const x = tensor(Array.from({ length: count }, (_, i) => Math.sin(i * 0.37) + 3 * (i % 7))).view([
      n,
      side,
      side,
      channels,
    ]);
    const w = tensor(Array.from({ length: channels }, (_, i) => 1 + i / channels));
    const [got, want] = ["cuda", "cpu"].map((where) =>
      noGrad(() => compiled(x.to(device(where)), w.to(device(where)))).map((t) => t.to(device("cpu")).dataSync())
    );
    if (count >= 1 << 16) assert.ok(texts.some((text) => text.includes("beside")), "neighbouring groups share a block");
    agree(got, want);
  });
}

cudaTest("the statistics of a batch norm over planes are one reading", () => {
  let launches = 0;
  using _ = onCompile(({ graph }) => {
    if (!(graph instanceof CompiledGraph) || graph.cuda === null) return;
    for (const step of graph.cuda.modules.steps) if (step.kind === "launches") launches += step.launches.length;
  });
  const compiled = compile((x: Tensor, w: Tensor): readonly Tensor[] =>
    F.nativeBatchNorm(x, w, w, null, null, true, 0.1, 1e-5)
  );
  const [n, channels, side] = [5, 6, 72];
  const count = n * channels * side * side;
  const x = tensor(Array.from({ length: count }, (_, i) => Math.sin(i * 0.37) + 3 * Math.floor(i / 5184) % 7)).view([
    n,
    channels,
    side,
    side,
  ]);
  const w = tensor(Array.from({ length: channels }, (_, i) => 1 + i / channels));
  const [got, want] = ["cuda", "cpu"].map((where) =>
    noGrad(() => compiled(x.to(device(where)), w.to(device(where)))).map((t) => t.to(device("cpu")).dataSync())
  );
  assert.equal(launches, 2, "statistics, and what follows");
  agree(got, want);
});

for (const [rows, width, dtype] of [[4100, 64, float16], [1500, 48, float32], [40100, 7, float32]] as const) {
  cudaTest(`moments of ${rows} rows of ${width} ${dtype.name} are one reading`, () => {
    let launches = 0;
    const texts: string[] = [];
    using _ = onCompile(({ graph }) => {
      if (!(graph instanceof CompiledGraph) || graph.cuda === null) return;
      texts.push(...graph.cuda.modules.modules.map((m) => m.source));
      for (const step of graph.cuda.modules.steps) if (step.kind === "launches") launches += step.launches.length;
    });
    const compiled = compile((x: Tensor): Tensor[] => {
      const given = x.to(float32);
      const mean = F.mean(given, [0], true);
      const centred = F.sub(given, mean);
      const variance = F.mean(F.mul(centred, centred), [0], true);
      return [F.mul(centred, F.rsqrt(F.add(variance, 1e-5))), mean, variance];
    });
    const x = columns(rows, width, dtype);
    const [got, want] = ["cuda", "cpu"].map((where) =>
      noGrad(() => compiled(x.to(device(where)))).map((t) => t.to(device("cpu")).dataSync())
    );
    assert.ok(texts.some((text) => text.includes("tsr_share")), "blocks share the columns");
    assert.equal(launches, 2, "statistics, and what follows");
    agree(got, want);
  });
}
