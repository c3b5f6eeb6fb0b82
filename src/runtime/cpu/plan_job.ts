/**
 * A kept plan with everything that one run of it needs, as bytes for the program that runs it (`native/cpu/run_plan.cpp`).
 *
 * Enters: a plan that was checked, files with their identity, inputs, what is wanted of the results, and the text of the report. Leaves: 64-bit words, texts and data in the order in which
 * the program reads them. Invariant: every range lies in its file or block; the program checks it again, for another process may have exchanged the file.
 */
import { CONDITION_SIZE, conditionTexts } from "../../core/index_error.ts";
import { dtypeFromName } from "../../core/dtype.ts";
import { isMapped } from "./mapped_file.ts";
import { CPU_ALIGNMENT, type CpuBuffer } from "./memory.ts";
import { freshGeneratorState, type NativePlan, type NativeResult } from "./native_plan.ts";
import { packedBytes, packedState } from "./packed_weights.ts";

/** A file to be mapped, and what it was when it was looked at. */
export interface JobFile {
  readonly path: string;
  readonly size: number;
  /** 0 if it is not known exactly. */
  readonly inode: number;
  readonly changedMs: number;
}

/** The results' file: its header, and which result follows which. */
export interface JobOutputs {
  readonly path: string;
  /** Where it is written before it is renamed; null for what is no file, which is written to as it is. */
  readonly part: string | null;
  readonly header: Uint8Array<ArrayBuffer>;
  readonly order: readonly number[];
}

/** What a job is made of. */
export interface PlanJob {
  readonly plan: NativePlan;
  /** Inputs of the plan: ranges of `files.inputs` if they are mapped, else data. */
  readonly inputs: readonly CpuBuffer[];
  readonly threads: number;
  readonly library: string;
  readonly threadPool: string;
  readonly files: { readonly model: JobFile; readonly constants: JobFile | null; readonly inputs: JobFile | null };
  readonly outputs: JobOutputs | null;
  /** Timed calls, and calls before them unless they take longer than `warmMs`. */
  readonly calls: number;
  readonly warmCalls: number;
  readonly warmMs: number;
  /** How long opening took by now, and the most that this process has held. */
  readonly openingMs: number;
  readonly peakBytes: number;
  /** With {@linkcode marker}s for what is known at the end. */
  readonly report: string;
}

/** What a report tells that is known at the end: opening, first call, median, lowest and highest tenth, all in milliseconds; the most bytes held. */
export type ReportValue = "open" | "first" | "median" | "p10" | "p90" | "peak";

const LETTERS: Readonly<Record<ReportValue, string>> = {
  open: "o",
  first: "f",
  median: "m",
  p10: "l",
  p90: "h",
  peak: "r",
};

/** Stands in a report for a number: as JSON, as a time for people, or as whole bytes. */
export function marker(value: ReportValue, format: "json" | "text" | "bytes"): string {
  return `\x01${LETTERS[value]}${{ json: "j", text: "t", bytes: "b" }[format]}`;
}

const MAGIC = 0x4e5552535345;
const MAPPED = 0, COPIED = 1, FRESH = 2;

class Writer {
  readonly #parts: Uint8Array[] = [];
  length = 0;

  bytes(part: Uint8Array): void {
    this.#parts.push(part);
    this.length += part.byteLength;
    const padding = (8 - part.byteLength % 8) % 8;
    if (padding > 0) this.#parts.push(new Uint8Array(padding));
    this.length += padding;
  }

  words(...numbers: readonly number[]): void {
    this.bytes(new Uint8Array(BigInt64Array.from(numbers, BigInt).buffer));
  }

  text(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.words(bytes.byteLength);
    this.bytes(new Uint8Array([...bytes, 0]));
  }

  toBytes(): Uint8Array<ArrayBuffer> {
    return joined(this.#parts, this.length);
  }
}

function joined(parts: readonly Uint8Array[], length: number): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.byteLength;
  }
  return out;
}

/** Memory of the run, each piece with a number; data lie behind the words of the job. */
class Blocks {
  readonly #blocks: [kind: number, file: number, offset: number, bytes: number][] = [];
  readonly #data: Uint8Array[] = [];
  #dataBytes = 0;

  range(kind: typeof MAPPED | typeof COPIED, file: number, offset: number, bytes: number): number {
    return this.#blocks.push([kind, file, offset, bytes]) - 1;
  }

  fresh(bytes: number): number {
    return this.#blocks.push([FRESH, 0, 0, bytes]) - 1;
  }

  /** Bytes that stand in the job itself: its mapping is private, so they may be written. */
  data(bytes: Uint8Array): number {
    const at = this.#dataBytes;
    const padding = (CPU_ALIGNMENT - bytes.byteLength % CPU_ALIGNMENT) % CPU_ALIGNMENT;
    this.#data.push(bytes, new Uint8Array(padding));
    this.#dataBytes += bytes.byteLength + padding;
    // Its place is known when the words have been counted.
    return this.#blocks.push([MAPPED, 0, -1 - at, bytes.byteLength]) - 1;
  }

  write(writer: Writer, dataStart: number): void {
    writer.words(this.#blocks.length);
    for (const [kind, file, offset, bytes] of this.#blocks) {
      writer.words(kind, file, offset < 0 ? dataStart - 1 - offset : offset, bytes);
    }
  }

  append(to: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    return joined([to, ...this.#data], to.byteLength + this.#dataBytes);
  }
}

/** Where a slot lies. */
type Place = readonly [block: number, offset: number];

/** The bytes of a job. `plan` must have been verified. */
export function planJobBytes(job: PlanJob): Uint8Array<ArrayBuffer> {
  const { plan, files } = job;
  const listed = [files.model, files.constants, files.inputs].filter((f): f is JobFile => f !== null);
  const blocks = new Blocks();
  const attributes = plan.attributes.map((a): number => {
    if (a.file === "generator") return blocks.data(freshGeneratorState());
    const file = files[a.file];
    if (file === null) throw new TypeError("a plan reads constants that nobody named");
    const kind = a.offset % a.alignment === 0 ? MAPPED : COPIED;
    return blocks.range(kind, 1 + listed.indexOf(file), a.offset, a.byteLength);
  });
  const inputs = job.inputs.map((buffer): number =>
    files.inputs !== null && isMapped(buffer)
      ? blocks.range(MAPPED, 1 + listed.indexOf(files.inputs), buffer.byteOffset, buffer.byteLength)
      : blocks.data(buffer.uint8)
  );
  const arena = blocks.fresh(plan.arenaBytes);
  const sizes = blocks.data(new Uint8Array(BigInt64Array.from(plan.sizes, BigInt).buffer));
  const kept = blocks.fresh(packedBytes(plan.packed));
  const places = plan.slots.map((slot): Place => {
    switch (slot.kind) {
      case "input":
        return [inputs[slot.index] ?? 0, 0];
      case "attribute":
        return [attributes[slot.index] ?? 0, 0];
      case "output":
        return [blocks.fresh(slot.bytes), 0];
      case "arena":
        return [arena, slot.offset];
      case "donated":
        return [0, 0];
      default:
        return slot satisfies never;
    }
  });
  plan.slots.forEach((slot, i) => {
    if (slot.kind === "donated") places[i] = places[slot.of] as Place;
  });
  const head = new Writer();
  head.words(MAGIC);
  head.text(job.threadPool);
  head.text(job.library);
  head.words(job.threads, listed.length);
  for (const { path, size, inode, changedMs } of listed) {
    head.text(path);
    head.words(size, inode, changedMs);
  }
  const tail = new Writer();
  const layout = ({ slot, dtype, shape, stride, offset }: NativeResult): void => {
    const { bytes } = dtypeFromName(dtype);
    const [block, start] = places[slot] as Place;
    tail.words(block, start + offset * bytes, bytes, shape.length, ...shape, ...stride);
  };
  const { args } = plan;
  const words = args.slots.flatMap((position, i) => position === null ? [] : [[position, ...places[i] as Place]]);
  words.push([args.arena, arena, 0], [args.sizes, sizes, 0], [args.kept, kept, 0]);
  tail.words(args.length, words.length, ...words.flat(), args.error);
  const written = new Set(plan.written);
  const isFile = (at: number): boolean => plan.attributes[at]?.file !== "generator" && !written.has(at);
  const anew = plan.packed.filter((place) => place.attributes.some((at) => written.has(at)));
  for (const list of [plan.packed, anew]) {
    tail.words(list.length);
    for (const place of list) {
      const clean = place.attributes.every((at) => isFile(at) && isAligned(plan.attributes[at]));
      tail.words(kept, place.offset, Number(packedState(place, clean)));
    }
  }
  tail.words(plan.exports.length);
  plan.exports.forEach((name) => tail.text(name));
  tail.words(plan.writes.length);
  for (const { from, to } of plan.writes) {
    layout(from);
    layout(to);
  }
  const { outputs } = job;
  tail.text(outputs?.path ?? "");
  tail.text(outputs?.part ?? "");
  tail.words(outputs?.header.byteLength ?? 0);
  tail.bytes(outputs?.header ?? new Uint8Array());
  tail.words(outputs?.order.length ?? 0);
  for (const at of outputs?.order ?? []) layout(plan.results[at] as NativeResult);
  const conditions = conditionTexts();
  tail.words(CONDITION_SIZE, conditions.length);
  conditions.forEach((text) => tail.text(text));
  tail.words(job.calls, job.warmCalls, job.warmMs, Math.round(job.openingMs * 1000), job.peakBytes);
  tail.text(job.report);
  const write = (dataStart: number): Writer => {
    const all = new Writer();
    all.bytes(head.toBytes());
    blocks.write(all, dataStart);
    all.bytes(tail.toBytes());
    return all;
  };
  // Words are as long whatever they say.
  const dataStart = Math.ceil(write(0).length / CPU_ALIGNMENT) * CPU_ALIGNMENT;
  const out = new Uint8Array(dataStart);
  out.set(write(dataStart).toBytes());
  return blocks.append(out);
}

/** Whether an attribute is read where it lies in its file. */
function isAligned(attribute: NativePlan["attributes"][number] | undefined): boolean {
  return attribute !== undefined && attribute.file !== "generator" && attribute.offset % attribute.alignment === 0;
}
