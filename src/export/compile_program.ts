/**
 * Exported programs, compiled: a program becomes one function of its flattened inputs, run by a backend of `compile()`.
 *
 * Enters: a program as it was read. Leaves: a function like `callFlat`, whose kernels are built once and serve all sizes that the program was exported for.
 * Each call checks ranges and conditions as the interpreter does, brings inputs into the layout the kernels expect, and leaves mutated buffers and
 * inputs written. Control flow is compiled graph by graph. Programs that read numbers out of tensors or have sizes that depend on data are compiled in parts, between
 * which such calls run by themselves; those that also write to tensors run node by node. `reason` says so, and a warning does.
 * Mirrors `torch.compile(program.module())`.
 */
// Registers the backends.
import "../aot_autograd/mod.ts";
import { type CompileMode, type CompilerBackend, findBackend } from "../capture/mod.ts";
import {
  CompileError,
  cpu,
  type Device,
  device as deviceOf,
  type DeviceLike,
  type DType,
  InternalError,
  warnOnce,
} from "../core/mod.ts";
import { isTensorMeta, type NodeValue, type TensorMeta } from "../graph/mod.ts";
import { type CompileRecord, freezeProgram, type LaunchTime, onCompile } from "../inductor/mod.ts";
import { prepareRunner } from "../runtime/cpu/mod.ts";
import { fakeTensor, noGrad, Tensor } from "../tensor/mod.ts";
import { inLayout } from "./input_layout.ts";
import { keepNative } from "./keep_native.ts";
import { compileConversion } from "./kept_conversion.ts";
import { keepProgram } from "./kept_program.ts";
import type { Bindings } from "./pt2/bindings.ts";
import { callableGraph, type DTypeChange, whatNeedsInterpreter } from "./pt2/callable_graph.ts";
import type { RunValue } from "./pt2/execute.ts";
import { type CompiledPart, splitProgram } from "./pt2/parts.ts";
import type { ExportedProgram } from "./pt2/program.ts";

/** How {@linkcode compileExported} compiles. */
export interface CompileExportedOptions {
  /** A backend's name, or the backend. Default `"inductor"`. */
  readonly backend?: string | CompilerBackend;
  readonly mode?: CompileMode;
  /** Where the program must run; it is put there when it is read. Default: where it is. */
  readonly device?: DeviceLike;
  /**
   * Run in this float dtype instead of the one of the program's parameters: they, inputs and stated dtypes of that kind are converted, as
   * `module.to(dtype)` does. Default: as exported.
   */
  readonly dtype?: DType;
  /** Further options of the backend. */
  readonly options?: Readonly<Record<string, unknown>>;
  /** The file that the program was read from, and which model of it: lets a later process find what was compiled by these alone. */
  readonly file?: { readonly path: string; readonly model?: string };
}

/** What compilation cost and made. */
export interface CompiledStats {
  /** Launches a call. */
  readonly kernels: number;
  /** Bytes of intermediates and results at once. */
  readonly peakBytes: number;
  /** Bytes of the program's parameters, buffers and constants. */
  readonly attributeBytes: number;
  /** Places that keep the program from being one graph. */
  readonly graphBreaks: number;
}

/** A program that is ready to be called on its flattened inputs, in the order of `userInputs`. */
export interface CompiledExport {
  (inputs: readonly RunValue[]): RunValue[];
  /** Whether a backend runs it, or the interpreter. */
  readonly kind: "compiled" | "interpreted";
  /** Why it is interpreted, or compiled in parts; null if it is one graph. */
  readonly reason: string | null;
  readonly stats: CompiledStats;
  /** Resolves when all kernels are built. */
  ready(): Promise<void>;
  /** Of what was compiled with the setting `profile`: how long launches took since this was last asked. Else empty. */
  readProfile(): readonly LaunchTime[];
  /** Whether a later process finds by the file alone what was compiled; known when `ready` has resolved. */
  isKept?(): boolean;
}

/** The dtype of most floating elements among the parameters; null if there are none. */
function floatDtype(attributes: ReadonlyMap<string, Tensor>): DType | null {
  const counts = new Map<DType, number>();
  for (const t of attributes.values()) {
    if (t.dtype.isFloat) counts.set(t.dtype, (counts.get(t.dtype) ?? 0) + t.numel);
  }
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0] ?? null;
}

function dtypeChange(program: ExportedProgram, tensors: ReadonlyMap<string, Tensor>, to: DType): DTypeChange | null {
  if (!to.isFloat) throw new TypeError(`compileExported: dtype must be a float dtype, got ${to.name}`);
  const inputs = program.userInputs.flatMap(({ value }) =>
    isTensorMeta(value) && value.dtype.isFloat ? [value.dtype] : []
  );
  const from = floatDtype(tensors) ?? inputs[0] ?? null;
  return from === null || from === to ? null : { from, to };
}

/** Tensors in the new dtype; those that shared memory share it again where they are the same tensor. */
function convert(tensors: ReadonlyMap<string, Tensor>, change: DTypeChange): Map<string, Tensor> {
  const made = new Map<string, Tensor>();
  const known = new Map<unknown, { readonly of: Tensor; readonly made: Tensor }[]>();
  for (const [path, t] of tensors) {
    if (t.dtype !== change.from) {
      made.set(path, t);
      continue;
    }
    const same = known.get(t.storage)?.find(({ of }) => sameView(of, t));
    const converted = same?.made ?? noGrad(() => t.to(change.to));
    if (same === undefined) known.set(t.storage, [...known.get(t.storage) ?? [], { of: t, made: converted }]);
    made.set(path, converted);
  }
  return made;
}

function sameView(a: Tensor, b: Tensor): boolean {
  return a.storageOffset === b.storageOffset && String(a.shape) === String(b.shape) &&
    String(a.stride) === String(b.stride);
}

/**
 * Compiles an exported program.
 *
 * @throws {UnsupportedError} if the program uses something that is not supported; {RangeError} for an unknown backend; {TypeError} if the
 *   program was read for another device; {CompileError} from the backend. Calls throw as `callFlat` does.
 *
 * @example
 * ```ts ignore
 * const program = await readExportedProgram("model.pt2");
 * const run = compileExported(program);
 * await run.ready();
 * const [logits] = run([randn([2, 3, 224, 224])]);
 * ```
 */
export function compileExported(program: ExportedProgram, options: CompileExportedOptions = {}): CompiledExport {
  program.checkRunnable();
  const { backend = "inductor" } = options;
  const compiler = typeof backend === "string" ? findBackend(backend) : backend;
  let attributes: ReadonlyMap<string, Tensor> = program.loadAttributes();
  if (options.device !== undefined) checkDevice(program, attributes, deviceOf(options.device));
  const change = options.dtype === undefined ? null : dtypeChange(program, attributes, options.dtype);
  const reasons = whatNeedsInterpreter(program);
  if (reasons.length > 0) {
    if (change !== null) {
      throw new CompileError(
        `${program.name}: cannot run in ${change.to.name}: ${
          reasons.join("; ")
        }; export it in ${change.to.name} instead`,
      );
    }
    return inParts(program, attributes, reasons, options, compiler) ?? interpreted(program, attributes, reasons);
  }
  if (change !== null) attributes = convert(attributes, change);
  const callable = callableGraph(program, attributes, change);
  const { graph, tensorInputs, sizeInputs, writtenInputs } = callable;
  const frozen = backend === "inductor" ? freezeProgram(graph, callable.attributes) : null;
  const read = new Set(graph.attributes.map((a) => a.path));
  const held = new Map([...frozen?.attributes ?? callable.attributes].filter(([path]) => read.has(path)));
  const records: CompileRecord[] = [];
  const metas = graph.placeholders.slice(0, tensorInputs.length).map(({ value }) => tensorMeta(value));
  const module = {
    graph,
    attributes: held,
    recorded: new Set<never>(),
    differentiable: graph.output.results.map(() => false),
  };
  const examples = metas.map((m) => fakeTensor(m));
  const context = {
    mode: options.mode ?? "default",
    // The program holds its weights: their packed forms are kept.
    options: { ...(backend === "inductor" ? { freezing: true } : {}), ...options.options },
  };
  const compiled = (() => {
    using _ = onCompile((record) => records.push(record));
    return compiler(module, examples, context);
  })();
  const { userInputs } = program;
  let checkedFor = "";
  let bindings: Bindings | null = null;
  const run = (inputs: readonly RunValue[]): RunValue[] => {
    const given = change === null ? inputs : inputs.map((v) => convertInput(v, change));
    const key = geometryOf(given);
    if (bindings === null || key !== checkedFor) {
      bindings = program.bind(
        change === null ? inputs : inputs.map((v, i) => asExported(v, userInputs[i]?.value, change)),
      );
      checkedFor = key;
    }
    const known = bindings;
    const tensors: Tensor[] = [];
    const restore: (readonly [Tensor, Tensor])[] = [];
    for (const [i, at] of tensorInputs.entries()) {
      const t = given[at] as Tensor;
      const laidOut = inLayout(t, metas[i] as TensorMeta, known);
      tensors.push(laidOut);
      const original = inputs[at] as Tensor;
      if (laidOut !== original && writtenInputs.has(at)) restore.push([original, laidOut]);
    }
    const sizes = sizeInputs.map((size) => known.value(size));
    frozen?.refresh();
    const results = noGrad(() => compiled([...tensors, ...sizes]));
    for (const [to, from] of restore) noGrad(() => to.copy_(from));
    return program.withNumbers(results);
  };
  const stats: CompiledStats = {
    kernels: records.reduce((n, r) => n + r.graph.counters.kernels, 0),
    peakBytes: records.reduce((n, r) => n + r.graph.counters.peakBytes, 0),
    attributeBytes: bytesOf(held.values()),
    graphBreaks: 0,
  };
  const { file, device } = options;
  // On the CPU only what runs in the dtype of its file, on a device only what nobody else writes.
  let isKept = false;
  const isFixed = sizeInputs.length === 0 && writtenInputs.size === 0 && !program.yieldsNumbers &&
    program.outputSpecs.every(({ kind }) => kind === "userOutput" || kind === "lossOutput");
  const isOnCpu = device !== undefined && deviceOf(device) === cpu;
  let keeps = file !== undefined && device !== undefined && frozen !== null && options.options === undefined &&
    (isOnCpu ? options.dtype === undefined : isFixed);
  const conversion = keeps && change !== null && device !== undefined
    ? compileConversion(compiler, change, deviceOf(device))
    : null;
  // Is built while the kernels are.
  if (keeps && isOnCpu) prepareRunner();
  const keep = (): void => {
    if (!keeps || file === undefined || device === undefined || frozen === null) return;
    keeps = false;
    const { path, ...model } = file;
    const dtype = options.dtype === undefined ? {} : { dtype: options.dtype };
    const where = deviceOf(device);
    const kept = compiler.kept?.nameOf(module, examples, context) ?? null;
    const parts = { program, path, kept, tensorInputs, held, stats };
    isKept = where.type === "cpu"
      ? keepNative({ ...parts, options: { mode: context.mode, ...model }, metas, sizeInputs })
      : keepProgram({
        ...parts,
        options: { device: where, mode: context.mode, ...model, ...dtype },
        frozen,
        change,
        conversion: conversion?.stored ?? null,
      });
  };
  return Object.assign(run, {
    kind: "compiled" as const,
    reason: null,
    stats,
    ready: async () => {
      await compiled.ready?.();
      await conversion?.ready();
      keep();
    },
    readProfile: () => records.flatMap((r) => r.graph.readProfile() ?? []),
    isKept: () => isKept,
  });
}

function reasonText(reasons: readonly string[]): string {
  return reasons.length > 5 ? `${reasons.slice(0, 5).join("; ")}; and ${reasons.length - 5} more` : reasons.join("; ");
}

/** A program that data interrupt, compiled between the interruptions; null if it cannot be taken apart. */
function inParts(
  program: ExportedProgram,
  attributes: ReadonlyMap<string, Tensor>,
  reasons: readonly string[],
  options: CompileExportedOptions,
  compiler: CompilerBackend,
): CompiledExport | null {
  const isOwn = (options.backend ?? "inductor") === "inductor";
  const context = {
    mode: options.mode ?? "default",
    options: { ...(isOwn ? { freezing: true } : {}), ...options.options },
  };
  const records: CompileRecord[] = [];
  using _ = onCompile((record) => records.push(record));
  const split = splitProgram(program, attributes, (graph, held): CompiledPart => {
    const frozen = isOwn ? freezeProgram(graph, held) : null;
    const read = new Set(graph.attributes.map((a) => a.path));
    const module = {
      graph,
      attributes: new Map([...frozen?.attributes ?? held].filter(([path]) => read.has(path))),
      recorded: new Set<never>(),
      differentiable: graph.output.results.map(() => false),
    };
    const metas = graph.placeholders.flatMap(({ value }) => isTensorMeta(value) ? [value] : []);
    const compiled = compiler(module, metas.map((m) => fakeTensor(m)), context);
    const run: (...of: Parameters<CompiledPart>) => readonly Tensor[] = (tensors, sizes, bindings) => {
      frozen?.refresh();
      const inputs = tensors.map((t, i) => inLayout(t, metas[i] as TensorMeta, bindings));
      return noGrad(() => compiled([...inputs, ...sizes])) as readonly Tensor[];
    };
    return Object.assign(run, { ready: async () => await compiled.ready?.() });
  });
  if (split === null) return null;
  const { graph, parts } = split;
  const reason = `${parts.length} ${
    parts.length === 1 ? "part is" : "parts are"
  } compiled, what lies between them is run call by call: ${reasonText(reasons)}`;
  warnOnce(`${program.name}: ${reason}`, "graph_break");
  const run = (inputs: readonly RunValue[]): RunValue[] => noGrad(() => program.callFlat(inputs, graph));
  return Object.assign(run, {
    kind: "compiled" as const,
    reason,
    stats: {
      kernels: records.reduce((n, r) => n + r.graph.counters.kernels, 0) + graph.calls.length - parts.length,
      peakBytes: Math.max(0, ...records.map((r) => r.graph.counters.peakBytes)),
      attributeBytes: bytesOf(attributes.values()),
      graphBreaks: reasons.length,
    },
    ready: async () => {
      await Promise.all(parts.map((part) => part.run.ready()));
    },
    readProfile: () => records.flatMap((r) => r.graph.readProfile() ?? []),
  });
}

function interpreted(
  program: ExportedProgram,
  attributes: ReadonlyMap<string, Tensor>,
  reasons: readonly string[],
): CompiledExport {
  const reason = reasonText(reasons);
  warnOnce(`${program.name} is not compiled but run node by node: ${reason}`, "graph_break");
  const run = (inputs: readonly RunValue[]): RunValue[] => noGrad(() => program.callFlat(inputs));
  return Object.assign(run, {
    kind: "interpreted" as const,
    reason,
    stats: {
      kernels: program.graph.calls.length,
      peakBytes: 0,
      attributeBytes: bytesOf(attributes.values()),
      graphBreaks: reasons.length,
    },
    ready: () => Promise.resolve(),
    readProfile: () => [],
  });
}

function checkDevice(program: ExportedProgram, attributes: ReadonlyMap<string, Tensor>, wanted: Device): void {
  const others = [
    ...[...attributes.values()].map((t) => t.device),
    ...program.userInputs.flatMap(({ value }) => isTensorMeta(value) ? [value.device] : []),
  ].filter((d) => d !== wanted);
  if (others.length === 0) return;
  throw new TypeError(
    `compileExported: the program was read for ${others[0]}, not for ${wanted}; read it with { device: "${wanted}" }`,
  );
}

function bytesOf(tensors: Iterable<Tensor>): number {
  const storages = new Map<unknown, number>();
  for (const t of tensors) storages.set(t.storage, t.storage.buffer?.byteLength ?? 0);
  return [...storages.values()].reduce((a, b) => a + b, 0);
}

function tensorMeta(value: NodeValue): TensorMeta {
  if (!isTensorMeta(value)) throw new InternalError("an input of the compiled graph is not a tensor");
  return value;
}

function convertInput(value: RunValue, change: DTypeChange): RunValue {
  return value instanceof Tensor && value.dtype === change.from ? noGrad(() => value.to(change.to)) : value;
}

/** The program describes its inputs in its own dtype; here they may have the new one already. */
function asExported(value: RunValue, meta: NodeValue | undefined, change: DTypeChange): RunValue {
  if (!(value instanceof Tensor) || value.dtype !== change.to) return value;
  if (!isTensorMeta(meta) || meta.dtype !== change.from) return value;
  const { shape, stride, storageOffset, device } = value;
  return fakeTensor({ shape, stride, storageOffset, dtype: change.from, device });
}

function geometryOf(inputs: readonly RunValue[]): string {
  return inputs.map((v) => v instanceof Tensor ? `${v.dtype.name}[${v.shape}]` : `${typeof v} ${v}`).join(";");
}
