/**
 * SymPy text cut into tokens: numbers, names, quoted texts, signs; each with its position.
 */

const MAX_LENGTH = 1_000_000;

/** A piece of the text. */
export interface Token {
  readonly kind: "number" | "name" | "text" | "sign" | "end";
  readonly text: string;
  readonly at: number;
}

const tokenPattern =
  /\s*(?:(\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|\.\d+)|([A-Za-z_]\w*)|'([^'\\\n]*)'|"([^"\\\n]*)"|(\/\/|\*\*|==|!=|<=|>=|[-+*/%<>(),=&|~]))/y;

/** An error with the text and a position in it. */
export function textError(text: string, found: string, at: number): SyntaxError {
  const shown = text.length > 200 ? `${text.slice(0, 200)}…` : text;
  return new SyntaxError(`symbolic expression ${JSON.stringify(shown)}: ${found}, at character ${at}`);
}

/** How errors call a token. */
export function quoted(token: Token): string {
  return token.kind === "end" ? "the end of the text" : JSON.stringify(token.text);
}

/** The tokens of a text. @throws {SyntaxError} at a character that begins none, and for texts beyond a million characters. */
export function tokensOf(text: string): Token[] {
  if (text.length > MAX_LENGTH) throw textError(text, `more than ${MAX_LENGTH} characters`, MAX_LENGTH);
  const tokens: Token[] = [];
  const length = text.trimEnd().length;
  for (let at = 0; at < length;) {
    tokenPattern.lastIndex = at;
    const match = tokenPattern.exec(text);
    if (match === null) throw textError(text, "an unexpected character", at);
    const [whole, number, name, single, double, sign] = match;
    const start = at + (whole.length - whole.trimStart().length);
    if (number !== undefined) tokens.push({ kind: "number", text: number, at: start });
    else if (name !== undefined) tokens.push({ kind: "name", text: name, at: start });
    else if (sign !== undefined) tokens.push({ kind: "sign", text: sign, at: start });
    else tokens.push({ kind: "text", text: single ?? double ?? "", at: start });
    at = tokenPattern.lastIndex;
  }
  return tokens;
}
