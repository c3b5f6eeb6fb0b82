/**
 * Text from tokens as they come.
 *
 * A character may be spread over several tokens, and a token may change the look of the one before it. So a window of tokens is decoded with and without the new
 * ones, and what has been added is given out once it ends in a whole character.
 */

/** Text to tokens and back. */
export interface TextCodec {
  encode(text: string): number[];
  decode(tokens: number[]): string;
}

/** What a cut-off character is decoded to. */
const CUT = "\ufffd";

/** Puts tokens together to text. */
export class TextStream {
  readonly #codec: TextCodec;
  readonly #tokens: number[] = [];
  /** The window's start, and how much of it has been given out. */
  #from = 0;
  #told = 0;

  constructor(codec: TextCodec) {
    this.#codec = codec;
  }

  /** Takes a token; gives the text that is certain now, maybe none. */
  push(token: number): string {
    this.#tokens.push(token);
    const before = this.#codec.decode(this.#tokens.slice(this.#from, this.#told));
    const text = this.#codec.decode(this.#tokens.slice(this.#from));
    if (text.length <= before.length || text.endsWith(CUT)) return "";
    this.#from = this.#told;
    this.#told = this.#tokens.length;
    return text.slice(before.length);
  }

  /** What has been held back, at the end. */
  end(): string {
    const before = this.#codec.decode(this.#tokens.slice(this.#from, this.#told));
    const text = this.#codec.decode(this.#tokens.slice(this.#from));
    this.#from = this.#told = this.#tokens.length;
    return text.slice(before.length);
  }
}

/** One token a character; characters that the text lacks are left out. */
export function characterCodec(text: string): TextCodec & { readonly size: number } {
  const characters = [...new Set(text)].sort();
  const ids = new Map(characters.map((c, i) => [c, i]));
  return {
    size: characters.length,
    encode: (words) => [...words].flatMap((c) => ids.get(c) ?? []),
    decode: (tokens) => tokens.map((i) => characters[i] ?? "").join(""),
  };
}
