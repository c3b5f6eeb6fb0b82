/**
 * Every kernel of the conformance sample, and of models at their usual widths, compiles: few registers spilled, products on tensor cores. A test file for each
 * architecture, since what is compiled depends on the device.
 *
 * The device is emulated and nothing runs: plans are caught where they would be compiled, and their kernels go to nvrtc together. Needs nvrtc, no GPU.
 */
import assert from "node:assert/strict";
import { autocast, bfloat16, compile, float16, type nn, noGrad, onCompile, type Tensor } from "../../../mod.ts";
import { makeTrainingModel, type TrainingModel } from "../../../bench/models/zoo/training.ts";
import { withConfig } from "../../../src/core/mod.ts";
import { CudaTier } from "../../../src/inductor/cuda_tier.ts";
import type { HostPlan } from "../../../src/inductor/host_plan.ts";
import { findNvrtc } from "../../../src/runtime/cuda/libraries.ts";
import { Case } from "../../conformance/case.ts";
import { inductorExecutor } from "../../conformance/execute.ts";
import { Vectors } from "../../conformance/vectors.ts";
import {
  type Architecture,
  type CompiledKernel,
  compileUnits,
  DEVICES,
  gatherUnits,
  unfit,
} from "../../helpers/cuda_kernels.ts";
import { emulateCuda } from "../../runtime/cuda/emulator/mod.ts";

// Asked for before the device is emulated, which takes another one's place.
const nvrtc = findNvrtc();
const run = CudaTier.prototype.run;
/** One of convolutions, one of causal attention, one of attention whose rows fill no tile. */
const MODELS = ["resnet50", "gpt2", "vit_base"];

/** Plans of what `body` compiles for the device; nothing of it runs. */
function plansOf(body: () => void): HostPlan[] {
  const plans: HostPlan[] = [];
  using _ = onCompile(({ graph }) => {
    if (graph.cuda !== null) plans.push(graph.compiled.plan);
  });
  // Plans are made once, not taken from the disk.
  using _settings = withConfig({ disabled: new Set(["cache"]) });
  CudaTier.prototype.run = () => {};
  try {
    body();
  } finally {
    CudaTier.prototype.run = run;
  }
  return plans;
}

async function compiled(plans: readonly HostPlan[], architecture: Architecture): Promise<CompiledKernel[]> {
  if (!nvrtc.ok) throw new Error("an ignored test ran");
  const kernels = await compileUnits(nvrtc.value, gatherUnits(plans, architecture));
  assert.deepEqual(unfit(kernels), []);
  return kernels;
}

/** Plans of all cases, values and gradients. */
function samplePlans(): HostPlan[] {
  const source = new Vectors(new URL("../../conformance/sample", import.meta.url).pathname);
  const cases = source.cases.map((c) => Case.of(c, source)).filter((c): c is Case =>
    c !== null && !c.op.isDataDependent
  );
  const executor = inductorExecutor({ tier: "cuda", dynamic: false });
  return plansOf(() => {
    for (let i = 0; i < cases.length; i += 96) {
      const batch = cases.slice(i, i + 96);
      executor.values(batch);
      executor.gradients(batch.filter((c) => c.wanted.length > 0));
    }
  });
}

/** A step of training under autocast, and inference in halves. */
function exercise({ model, inputs, loss }: TrainingModel): void {
  model.to("cuda");
  const [x, classes] = inputs("cuda");
  const step = compile((x: Tensor, classes: Tensor): Tensor => {
    const value = autocast("cuda", { dtype: bfloat16 }, () => loss(x, classes));
    value.backward();
    return value.detach();
  });
  step(x, classes);
  for (const p of (model as nn.Module).parameters()) p.grad = null;
  model.eval().to(float16);
  const image = x.dtype.isFloat ? x.to(float16) : x;
  const callable = model as nn.Module & { forward(x: Tensor): Tensor };
  noGrad(() => compile((x: Tensor): Tensor => callable.forward(x))(image));
}

/** Registers the tests of one architecture. It must be the first use of "cuda" in the process. */
export function testKernels(architecture: Architecture): void {
  const reason = nvrtc.ok ? emulateCuda({ capability: DEVICES[architecture].arch }) : nvrtc.problem.problem;
  const test = (name: string, fn: () => Promise<void>): void =>
    Deno.test({
      name: `${name} compiles for ${architecture}${reason === null ? "" : ` [skipped: ${reason}]`}`,
      ignore: reason !== null,
      sanitizeResources: false,
      sanitizeOps: false,
      fn,
    });

  test("every kernel of the conformance sample", async () => {
    const kernels = await compiled(samplePlans(), architecture);
    assert.ok(kernels.length > 1000, `${kernels.length} kernels`);
  });

  for (const name of MODELS) {
    test(`every kernel of a layer or stage of ${name}, in training and inference,`, async () => {
      const plans = plansOf(() => exercise(makeTrainingModel(name, { layers: 1 })));
      assert.ok(plans.length >= 2, `${plans.length} plans`);
      const kernels = await compiled(plans, architecture);
      const onTensorCores = kernels.filter((k) => (architecture === "sm_90a" ? k.byWarpgroups : k.byWarps) > 0);
      assert.ok(onTensorCores.length >= 4, `${onTensorCores.length} of ${kernels.length} use tensor cores`);
      // Whatever is written with tensor cores has their instructions in its machine code.
      for (const k of kernels) {
        if (!/tsr_mma_tile|tsr_wgmma_(ss|rs)|tsr_flash_/.test(k.source)) continue;
        if (k.source.includes("tsr_flash_")) {
          assert.equal(k.spillBytes, 0, `attention spills in ${k.source.slice(0, 400)}`);
        }
        assert.ok(k.byWarps + k.byWarpgroups > 0, `no instruction of tensor cores in ${k.source.slice(0, 400)}`);
      }
    });
  }
}
