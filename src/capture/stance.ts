/**
 * What a program wants of compilation: the stance of the process, and how many entries a function may have.
 *
 * A stance holds for all compiled functions until it is set again. A {@linkcode CachePolicy} belongs to one. Mirrors `torch.compiler.set_stance` and
 * `torch._dynamo.config.recompile_limit`.
 */

/** What compiled functions do. */
export type Stance = "default" | "force_eager" | "fail_on_recompile" | "eager_on_recompile";

const STANCES: readonly Stance[] = ["default", "force_eager", "fail_on_recompile", "eager_on_recompile"];

let current: Stance = "default";

/** The stance in force. */
export function stance(): Stance {
  return current;
}

/**
 * Sets what compiled functions do from now on, whichever function it is:
 *
 * - `"default"`: they compile when they must.
 * - `"force_eager"`: they run as they are, even where something is compiled.
 * - `"fail_on_recompile"`: what is compiled runs; a call that would have to be captured throws a `CompileError` that says why.
 * - `"eager_on_recompile"`: what is compiled runs; a call that would have to be captured runs as it is, and an event says why.
 *
 * @returns What puts the stance back when it is disposed.
 * @throws {RangeError} for anything else.
 *
 * @example
 * ```ts
 * import { compile, randn, setStance, type Tensor } from "@tessera/tessera";
 * const f = compile((x: Tensor) => x.mul(2), { backend: "eager" });
 * f(randn([3]));
 * using _ = setStance("fail_on_recompile");
 * f(randn([3]));
 * ```
 */
export function setStance(wanted: Stance): Disposable {
  if (!STANCES.includes(wanted)) {
    throw new RangeError(`setStance: there is no stance "${wanted}": use one of ${STANCES.join(", ")}`);
  }
  const before = current;
  current = wanted;
  return {
    [Symbol.dispose]: (): void => {
      current = before;
    },
  };
}

/** How many graphs of the whole function are kept, and what happens at the limit. */
export interface CachePolicy {
  /** Default 64. */
  readonly limit?: number;
  /**
   * At the limit, a call that no entry fits
   *
   * - `"generalise"`: makes all sizes symbols from now on, and takes the place of the entry that was used longest ago; when as many
   *   entries have gone as there may be, it runs in segments instead, or under `fullgraph` goes on;
   * - `"eager"`: runs as it is;
   * - `"error"`: throws.
   *
   * Each says so with the reasons why no entry fitted. Default `"generalise"`.
   */
  readonly onLimit?: "generalise" | "eager" | "error";
}

/** A policy with everything stated. @throws {RangeError} if the limit is no natural number above 0, or the reaction is unknown. */
export function checkedPolicy({ limit = 64, onLimit = "generalise" }: CachePolicy = {}): Required<CachePolicy> {
  if (!Number.isInteger(limit) || limit < 1) {
    throw new RangeError(`compile: cache.limit must be a natural number above 0, got ${limit}`);
  }
  if (onLimit !== "generalise" && onLimit !== "eager" && onLimit !== "error") {
    throw new RangeError(`compile: cache.onLimit is ${String(onLimit)}: use "generalise", "eager" or "error"`);
  }
  return { limit, onLimit };
}
