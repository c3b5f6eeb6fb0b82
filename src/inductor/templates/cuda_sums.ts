/**
 * A contraction cut in two: the sums alone, into memory of their own, and the epilogue as a pointwise kernel over them.
 *
 * That is what a library's product needs where its own epilogues do not say what the kernel says, and sometimes faster for generated products too: an epilogue that
 * reads much keeps tensor cores waiting. Sums that are rounded to halves first anyway are kept as such.
 */
import { bfloat16, type DType, float16, InternalError } from "../../core/mod.ts";
import { add, constant, type Expr, mul, symbol } from "../../symbolic/mod.ts";
import { newBuffer } from "../buffers.ts";
import { emitCudaTile } from "../codegen/cuda/emit_tile.ts";
import type { CudaKernelText, EmitContext } from "../codegen/cuda/kernel_text.ts";
import type { CudaArg } from "../codegen/cuda/launch.ts";
import { parametersOf, walkStatements } from "../tile/parameters.ts";
import type { Axis, ContractionKernel, TileStatement, TileValue } from "../tile/tile_ir.ts";
import type { BufferRef } from "../../loops/mod.ts";
import { productOf } from "./cuda_operands.ts";

/** Both halves of a contraction. */
export interface SplitContraction {
  /** The contraction whose epilogue stores the sums, row-major, batch by batch. */
  readonly sums: ContractionKernel;
  readonly buffer: BufferRef;
  /** Emits the epilogue, with the sums as scratch memory. */
  readonly epilogue: (context: EmitContext) => CudaKernelText[];
  /** Lets kernels that name the buffer use the scratch memory instead. */
  readonly placed: (texts: readonly CudaKernelText[]) => CudaKernelText[];
}

let ids = 0;

function value(dtype: DType): TileValue {
  // Values of one body are told apart by their numbers; lowering's own are positive.
  return { id: --ids, dtype, axes: [] };
}

/** The half type to which all uses of the sum round it at once; else its own. */
export function roundedTo({ epilogue }: ContractionKernel): DType {
  const { accumulator, body } = epilogue;
  let found: DType | null = null;
  let others = false;
  walkStatements(body, (s) => {
    if (s.kind === "cast" && s.arg === accumulator && (s.out.dtype === float16 || s.out.dtype === bfloat16)) {
      found ??= s.out.dtype;
      if (found !== s.out.dtype) others = true;
    } else if (
      (s.kind === "cast" && s.arg === accumulator) || (s.kind === "pointwise" && s.args.includes(accumulator)) ||
      (s.kind === "store" && s.value === accumulator) || s.kind === "philox" || s.kind === "combine" ||
      s.kind === "bind"
    ) others = true;
  });
  return others || found === null ? accumulator.dtype : found;
}

/** A position along axes as one number, innermost axis last. */
function linear(axes: readonly Axis[]): Expr {
  return axes.reduce<Expr>((at, axis) => add(mul(at, axis.extent), symbol(axis.symbol)), constant(0));
}

/** Cuts a contraction. */
export function splitContraction(kernel: ContractionKernel, scratch: number): SplitContraction {
  const { epilogue, batch, m, n } = kernel;
  const dtype = roundedTo(kernel);
  const axes = [...batch, ...epilogue.m, ...epilogue.n];
  const size = mul(productOf(batch.map((a) => a.extent)), m, n);
  const buffer = newBuffer("sums", dtype, size);
  const index = add(mul(add(mul(linear(batch), m), linear(epilogue.m)), n), linear(epilogue.n));
  const sum = epilogue.accumulator;
  const isSame = dtype === sum.dtype;
  const rounded = isSame ? sum : value(dtype);
  const own: TileStatement[] = [
    ...(isSame ? [] : [{ kind: "cast", out: rounded, arg: sum } as const]),
    { kind: "store", buffer, index, value: rounded },
  ];
  const parameters = (bodies: readonly (readonly TileStatement[])[]) =>
    parametersOf(bodies, [...axes, ...kernel.a.rows, ...kernel.a.k, ...kernel.b.rows, ...kernel.b.k]);
  const arg: CudaArg = { kind: "scratch", bytes: mul(size, dtype.bytes), zeroed: false, id: scratch };
  const placed: SplitContraction["placed"] = (texts) =>
    texts.map((text) => ({
      ...text,
      args: text.args.map((a) => {
        if (a.kind === "tensorMap" && a.buffer === buffer) throw new InternalError("scratch memory in a tensor map");
        return a.kind === "buffer" && a.buffer === buffer ? arg : a;
      }),
    }));
  return {
    sums: {
      ...kernel,
      ...parameters([kernel.a.body, kernel.b.body, own]),
      epilogue: { ...epilogue, body: own },
    },
    buffer,
    placed,
    epilogue: (context) => {
      const loaded = isSame ? sum : value(dtype);
      const body: TileStatement[] = [
        { kind: "load", out: loaded, buffer, index, mask: null },
        ...(isSame ? [] : [{ kind: "cast", out: sum, arg: loaded } as const]),
        ...epilogue.body,
      ];
      const grid = axes.map((axis): Axis => ({ ...axis, role: "grid" }));
      return placed(emitCudaTile(
        {
          kind: "tile",
          name: `${kernel.name}_epilogue`.slice(0, 60),
          ...parameters([body]),
          axes: grid,
          body,
          parallelAxes: grid.length,
          comment: kernel.comment,
        },
        context,
      ));
    },
  };
}
