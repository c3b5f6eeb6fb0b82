/**
 * Contractions in C++: the template of `contraction.h` with generated packing loops and epilogue.
 *
 * A model chooses the register tile and which operand's rows are its columns; `cpp_operands.ts` writes the functions. Convolutions whose windows of 3 × 3 move by 1
 * go to `cpp_winograd.ts` where that is quicker, others to `cpp_direct.ts` where it costs more to write windows out.
 */
import { float64 } from "../../core/mod.ts";
import type { BufferRef } from "../../loops/mod.ts";
import { constant } from "../../symbolic/mod.ts";
import { CppFunction, parameterLines } from "../codegen/cpp/emit_kernel.ts";
import type { CppFunctionText } from "../codegen/cpp/emit_tile.ts";
import type { ContractionKernel } from "../tile/tile_ir.ts";
import { guess } from "../tile/axes.ts";
import { chooseTiling } from "./contraction_tiling.ts";
import { emitCppDirect } from "./cpp_direct.ts";
import {
  epilogueFunction,
  KeptArguments,
  packForm,
  packFunction,
  product,
  stepLevel,
  type Writer,
} from "./cpp_operands.ts";
import { emitCppWinograd } from "./cpp_winograd.ts";
import { keepOperand, type KeptBudget } from "./kept_operands.ts";

const NONE: ReadonlySet<BufferRef> = new Set();

/**
 * Emits the function of a contraction and the functions that it passes to the template.
 *
 * @param constants Buffers whose packed form may be kept from call to call.
 * @param budget How much more memory than the weights themselves packed forms may take; null: any.
 */
export function emitCppContraction(
  kernel: ContractionKernel,
  lanes: number,
  constants: ReadonlySet<BufferRef> = NONE,
  budget: KeptBudget | null = null,
): CppFunctionText {
  const filter = emitCppWinograd(kernel, lanes, constants, budget);
  if (filter !== null) return filter;
  const { swapped, rows, registers, cycles } = chooseTiling(kernel, lanes);
  const batchCount = kernel.batch.reduce((n, axis) => n * guess(axis.extent), 1);
  const direct = emitCppDirect(kernel, lanes, constants, batchCount * cycles);
  if (direct !== null) return direct;
  const own: ContractionKernel = swapped
    ? {
      ...kernel,
      m: kernel.n,
      n: kernel.m,
      a: kernel.b,
      b: kernel.a,
      epilogue: { ...kernel.epilogue, m: kernel.epilogue.n, n: kernel.epilogue.m },
    }
    : kernel;
  const type = kernel.accumulate === float64 ? "double" : "float";

  const level = stepLevel(kernel.k);
  const inner = product(kernel.k.slice(level));
  const steps = product(kernel.k.slice(0, level));
  // A register of doubles holds half as many lanes: twice as many make the same width.
  const [tileRows, tileRegisters] = type === "double" ? [Math.min(rows, 6), 2] : [rows, registers];
  const width = type === "double" ? tileRegisters * lanes / 2 : tileRegisters * lanes;
  const writer: Writer = { kernel: own, lanes, type, width };
  const f = new CppFunction(own, [], [], lanes);
  const s = f.scopes;
  for (const line of parameterLines(own)) s.line(line);
  const batches = product(own.batch.map((axis) => axis.extent));
  const numbers = [batches, own.m, own.n, steps, inner].map((e) => s.index(e));
  const bytes = type === "double" ? 8 : 4;
  const kept = new KeptArguments(own, constants);
  const [ofBatches, m, n, ...ofSteps] = numbers;
  const [keptA, keptB] = [
    kept.add(keepOperand(own, own.a, own.n, tileRows * bytes, tileRows), () => [
      ofBatches,
      m,
      ...ofSteps,
      packForm(writer, own.a, tileRows, inner),
    ]),
    kept.add(keepOperand(own, own.b, own.m, width * bytes, width), () => [
      ofBatches,
      n,
      ...ofSteps,
      packForm(writer, own.b, width, inner),
    ]),
  ];
  s.line(`const tsr_contraction d = { ${numbers.join(", ")}, @_a, @_b, @_e, ${keptA}, ${keptB} };`);
  kept.call(s, `tsr_contract<${type}, ${tileRows}, ${tileRegisters}>(runtime, A, d);`);
  return {
    ...kept.result(),
    support: [
      packFunction(writer, "@_a", own.a, tileRows, inner),
      packFunction(writer, "@_b", own.b, width, inner),
      epilogueFunction(writer),
    ].join("\n"),
    text: s.text("  "),
    count: constant(1),
    picoseconds: constant(1_000_000_000),
  };
}
