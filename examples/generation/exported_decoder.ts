/**
 * Token by token from a decoder that PyTorch exported to a `.pt2` file.
 *
 * Two kinds of programs are known by their inputs. One takes token numbers `[1, n]` and positions `[n]` and keeps keys and values in buffers of its own, as
 * `TorchExportableModuleWithStaticCache` of transformers makes it: each call writes its tokens into the cache, in place. The other takes token numbers alone and
 * gives logits of all of them: each step reads the whole text again, in one compiled program for all lengths.
 */
import { compileExported, cpu, type Device, type ExportedProgram, noGrad, Tensor, tensor } from "../../mod.ts";
import type { TokenReader } from "./generate_tokens.ts";

type Run = ReturnType<typeof compileExported>;

/** A size of an input: the least and the most that it may be. */
interface Range {
  readonly least: number;
  readonly most: number;
}

const MOST = 1 << 20;

/** Sizes of an input that holds whole numbers; null for any other. */
function wholeNumbers(program: ExportedProgram, index: number): Range[] | null {
  const value = program.userInputs[index]?.value;
  if (typeof value !== "object" || value === null || !("dtype" in value)) return null;
  if (value.dtype.isFloat || value.dtype.isComplex) return null;
  return value.shape.map((size): Range => {
    if (typeof size === "number") return { least: size, most: size };
    const { lower, upper } = size.expr;
    return { least: Math.max(1, lower), most: Math.min(MOST, upper) };
  });
}

function lengthOf(range: readonly Range[] | null, dimension: number, what: string): Range {
  const found = range?.[dimension];
  if (found === undefined || range?.length !== dimension + 1) throw new TypeError(`an exported decoder takes ${what}`);
  return found;
}

/** What an exported decoder's buffers hold: the third dimension of a `[batch, heads, capacity, dim]` that no parameter is. */
function cacheLength(program: ExportedProgram): number | null {
  for (const path of program.attributes.paths) {
    const { shape, isParameter } = program.attributes.info(path);
    if (!isParameter && shape.length === 4) return shape[2] ?? null;
  }
  return null;
}

/** An exported decoder that reads tokens and tells what comes next. */
export class ExportedSession implements TokenReader {
  /** Tokens that fit. */
  readonly capacity: number;
  readonly vocabSize: number;
  readonly #run: Run;
  readonly #device: Device;
  readonly #hasCache: boolean;
  /** How many tokens a call takes. */
  readonly #lengths: Range;
  readonly #order: readonly number[];
  #tokens: number[] = [];

  /** @throws {TypeError} if the program's inputs or results are not those of a decoder. */
  constructor(program: ExportedProgram, options: { readonly capacity?: number; readonly backend?: string } = {}) {
    const kinds = program.userInputs.map((_, i) => wholeNumbers(program, i));
    const ids = kinds.findIndex((kind) => kind?.length === 2);
    const positions = kinds.findIndex((kind) => kind?.length === 1);
    this.#lengths = lengthOf(kinds[ids] ?? null, 1, "token numbers [1, n]");
    this.#hasCache = positions >= 0;
    if (kinds.length !== (this.#hasCache ? 2 : 1) || kinds[ids]?.[0]?.least !== 1) {
      throw new TypeError(
        "an exported decoder takes token numbers [1, n] and, with a cache, positions [n]; nothing else",
      );
    }
    this.#order = this.#hasCache ? [ids, positions] : [ids];
    const most = this.#hasCache ? cacheLength(program) ?? MOST : this.#lengths.most;
    this.capacity = Math.min(options.capacity ?? most, most);
    const results = program.graph.output.results;
    const logits = results.find((r) =>
      typeof r === "object" && r !== null && "value" in r && r.value !== null && typeof r.value === "object" &&
      "dtype" in r.value && r.value.dtype.isFloat && r.value.shape.length === 3
    );
    const last = typeof logits === "object" && logits !== null && "value" in logits &&
        typeof logits.value === "object" && logits.value !== null && "shape" in logits.value
      ? logits.value.shape[2]
      : null;
    if (typeof last !== "number") throw new TypeError("an exported decoder gives logits [1, n, vocabulary]");
    this.vocabSize = last;
    const { backend = "inductor" } = options;
    const given = program.userInputs[ids]?.value;
    this.#device = typeof given === "object" && given !== null && "device" in given ? given.device : cpu;
    this.#run = compileExported(program, { backend });
  }

  get length(): number {
    return this.#tokens.length;
  }

  async ready(): Promise<void> {
    await this.#run.ready();
  }

  reset(): void {
    this.#tokens = [];
  }

  read(tokens: readonly number[]): ArrayLike<number> {
    if (tokens.length === 0 || this.length + tokens.length > this.capacity) {
      throw new RangeError(
        `read: ${tokens.length} tokens after ${this.length}; give at least one, and at most ${this.capacity} together`,
      );
    }
    return this.#hasCache ? this.#readInto(tokens) : this.#readAll(tokens);
  }

  /** As many tokens at once as the program takes. */
  #readInto(tokens: readonly number[]): ArrayLike<number> {
    const { least, most } = this.#lengths;
    let logits: ArrayLike<number> = [];
    for (let at = 0; at < tokens.length;) {
      const count = Math.min(most, tokens.length - at);
      if (count < least) throw new RangeError(`the program takes ${least} tokens at once, ${count} are left`);
      const part = tokens.slice(at, at + count);
      logits = this.#call(part, part.map((_, i) => this.length + i), count - 1);
      this.#tokens.push(...part);
      at += count;
    }
    return logits;
  }

  /** The whole text again. A program of fixed length gets it padded at the end, where no earlier token looks. */
  #readAll(tokens: readonly number[]): ArrayLike<number> {
    this.#tokens.push(...tokens);
    const all = this.#tokens;
    const padded = Array.from({ length: Math.max(all.length, this.#lengths.least) }, (_, i) => all[i] ?? 0);
    return this.#call(padded, null, all.length - 1);
  }

  #call(ids: readonly number[], positions: readonly number[] | null, at: number): ArrayLike<number> {
    const device = this.#device;
    const given = new Map([[this.#order[0], tensor([[...ids]], { device })]]);
    if (positions !== null) given.set(this.#order[1], tensor([...positions], { device }));
    const inputs = [...given].sort(([a = 0], [b = 0]) => a - b).map(([, t]) => t);
    return noGrad(() => {
      const logits = this.#run(inputs).find((r) => r instanceof Tensor && r.shape.length === 3);
      if (!(logits instanceof Tensor)) throw new TypeError("the exported decoder gave no logits");
      return logits.select(0, 0).select(0, at).contiguous().cpu().dataSync() as ArrayLike<number>;
    });
  }
}
