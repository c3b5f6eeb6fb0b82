/**
 * What `requiresGrad` says of many tensors that guards know by identity: looked at once, and again when a marked tensor has changed.
 */
import { Reliance } from "../core/mod.ts";
import { relyOnGrad, type Tensor } from "../tensor/mod.ts";

/** The flags of some tensors, as they were in a trace. */
export class GradFlags {
  readonly #tensors: readonly Tensor[];
  readonly #flags: readonly boolean[];
  readonly #reliance = new Reliance();

  constructor(flags: ReadonlyMap<Tensor, boolean>) {
    this.#tensors = [...flags.keys()];
    this.#flags = [...flags.values()];
  }

  /** Whether all are as they were. */
  hold(): boolean {
    return this.#reliance.holds || this.#look();
  }

  #look(): boolean {
    const marks = this.#reliance.isCalm();
    let areCounted = marks;
    for (let i = 0; i < this.#tensors.length; i++) {
      const t = this.#tensors[i] as Tensor;
      if (t.requiresGrad !== this.#flags[i]) return false;
      if (marks && !relyOnGrad(t)) areCounted = false;
    }
    if (areCounted) this.#reliance.settle();
    return true;
  }
}
