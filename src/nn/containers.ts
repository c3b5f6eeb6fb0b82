/**
 * Modules made of other modules: `Sequential`, `ModuleList`, `ModuleDict`, `ParameterList`.
 *
 * Lists keep their members under the properties `"0"`, `"1"`, …, so `list[0]` works and keys of state dicts are those of PyTorch.
 */
import type { Tensor } from "../tensor/mod.ts";
import { Module } from "./module.ts";
import { isParameter, type Parameter, parameter } from "./parameter.ts";

/** A module from one tensor to one tensor. */
export interface UnaryModule extends Module {
  forward(x: Tensor): Tensor;
}

/** What all lists have in common. */
abstract class IndexedModule<T> extends Module {
  [index: number]: T;
  /** Number of members. */
  length = 0;

  /** The member at a position; negative positions count from the end. @throws {RangeError} outside the list. */
  at(index: number): T {
    const i = index < 0 ? index + this.length : index;
    const found = this[i];
    if (found === undefined) {
      throw new RangeError(`${this.typeName()}: index ${index} is outside a list of ${this.length}`);
    }
    return found;
  }

  /** The members in order. */
  *[Symbol.iterator](): IterableIterator<T> {
    for (let i = 0; i < this.length; i++) yield this.at(i);
  }

  /** Adds one member at the end. */
  push(value: T): this {
    this[this.length++] = value;
    return this;
  }
}

/**
 * Modules that are called one after the other.
 *
 * @example
 * ```ts
 * import { nn, randn } from "@tessera/tessera";
 * const net = new nn.Sequential(new nn.Linear(4, 8), new nn.ReLU(), new nn.Linear(8, 2));
 * console.assert(net.forward(randn([3, 4])).shape.join() === "3,2");
 * console.assert(Object.keys(net.stateDict()).join() === "0.weight,0.bias,2.weight,2.bias");
 * ```
 */
export class Sequential extends IndexedModule<UnaryModule> {
  constructor(...modules: readonly UnaryModule[]) {
    super();
    for (const module of modules) this.push(module);
  }

  override forward(x: Tensor): Tensor {
    let out = x;
    for (let i = 0; i < this.length; i++) out = this.at(i).forward(out);
    return out;
  }
}

/** A list of modules; calling them is up to the owner. */
export class ModuleList<M extends Module = Module> extends IndexedModule<M> {
  constructor(modules: Iterable<M> = []) {
    super();
    for (const module of modules) this.push(module);
  }

  override forward(): never {
    throw new TypeError("ModuleList: has no forward; call its members");
  }

  /** Equal neighbours are printed once, as in `(0-2): 3 x Linear(…)`. */
  override childLines(): string[] {
    const texts = [...this].map(String);
    const lines: string[] = [];
    for (let from = 0; from < texts.length;) {
      let to = from;
      while (texts[to + 1] === texts[from]) to++;
      lines.push(to === from ? `(${from}): ${texts[from]}` : `(${from}-${to}): ${to - from + 1} x ${texts[from]}`);
      from = to + 1;
    }
    return lines;
  }
}

/** Modules by name. */
export class ModuleDict<M extends Module = Module> extends Module {
  /** The modules; their keys are taken into state dicts as they are. */
  readonly items: Record<string, M>;

  constructor(modules: Readonly<Record<string, M>> = {}) {
    super();
    this.items = { ...modules };
  }

  /** The module of this name. @throws {RangeError} if there is none. */
  get(name: string): M {
    const found = Object.hasOwn(this.items, name) ? this.items[name] : undefined;
    if (found === undefined) {
      throw new RangeError(
        `ModuleDict: no module "${name}"; there are ${Object.keys(this.items).join(", ") || "none"}`,
      );
    }
    return found;
  }

  /** Adds or replaces a module. */
  set(name: string, module: M): this {
    this.items[name] = module;
    return this;
  }

  override *members(): IterableIterator<[name: string, value: unknown, property: string]> {
    for (const name of Object.keys(this.items)) yield [name, this.items[name], name];
  }

  override setMember(property: string, value: unknown): void {
    if (value instanceof Module) this.items[property] = value as M;
  }

  override forward(): never {
    throw new TypeError("ModuleDict: has no forward; call its members");
  }
}

/** A list of parameters; plain tensors are made parameters. */
export class ParameterList extends IndexedModule<Parameter> {
  constructor(values: Iterable<Tensor> = []) {
    super();
    for (const value of values) this.push(value);
  }

  override push(value: Tensor): this {
    return super.push(isParameter(value) ? value : parameter(value));
  }

  override forward(): never {
    throw new TypeError("ParameterList: has no forward; use its members");
  }

  override childLines(): string[] {
    return [...this].map((p, i) => `(${i}): Parameter containing: [${p.dtype.name} of size ${p.shape.join("x")}]`);
  }
}
