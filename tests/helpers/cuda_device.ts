/**
 * Runs plans on a real GPU with as little between as possible: for tests of generated kernels and for their benchmark.
 */
import { emitCudaModules } from "../../src/inductor/codegen/cuda/emit_module.ts";
import type { CudaArg, CudaLaunch, CudaModules, CudaOptions } from "../../src/inductor/codegen/cuda/launch.ts";
import { sizeFunction, slotNumbers } from "../../src/inductor/codegen/slots.ts";
import type { HostPlan } from "../../src/inductor/host_plan.ts";
import { type CpuBuffer } from "../../src/runtime/cpu/memory.ts";
import {
  CudaArguments,
  type CudaBuffer,
  type CudaContext,
  cudaContext,
  CudaDeviceMemory,
  type CudaFunction,
  CudaGraph,
  CudaModule,
  encodeMap,
  findDriver,
  findNvrtc,
  NvrtcCompiler,
  parameterBytes,
  type ParameterKind,
} from "../../src/runtime/cuda/mod.ts";
import type { Executable } from "../../src/runtime/kernel.ts";

/** Whether there is a GPU with everything that it needs; null, or why not. */
export function deviceProblem(): string | null {
  const driver = findDriver();
  if (!driver.ok) return driver.problem.problem;
  const nvrtc = findNvrtc();
  return nvrtc.ok ? null : nvrtc.problem.problem;
}

interface Ready {
  readonly fn: CudaFunction;
  readonly shape: Parameters<CudaFunction["launch"]>[0];
  readonly args: CudaArguments;
  readonly launch: CudaLaunch;
}

/** A plan whose buffers are given by slot. */
export class DevicePlan {
  readonly context: CudaContext = cudaContext();
  readonly memory = new CudaDeviceMemory();
  readonly modules: CudaModules;
  readonly buffers: (CudaBuffer | undefined)[] = [];
  readonly error: CudaBuffer;
  compileMs = 0;
  readonly #plan: HostPlan;
  readonly #functions = new Map<string, CudaFunction>();
  readonly #scratch = new Map<number, CudaBuffer>();
  #ready: Ready[] = [];

  constructor(plan: HostPlan, options: Pick<CudaOptions, "allowTf32"> = {}) {
    this.#plan = plan;
    const { capability, attributes } = this.context.info;
    const multiprocessors = attributes.multiprocessors;
    this.modules = emitCudaModules(plan, {
      ...options,
      arch: capability,
      multiprocessors,
      parameterBytes: parameterBytes(),
    });
    const nvrtc = findNvrtc();
    if (!nvrtc.ok) throw new Error(nvrtc.problem.problem);
    const compiler = new NvrtcCompiler(nvrtc.value);
    const start = performance.now();
    this.modules.modules.forEach((module, i) => {
      const target = { arch: this.modules.architecture, kind: "cubin" } as const;
      const { bytes } = compiler.compileSync({
        source: module.source,
        target,
        name: `m${i}`,
        options: this.modules.flags,
      });
      const loaded = CudaModule.load(this.context, bytes);
      for (const name of module.functions) this.#functions.set(`${i}/${name}`, loaded.function(name));
    });
    this.compileMs = performance.now() - start;
    this.error = this.allocate(32);
  }

  /** Memory on the device, filled with a pattern that is no number. */
  allocate(bytes: number, value = 0): CudaBuffer {
    const buffer = this.memory.allocate(this.context.device, Math.max(bytes, 16));
    this.context.fill(buffer.address, value, buffer.byteLength);
    return buffer;
  }

  /** Prepares the launches for the buffers as they are and these sizes. */
  bind(sizes: readonly number[]): void {
    const plan = this.#plan;
    const slots = slotNumbers(plan);
    const of = (e: Parameters<typeof sizeFunction>[1]): number => sizeFunction(plan, e)(sizes);
    const arena = this.allocate(of(plan.arenaBytes), 0xee);
    const bufferOf = (slot: number): { buffer: CudaBuffer; offset: number } => {
      const own = plan.slots[slot];
      if (own === undefined) throw new Error(`no slot ${slot}`);
      if (own.kind === "arena") return { buffer: arena, offset: of(own.offset) };
      if (own.kind === "donated") return bufferOf(slots.get(own.of) ?? -1);
      const buffer = this.buffers[slot];
      if (buffer === undefined) throw new Error(`no buffer for slot ${slot}`);
      return { buffer, offset: 0 };
    };
    this.#ready = [];
    const scratchOf = (id: number, bytes: number): CudaBuffer => {
      let found = this.#scratch.get(id);
      if (found === undefined) this.#scratch.set(id, found = this.allocate(bytes));
      return found;
    };
    for (const step of this.modules.steps) {
      if (step.kind === "host") throw new Error("a host step");
      for (const launch of step.launches) {
        const grid = launch.grid.map(of) as [number, number, number];
        if (grid.includes(0)) continue;
        const fn = this.#functions.get(`${launch.module}/${launch.function}`);
        if (fn === undefined) throw new Error(`no function ${launch.function}`);
        const args = new CudaArguments(launch.args.map(kindOf));
        launch.args.forEach((arg, i) => {
          switch (arg.kind) {
            case "buffer": {
              const { buffer, offset } = bufferOf(slots.get(arg.buffer) ?? -1);
              args.setBuffer(i, buffer, offset);
              return;
            }
            case "size": {
              const value = sizes[plan.sizes.indexOf(arg.sym)] ?? 0;
              if (arg.type === "i32") args.setInt(i, value);
              else args.setLong(i, value);
              return;
            }
            case "scratch":
              args.setBuffer(i, scratchOf(arg.id, of(arg.bytes)));
              return;
            case "error":
              args.setBuffer(i, this.error);
              return;
            case "scratchMap":
            case "tensorMap": {
              const { buffer, offset } = arg.kind === "scratchMap"
                ? { buffer: scratchOf(arg.id, of(arg.bytes)), offset: 0 }
                : bufferOf(slots.get(arg.buffer) ?? -1);
              const { map } = arg;
              const bytes = map.type === "float32" || map.type === "tfloat32" ? 4 : map.type === "uint8" ? 1 : 2;
              encodeMap(this.context, {
                ...map,
                address: buffer.address + offset + of(map.offset) * bytes,
                sizes: map.sizes.map(of),
                strideBytes: map.strideBytes.map(of),
              }, args.tensorMap(i));
              return;
            }
            default:
              arg satisfies never;
          }
        });
        if (launch.sharedBytes > 32 * 1024) fn.allowSharedBytes(launch.sharedBytes);
        const shape = { grid, block: launch.block, sharedBytes: launch.sharedBytes };
        this.#ready.push({
          fn,
          args,
          launch,
          shape: launch.cluster === undefined ? shape : { ...shape, cluster: launch.cluster },
        });
      }
    }
  }

  /** Launches everything. */
  launch(): void {
    this.bound()();
  }

  /** What launches everything for the buffers as they were bound last, also after others are bound. */
  bound(): () => void {
    const ready = this.#ready;
    return () => {
      for (const { fn, shape, args } of ready) fn.launch(shape, args);
    };
  }

  /** Kernels in one run. */
  get launches(): number {
    return this.#ready.length;
  }

  /** Median milliseconds of a run on the device. */
  time(rounds = 20, perRound = 5): number {
    return this.timeOf(() => this.launch(), rounds, perRound);
  }

  /** Median milliseconds on the device of what `send` sends: `perRound` times as one recorded graph, with their numbers. */
  timeOf(send: (i: number) => void, rounds = 20, perRound = 5): number {
    for (let i = 0; i < perRound; i++) send(i);
    this.context.synchronize();
    using graph = CudaGraph.capture(this.context, () => {
      for (let i = 0; i < perRound; i++) send(i);
    });
    graph.replay();
    const times = Array.from({ length: rounds }, () => {
      using start = this.context.stream.record({ timing: true });
      graph.replay();
      using end = this.context.stream.record({ timing: true });
      end.synchronize();
      return end.millisecondsSince(start) / perRound;
    });
    return times.sort((a, b) => a - b)[rounds >> 1] ?? NaN;
  }
}

function kindOf(arg: CudaArg): ParameterKind {
  if (arg.kind === "size") return arg.type;
  return arg.kind === "tensorMap" || arg.kind === "scratchMap" ? "tensorMap" : "pointer";
}

/** A plan on the GPU for buffers in the host's memory, which go there and come back. */
export function deviceExecutable(plan: HostPlan): Executable {
  const device = new DevicePlan(plan);
  return {
    tier: "cuda",
    run(buffers: readonly (CpuBuffer | undefined)[], sizes) {
      buffers.forEach((buffer, i) => {
        if (buffer === undefined) return;
        const own = device.allocate(buffer.byteLength);
        device.buffers[i] = own;
        if (buffer.byteLength > 0) device.memory.write(own, 0, new Uint8Array(buffer.uint8.slice().buffer));
      });
      device.context.fill(device.error.address, 0, 32);
      device.bind(sizes);
      device.launch();
      device.context.synchronize();
      const words = new BigInt64Array(device.memory.readSync(device.error, 0, 32).slice().buffer);
      if (words[2] !== 0n) throw new RangeError(`index ${words[0]} is out of range for a dimension of ${words[1]}`);
      buffers.forEach((buffer, i) => {
        const own = device.buffers[i];
        if (buffer === undefined || own === undefined || buffer.byteLength === 0) return;
        buffer.uint8.set(device.memory.readSync(own, 0, buffer.byteLength));
      });
    },
  };
}
