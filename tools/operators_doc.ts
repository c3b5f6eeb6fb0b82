// deno-lint-ignore-file no-console -- a program that reports to its user
/**
 * Writes `docs/operators.md` from the operator table: `deno run -A tools/operators_doc.ts [--check]`.
 *
 * One line an operator: target, schema, how it is defined, whether it is differentiable, the dtypes that its samples run with, notes. Conformance figures come
 * from `tests/conformance/figures.json`, which `deno task conformance --record` writes. With `--check`, fails if the file is not what it would write.
 */
import "../mod.ts";
import {
  bfloat16,
  bool,
  complex64,
  type DType,
  float16,
  float32,
  float64,
  int32,
  int64,
  uint8,
} from "../src/core/mod.ts";
import { allOps, type Operator, SampleGenerator } from "../src/ops/mod.ts";
import { dispatchComplete, noGrad, referenceBackend, withEagerBackend } from "../src/tensor/mod.ts";
import { makeArgs } from "../tests/ops/harness.ts";

const DTYPES: readonly DType[] = [float32, float64, float16, bfloat16, int64, int32, uint8, bool, complex64];

interface Figures {
  readonly values: { readonly passed: number; readonly failed: number; readonly skipped: number };
  readonly gradients: { readonly passed: number; readonly failed: number; readonly skipped: number };
  readonly failures: readonly { readonly id: string; readonly target: string; readonly reason: string }[];
}

/** Why operators of recorded cases differ, where the reason is known. */
const REASONS: Readonly<Record<string, string>> = {
  "aten._batch_norm_with_update.default":
    "bfloat16: PyTorch rounds the scale and the shift to bfloat16 before it applies them; here all is float32",
  "aten.as_strided_scatter.default":
    "PyTorch's gradient of self keeps exactly the elements that were overwritten and drops the others; here it is the mathematical one",
  "aten.layer_norm.default":
    "one element a row: the exact gradient of the weight is 0, PyTorch's is the rounding error of its formula",
  "aten.logcumsumexp.default":
    "inputs of 10,000: the gradient is the exponential of sums of such numbers, which float32 has to 5e-4; only the same roundings in the same order give the same digits",
  "aten.scaled_dot_product_attention.default":
    "bfloat16 on CUDA: tensor cores take probabilities rounded to bfloat16, as PyTorch's kernels there do; the vectors were made on a processor",
};

/** Operators that PyTorch's own samples call and that are left out, with the reason. */
const NOT_HERE: readonly (readonly [string, string])[] = [
  [
    "sparse, quantised and nested tensors",
    "tensors here are strided; `_to_sparse`, `_sparse_mm_reduce_impl`, `sparse_sampled_addmm` and `_weight_int4pack_mm` with them",
  ],
  ["`_pack_padded_sequence`, `lstm.data`, `gru.data`, `rnn_*.data`", "packed sequences, whose sizes are data"],
  [
    "`_sobol_engine_*`, `_dirichlet_grad`",
    "quasi-random numbers; Dirichlet variables differentiate by way of gamma variables",
  ],
  [
    "`batch_norm_stats`, `_fused_adam_`, `cudnn_*`, `mkldnn_*`, `_scaled_dot_product_*_attention` of single devices",
    "fast paths, into which exported programs are not split; `_foreach_*` are here",
  ],
  [
    "`result_type`, `can_cast`, `promote_types`, `is_leaf`, `retain_grad`, `_pin_memory`",
    "questions and orders that yield no tensor and stand in no graph",
  ],
  ["uint64 beside hashes", "`hash_tensor` yields it; views, reading and storing take it, arithmetic refuses it"],
  ["complex128 and complex32", "complex64 is the one complex dtype; `linalg_eig` takes float32 for the same reason"],
  [
    "linear algebra, convolution and most special functions of complex tensors",
    "they refuse complex64 and say so; arithmetic, products of matrices, Fourier transforms and what moves elements take it",
  ],
  [
    "errors that depend on data",
    "integers divided by 0, probabilities and quantiles out of range, indices beyond a dimension raise on every executor, on CUDA when data is read; gather, scatter and index_select take negative indices, as PyTorch's compiled code does",
  ],
  ["`arange` beyond 2^53", "sizes and numbers of JavaScript are exact up to there; it refuses, and says so"],
  ["`out=` overloads", "results are new tensors; in-place forms write into self"],
];

/** Other sets of PyTorch's samples (`tools/vectors`): the seed, what ran, how much agreed, and what did not. */
const OTHER_SETS: readonly (readonly [seed: number, cases: string, values: string, gradients: string])[] = [
  [4242, "10195 of 609 operators", "9859 of 9870 (99.9 %), 325 skipped", "1818 of 1826 (99.6 %), 37 skipped"],
  [31337, "10765 of 608 operators", "10407 of 10427 (99.8 %), 338 skipped", "1963 of 1976 (99.3 %), 38 skipped"],
  [9001, "11261 of 609 operators", "10889 of 10911 (99.8 %), 350 skipped", "2208 of 2225 (99.2 %), 41 skipped"],
];

/** What differs in other sets of samples. */
const OTHER_REASONS: readonly (readonly [string, string])[] = [
  [
    "`hinge_embedding_loss` of bfloat16",
    "PyTorch sums in bfloat16 between two masks; here sums are float32",
  ],
  [
    "`std`, `var` beyond 1.8e19",
    "PyTorch's kernels for the CPU square in float64; here float32 overflows, as on CUDA there",
  ],
  [
    "`_embedding_bag_dense_backward` with scale_grad_by_freq",
    "PyTorch divides by the counts of other rows than those that it adds to; here by their own",
  ],
  [
    "bfloat16 in `_native_multi_head_attention`, `_transformer_encoder_layer_fwd`",
    "PyTorch rounds after other steps of the many",
  ],
  [
    "`svd`, `linalg_svd`, `linalg_eigh`, `linalg_eig`",
    "the sign of vectors is free; gradients through single vectors follow it",
  ],
  ["`matrix_exp` of half types", "PyTorch's steps overflow to NaN in the half type; here they are float32"],
  [
    "`linalg_pinv` of matrices without full rank",
    "the gradient divides by differences of singular values that rounding decides",
  ],
  [
    "`layer_norm`, `native_layer_norm`, `as_strided_scatter`, `_batch_norm_with_update`, `_native_batch_norm_legit`",
    "as above",
  ],
];

function definition(op: Operator): string {
  if (op.aliasOf !== undefined) return `another name of ${op.aliasOf.target}`;
  if (op.functional !== null) return `in place of ${op.functional.target}`;
  return op.view !== null ? `${op.kind} (view)` : op.kind;
}

/** Whether gradients flow through, as far as the table alone tells. */
function isDifferentiable(op: Operator): boolean {
  const own = op.functional ?? op;
  return own.vjp !== null || own.decompose !== null;
}

/** Dtypes with which the first sample that exists runs on the reference executor. */
function dtypesOf(op: Operator): string {
  const own = op.functional ?? op;
  const found: string[] = [];
  for (const dtype of DTYPES) {
    try {
      const sample = own.samples(new SampleGenerator(dtype))[0];
      if (sample === undefined) continue;
      withEagerBackend(referenceBackend, () => noGrad(() => dispatchComplete(own, makeArgs(own, sample, 7))));
      found.push(dtype.short);
    } catch {
      // Refused by meta, or not defined on this dtype.
      continue;
    }
  }
  return found.join(" ");
}

/** Numbers that come from elements, not from the description of a tensor. */
const READS_DATA = /^(item|_local_scalar_dense|is_nonzero|equal|allclose)$/;

function notesOf(op: Operator): string {
  const notes = [
    op.isRandom ? "random" : "",
    op.isDataDependent ? "shape depends on data: runs between graphs" : "",
    op.kind === "number" && READS_DATA.test(op.schema.name) ? "reads data: ends a captured graph" : "",
    op.kind === "host" && !op.isDataDependent ? "an algorithm on the host, a step of its own in plans" : "",
    op.isPublic ? "" : "internal",
  ].filter((n) => n !== "");
  return notes.join("; ");
}

const cell = (text: string): string => text.replaceAll("|", "\\|");

function table(ops: readonly Operator[]): string[] {
  const out = [
    "| operator | schema | defined by | differentiable | dtypes | notes |",
    "| --- | --- | --- | --- | --- | --- |",
  ];
  for (const op of ops) {
    out.push(
      `| ${op.target} | \`${cell(op.schema.text)}\` | ${definition(op)} | ${isDifferentiable(op) ? "yes" : ""} | ${
        dtypesOf(op)
      } | ${notesOf(op)} |`,
    );
  }
  return out;
}

function percent(c: Figures["values"]): string {
  const total = c.passed + c.failed;
  return `${c.passed} of ${total} (${(100 * c.passed / Math.max(total, 1)).toFixed(1)} %), ${c.skipped} skipped`;
}

function readFigures(): Record<string, Figures> {
  return JSON.parse(Deno.readTextFileSync(new URL("../tests/conformance/figures.json", import.meta.url)));
}

function document(): string {
  const ops = allOps().sort((a, b) => a.target < b.target ? -1 : 1);
  const figures = readFigures();
  const lines = [
    "# Operators",
    "",
    "Generated by `tools/operators_doc.ts` from the operator table. `loop`: a loop body, from which every kernel derives. `decompose`: written with other",
    "operators, also differentiated through. `host`: an algorithm on host memory. `number`: a size, or a number read from data. Dtypes are those with which the operator's own samples run.",
    "",
    "Every operator runs on the CPU: eagerly, on JavaScript kernels, and on C++ kernels where there is a compiler.",
    "",
    "## Conformance",
    "",
    "Recorded results of PyTorch for operators of exported programs, run by `deno task conformance --vectors DIR --record`.",
    "",
    "| executor | values | gradients |",
    "| --- | --- | --- |",
    ...Object.entries(figures).map(([name, f]) => `| ${name} | ${percent(f.values)} | ${percent(f.gradients)} |`),
    "",
    "What differs, by operator, with one reason each:",
    "",
    "| operator | executors | cases | reason |",
    "| --- | --- | --- | --- |",
  ];
  const byTarget = new Map<string, { executors: Set<string>; ids: Set<string>; reason: string }>();
  for (const [name, f] of Object.entries(figures)) {
    for (const { id, target, reason } of f.failures) {
      const entry = byTarget.get(target) ?? { executors: new Set(), ids: new Set(), reason };
      entry.executors.add(name);
      entry.ids.add(id);
      byTarget.set(target, entry);
    }
  }
  for (const [target, e] of [...byTarget].sort(([a], [b]) => a < b ? -1 : 1)) {
    lines.push(`| ${target} | ${[...e.executors].join(", ")} | ${e.ids.size} | ${cell(REASONS[target] ?? e.reason)} |`);
  }
  lines.push(
    "",
    "Other samples of PyTorch's, made by `tools/vectors` with other seeds (real dtypes; the reference executor):",
    "",
    "| seed | cases | values | gradients |",
    "| --- | --- | --- | --- |",
    ...OTHER_SETS.map((row) => `| ${row.join(" | ")} |`),
    "",
    ...OTHER_REASONS.map(([what, why]) => `- ${what}: ${why}.`),
    "",
    "## What is not here",
    "",
    ...NOT_HERE.map(([what, why]) => `- ${what}: ${why}.`),
  );
  const aten = ops.filter((op) => op.target.startsWith("aten."));
  const own = ops.filter((op) => !op.target.startsWith("aten."));
  lines.push("", `## ATen operators (${aten.length})`, "", ...table(aten));
  lines.push(
    "",
    `## Tessera's own (${own.length})`,
    "",
    "Primitives that ATen operators decompose into.",
    "",
    ...table(own),
    "",
  );
  return lines.join("\n");
}

const path = new URL("../docs/operators.md", import.meta.url);
const text = document();
if (Deno.args.includes("--check")) {
  const now = await Deno.readTextFile(path).catch(() => "");
  if (now !== text) {
    console.error("docs/operators.md is not up to date: run deno run -A tools/operators_doc.ts");
    Deno.exit(1);
  }
} else {
  await Deno.writeTextFile(path, text);
  console.log(`docs/operators.md: ${allOps().length} operators`);
}
