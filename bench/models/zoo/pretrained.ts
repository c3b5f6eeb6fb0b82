/**
 * Weights from files into models of this folder.
 *
 * Files on the Hugging Face Hub differ from a module's own state dict in three ways that are known and harmless: a tensor that a model uses twice is stored
 * once; a file of the base model lacks the prefix of its head; old files hold buffers that are constants. All else is an error, as in `loadStateDict`.
 */
import type { nn, Tensor } from "../../../mod.ts";

/** What may differ. */
export interface PretrainedOptions {
  /** The head's name for the base model, as `"transformer."`. */
  readonly basePrefix?: string;
  /** Names that are left out. */
  readonly ignored?: RegExp;
}

/**
 * Copies a file's tensors into a module.
 *
 * @throws {TypeError} naming each missing key, unexpected key and wrong shape.
 */
export function loadPretrained(
  module: nn.Module,
  tensors: ReadonlyMap<string, Tensor>,
  { basePrefix = "", ignored }: PretrainedOptions = {},
): void {
  const own = new Map(module.stateEntries());
  const dict: Record<string, Tensor> = {};
  for (const [name, tensor] of tensors) {
    if (ignored?.test(name)) continue;
    dict[own.has(name) || !own.has(basePrefix + name) ? name : basePrefix + name] = tensor;
  }
  for (const [name, tensor] of own) {
    if (Object.hasOwn(dict, name)) continue;
    const twin = [...own].find(([other, t]) => t === tensor && Object.hasOwn(dict, other))?.[0];
    const found = twin === undefined ? undefined : dict[twin];
    if (found !== undefined) dict[name] = found;
  }
  module.loadStateDict(dict);
}
