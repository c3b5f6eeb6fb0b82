/**
 * What tensors and dispatch need of automatic differentiation: the tape itself lives above, in `src/autograd`, and installs itself here.
 *
 * `AutogradMeta` is what a tensor carries once it takes part; `GradFn` is a recorded step. Without an engine, tensors work and
 * `backward()` says what to import.
 */
import { countChange } from "../core/mod.ts";
import type { NamedArgs, Operator } from "../ops/mod.ts";
import type { Tensor } from "./tensor.ts";
import type { OpResult } from "./mode.ts";

/** A step of the tape that made a tensor. */
export interface GradFn {
  /** E.g. `AddBackward`. */
  readonly name: string;
}

/** A function on a gradient; what it returns replaces the gradient, unless it returns nothing. */
export type GradHook = (grad: Tensor) => Tensor | undefined | void;

/** A tensor's part in differentiation. */
export class AutogradMeta {
  grad: Tensor | null = null;
  gradFn: GradFn | null = null;
  /** Which result of `gradFn` the tensor is. */
  outputIndex = 0;
  /** For leaves: the step that adds to `.grad`. */
  accumulator: GradFn | null = null;
  retainsGrad = false;
  hooks: GradHook[] | null = null;
  /** The storage's history count when `gradFn` was set; differs if a view must find its history anew. */
  historyAt: number;
  /** Whether somebody relies on what `requiresGrad` is, and so is told of changes. */
  isRelied: boolean;
  #requiresGrad = false;

  constructor(historyAt: number, isRelied: boolean) {
    this.historyAt = historyAt;
    this.isRelied = isRelied;
  }

  get requiresGrad(): boolean {
    return this.#requiresGrad;
  }

  set requiresGrad(value: boolean) {
    if (this.isRelied && value !== this.#requiresGrad) countChange();
    this.#requiresGrad = value;
  }
}

/** Options of `backward()`. */
export interface BackwardOptions {
  /** Keep what was saved, so that the same graph can be walked again. Default: the value of `createGraph`. */
  readonly retainGraph?: boolean;
  /** Record the backward computation too, for higher derivatives. */
  readonly createGraph?: boolean;
}

/** The tape, as dispatch sees it. */
export interface AutogradEngine {
  /** Records an operator that has run. */
  record(op: Operator, args: NamedArgs<Tensor>, result: OpResult): void;
  /** Called before `self` is written; `saved` is a copy of self's old value. Returns what to do after the write. */
  beforeWrite(op: Operator, args: NamedArgs<Tensor>, self: Tensor): () => void;
  /** The step that made `t`, found anew if a view's base was written since. */
  gradFnOf(t: Tensor): GradFn | null;
  backward(t: Tensor, gradient: Tensor | null, options: BackwardOptions): void;
  registerHook(t: Tensor, hook: GradHook): Disposable;
}

let engine: AutogradEngine | null = null;
let gradEnabled = true;

/** Installs the tape. */
export function setAutogradEngine(e: AutogradEngine): void {
  engine = e;
}

/** The tape, if one is installed. */
export function autogradEngine(): AutogradEngine | null {
  return engine;
}

/** Tells whether operators are recorded now. */
export function isGradEnabled(): boolean {
  return gradEnabled;
}

/** Turns recording on or off; returns what was. Use `noGrad` and `enableGrad`. */
export function setGradEnabled(enabled: boolean): boolean {
  const before = gradEnabled;
  gradEnabled = enabled;
  return before;
}

/** Runs `fn` without recording. Only its synchronous part is covered. */
export function noGrad<T>(fn: () => T): T {
  const before = setGradEnabled(false);
  try {
    return fn();
  } finally {
    setGradEnabled(before);
  }
}

/** Runs `fn` with recording on, also inside `noGrad`. */
export function enableGrad<T>(fn: () => T): T {
  const before = setGradEnabled(true);
  try {
    return fn();
  } finally {
    setGradEnabled(before);
  }
}
