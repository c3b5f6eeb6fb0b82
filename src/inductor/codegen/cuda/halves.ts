/**
 * Kernels that write halves alone: they compute in float32 throughout, round once when they store, and may take shorter forms of functions.
 *
 * What is compared is the exception: a value from memory was rounded, so what it is compared with has to be, or the largest of a row would not be found in it.
 * So are kernels that make whole numbers of what they compute: which pixel is nearest depends on each rounding on the way.
 */
import type { PrimitiveName } from "../../../loops/mod.ts";
import { walkStatements } from "../../tile/parameters.ts";
import type { KernelBase, TileStatement, TileValue } from "../../tile/tile_ir.ts";

/** Functions that have a shorter form, `tsr_fast_…`, right to a few units of float32. */
const FAST_FORMS: ReadonlySet<PrimitiveName> = new Set([
  "erf",
  "exp",
  "exp2",
  "sigmoid",
  "tanh",
  "div",
  "reciprocal",
  "rsqrt",
]);

/** Functions to which a one is added in one form: GELU has erf or tanh so. */
const ABOVE_ONE: ReadonlySet<PrimitiveName> = new Set(["erf", "tanh"]);

/** The short forms of a function's operators. */
export class FastForms {
  /** What {@linkcode ABOVE_ONE} was taken of. */
  readonly #inside = new Map<TileValue, { readonly op: PrimitiveName; readonly text: string }>();
  /** Differences: of what softmax takes an exponential, so that it stands beside a one. */
  readonly #differences = new Set<TileValue>();

  /** An operator on texts, of which `isOne` says whether they are a one; null where it has no short form. */
  text(
    s: TileStatement & { readonly kind: "pointwise" },
    texts: readonly string[],
    isOne: (v: TileValue) => boolean,
  ): string | null {
    const [x = ""] = texts;
    if (s.op === "sub") this.#differences.add(s.out);
    if (s.op === "exp" && s.args.some((v) => this.#differences.has(v))) return `tsr_short_exp(${x})`;
    if (ABOVE_ONE.has(s.op)) this.#inside.set(s.out, { op: s.op, text: x });
    if (s.op === "add" && s.args.some(isOne)) {
      const inside = s.args.map((v) => this.#inside.get(v)).find((found) => found !== undefined);
      if (inside !== undefined) return `tsr_fast_one_${inside.op}(${inside.text})`;
    }
    return FAST_FORMS.has(s.op) ? `tsr_fast_${s.op}(${texts.join(", ")})` : null;
  }
}

const COMPARISONS: ReadonlySet<PrimitiveName> = new Set(["eq", "ne", "lt", "le", "gt", "ge"]);

/** Halves that are compared, perhaps widened: another kernel may have stored what they are compared with. */
export function comparedHalves(bodies: readonly (readonly TileStatement[])[]): Set<TileValue> {
  const casts = new Map<TileValue, TileValue>();
  const compared = new Set<TileValue>();
  for (const body of bodies) {
    walkStatements(body, (s) => {
      if (s.kind === "cast") casts.set(s.out, s.arg);
      if (s.kind !== "pointwise" || !COMPARISONS.has(s.op)) return;
      for (let v: TileValue | undefined = s.args[0], i = 0; v !== undefined; v = casts.get(v) ?? s.args[++i]) {
        compared.add(v);
      }
    });
  }
  return compared;
}

/** Whether all results of a kernel are of half types. */
export function writesHalves({ writes }: KernelBase): boolean {
  return writes.length > 0 && writes.every(({ dtype }) => dtype.isFloat && dtype.bytes === 2);
}

/** Whether a kernel may leave out the roundings between: it writes halves alone, and no position is computed from floats. */
export function roundsOnce(kernel: KernelBase, bodies: readonly (readonly TileStatement[])[]): boolean {
  if (!writesHalves(kernel)) return false;
  let positions = false;
  for (const body of bodies) {
    walkStatements(body, (s) => {
      if (s.kind === "cast" && s.arg.dtype.isFloat && !s.out.dtype.isFloat && s.out.dtype.bytes > 1) positions = true;
    });
  }
  return !positions;
}
