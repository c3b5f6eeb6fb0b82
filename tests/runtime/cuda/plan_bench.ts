/** Plans over the fake driver's kernel y += a · x: what tests of executables share. */
import {
  type CudaBuffer,
  type CudaContext,
  CudaDeviceMemory,
  CudaExecutable,
  type CudaFunction,
  CudaModule,
  type CudaPlan,
  type CudaPlanArg,
  type CudaPlanLaunch,
} from "../../../src/runtime/cuda/mod.ts";
import { fakeContext } from "./support.ts";

export const ELEMENTS = 8;
export const BYTES = 4 * ELEMENTS;
export const external = { kind: "external" } as const;

/** What is the same in all plans here: the kernel y += a · x over the fake driver. */
export class PlanBench {
  readonly context: CudaContext;
  readonly memory: CudaDeviceMemory = new CudaDeviceMemory(() => this.context);
  readonly #axpy: CudaFunction;

  constructor(context: CudaContext = fakeContext()) {
    this.context = context;
    this.#axpy = CudaModule.load(context, new TextEncoder().encode("fake"), "axpy").function("axpy", "an axpy");
  }

  /** The factor is an integer size whose bits are a float's: the fake kernel reads 4 bytes. */
  axpy(x: CudaPlanArg, y: CudaPlanArg, grid = 1): CudaPlanLaunch {
    const bits = new Int32Array(new Float32Array([1]).buffer)[0] ?? 0;
    return {
      fn: this.#axpy,
      args: [x, y, { kind: "size", value: () => bits, type: "i32" }, {
        kind: "size",
        value: (sizes) => sizes[0] ?? ELEMENTS,
        type: "i32",
      }],
      grid: [() => grid, () => 1, () => 1],
      block: [32, 1, 1],
      sharedBytes: 0,
    };
  }

  plan(plan: Partial<CudaPlan> & Pick<CudaPlan, "steps" | "sources">): CudaPlan {
    return { name: "test", arenaBytes: () => 0, slotBytes: plan.sources.map(() => () => BYTES), ...plan };
  }

  executable(plan: CudaPlan, graphs = true): CudaExecutable {
    return new CudaExecutable({ context: this.context, memory: this.memory, plan, graphs });
  }

  buffer(values: readonly number[]): CudaBuffer {
    const buffer = this.context.allocator.allocate(4 * values.length);
    this.memory.write(buffer, 0, new Uint8Array(new Float32Array(values).buffer));
    return buffer;
  }

  read(buffer: CudaBuffer): number[] {
    return [...new Float32Array(this.memory.readSync(buffer, 0, buffer.byteLength).buffer)];
  }
}

export const slot = (n: number, align = 4): CudaPlanArg => ({ kind: "slot", slot: n, align });
export const times = (values: readonly number[], factor: number): number[] => values.map((v) => v * factor);
export const ONES = [1, 2, 3, 4, 5, 6, 7, 8];
