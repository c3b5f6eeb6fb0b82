/**
 * Token by token from a decoder, with a cache of fixed size that is written in place.
 *
 * The prompt but its last token is read in pieces of one size, then each step reads one token. As shapes never change, two graphs are compiled and no more.
 * A padded piece writes rubbish behind the prompt, which later steps overwrite before they look at it.
 */
import { compile, cpu, type Device, Generator, noGrad, rand, type Tensor, tensor } from "../../mod.ts";
import type { Decoder, LayerCache } from "../../bench/models/zoo/kv_cache.ts";
import { checkSampling, sampleToken, type SamplingOptions } from "./sampling.ts";

/** How text is generated. */
export interface GenerateOptions extends SamplingOptions {
  /** Default 100. */
  readonly maxTokens?: number;
  /** Default 0. */
  readonly seed?: number;
  /** Tokens after which to end; they are not given out. */
  readonly stopTokens?: readonly number[];
  /** Tokens that fit into the cache. Default: what the model can read, at most 1024. */
  readonly capacity?: number;
  /** Options of `compile`; null runs eagerly. */
  readonly compileOptions?: Parameters<typeof compile>[1] | null;
}

/** Tokens of the prompt that are read at once. */
const PIECE = 16;

/** What reads tokens and tells what comes next. */
export interface TokenReader {
  /** Tokens that fit. */
  readonly capacity: number;
  /** Tokens read so far. */
  readonly length: number;
  /** Reads tokens and gives the logits of the one that follows. */
  read(tokens: readonly number[]): ArrayLike<number>;
  /** Resolves when what was compiled runs on its fastest tier. */
  ready(): Promise<void>;
  /** Forgets what was read; compiled graphs and memory stay. */
  reset(): void;
}

/** A decoder with a cache: reads tokens and tells what comes next. */
export class DecoderSession implements TokenReader {
  readonly capacity: number;
  readonly #cache: LayerCache[];
  readonly #readPiece: (ids: Tensor, positions: Tensor) => void;
  readonly #readOne: (ids: Tensor, positions: Tensor) => Tensor;
  readonly #piece: number;
  readonly #device: Device;
  #compiled: readonly { ready(): Promise<void> }[] = [];
  #length = 0;

  constructor(model: Decoder, options: Pick<GenerateOptions, "capacity" | "compileOptions"> = {}) {
    const most = Math.min(options.capacity ?? 1024, model.maxLength);
    this.#piece = Math.min(PIECE, most);
    this.capacity = most - most % this.#piece;
    this.#device = [...model.parameters()][0]?.device ?? cpu;
    this.#cache = model.makeCache(this.capacity);
    model.eval();
    const cache = this.#cache;
    const piece = (ids: Tensor, positions: Tensor): void => {
      noGrad(() => model.forward(ids, positions, cache));
    };
    const one = (ids: Tensor, positions: Tensor): Tensor =>
      noGrad(() => model.forward(ids, positions, cache).flatten());
    const { compileOptions = {} } = options;
    if (compileOptions === null) {
      this.#readPiece = piece;
      this.#readOne = one;
      return;
    }
    const [compiledPiece, compiledOne] = [compile(piece, compileOptions), compile(one, compileOptions)];
    this.#readPiece = compiledPiece;
    this.#readOne = compiledOne;
    this.#compiled = [compiledPiece, compiledOne];
  }

  /** Tokens read so far. */
  get length(): number {
    return this.#length;
  }

  /** Resolves when what was compiled runs on its fastest tier. */
  async ready(): Promise<void> {
    await Promise.all(this.#compiled.map((f) => f.ready()));
  }

  /** Forgets what was read; compiled graphs and memory stay. */
  reset(): void {
    this.#length = 0;
  }

  /**
   * Reads tokens and gives the logits of the one that follows.
   *
   * @throws {RangeError} if there are none, or they do not fit.
   */
  read(tokens: readonly number[]): ArrayLike<number> {
    if (tokens.length === 0 || this.#length + tokens.length > this.capacity) {
      throw new RangeError(
        `read: ${tokens.length} tokens after ${this.#length}; give at least one, and at most ${this.capacity} together`,
      );
    }
    let at = 0;
    // A padded piece must fit into the cache as a whole; where it does not, tokens are read one by one.
    while (at < tokens.length - 1 && this.#length + this.#piece <= this.capacity) {
      const part = tokens.slice(at, Math.min(tokens.length - 1, at + this.#piece));
      const padded = Array.from({ length: this.#piece }, (_, i) => part[i] ?? 0);
      this.#readPiece(this.#numbers([padded]), this.#numbers(padded.map((_, i) => this.#length + i)));
      this.#length += part.length;
      at += part.length;
    }
    let logits: Tensor | null = null;
    for (; at < tokens.length; at++) {
      logits = this.#readOne(this.#numbers([[tokens[at] ?? 0]]), this.#numbers([this.#length]));
      this.#length++;
    }
    if (logits === null) throw new RangeError("read: no tokens");
    return logits.cpu().dataSync() as ArrayLike<number>;
  }

  /** Whole numbers where the model is. */
  #numbers(values: readonly number[] | readonly (readonly number[])[]): Tensor {
    return tensor(values, { device: this.#device });
  }
}

/**
 * The tokens that follow a prompt, one by one, until `maxTokens`, a stop token, or the end of the cache.
 *
 * @throws {RangeError} for options out of range, or a prompt that does not fit.
 */
export function* generateTokens(
  session: TokenReader,
  prompt: readonly number[],
  options: GenerateOptions = {},
): IterableIterator<number> {
  checkSampling(options);
  const { maxTokens = 100, seed = 0, stopTokens = [] } = options;
  const generator = new Generator(seed);
  let logits = session.read(prompt);
  for (let i = 0; i < maxTokens; i++) {
    const token = sampleToken(logits, options, rand([1], { generator }).item());
    if (stopTokens.includes(token)) return;
    yield token;
    if (i === maxTokens - 1 || session.length === session.capacity) return;
    logits = session.read([token]);
  }
}
