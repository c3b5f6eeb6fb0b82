/**
 * `Module`: a tree of parameters, buffers and child modules.
 *
 * A module has no registry beside itself: what it owns is found by walking its own properties in the order in which they were
 * defined. A property holds a parameter (a tensor made by `parameter()`), a buffer (a tensor named to `registerBuffer`), a child
 * module, or something of no concern. Its key in a state dict is the property's name in PyTorch's spelling (`runningMean` →
 * `running_mean`), so that files move between the two. Nothing here is private to the object or keyed by its identity:
 * capture walks modules behind Proxies. Mirrors `torch.nn.Module`.
 */
import { type Device, device, type DeviceLike, type DType, shapeText } from "../core/mod.ts";
import { labelMemory, noGrad, Tensor } from "../tensor/mod.ts";
import { isParameter, movedTensor, type Parameter } from "./parameter.ts";

/** Tensors by their PyTorch key, as `"layer1.0.conv1.weight"`. */
export type StateDict = Record<string, Tensor>;

/** What {@linkcode Module.loadStateDict} left out, both empty unless `strict` is false. */
export interface LoadResult {
  readonly missingKeys: readonly string[];
  readonly unexpectedKeys: readonly string[];
}

/**
 * The key under which a property stands in a state dict: camelCase becomes snake_case, other names stay.
 *
 * @example
 * ```ts
 * import { nn } from "@tessera/tessera";
 * console.assert(nn.stateName("runningMean") === "running_mean");
 * console.assert(nn.stateName("Mixed_5b") === "Mixed_5b");
 * ```
 */
export function stateName(property: string): string {
  if (!/^[a-z][a-zA-Z0-9]*$/.test(property)) return property;
  return property.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/**
 * Base class of all layers and models. Assign parameters, buffers and other modules to properties, and write `forward`.
 *
 * @example
 * ```ts
 * import { nn, randn, type Tensor } from "@tessera/tessera";
 * class Net extends nn.Module {
 *   readonly fc1 = new nn.Linear(4, 8);
 *   readonly fc2 = new nn.Linear(8, 2);
 *   forward(x: Tensor): Tensor {
 *     return this.fc2.forward(nn.functional.relu(this.fc1.forward(x)));
 *   }
 * }
 * const net = new Net();
 * console.assert(net.forward(randn([3, 4])).shape.join() === "3,2");
 * console.assert(Object.keys(net.stateDict()).join() === "fc1.weight,fc1.bias,fc2.weight,fc2.bias");
 * ```
 */
export abstract class Module {
  /** True in training mode: dropout drops, batch normalisation uses the batch's statistics. */
  training = true;
  /** Registered buffers by property name; the value tells whether the buffer belongs to the state dict. */
  readonly bufferPersistence: Record<string, boolean> = {};

  /** Computes the module's result. */
  abstract forward(...args: never[]): unknown;

  /** What may be a parameter, buffer or child, by state name, in order of definition. Containers override it. */
  *members(): IterableIterator<[name: string, value: unknown, property: string]> {
    for (const property of Object.keys(this)) {
      yield [stateName(property), Reflect.get(this, property), property];
    }
  }

  /** Puts a member in the place of another; containers that override {@linkcode members} override this as well. */
  setMember(property: string, value: unknown): void {
    Reflect.set(this, property, value);
  }

  /**
   * Declares the tensor in this property to be a buffer: state that is not trained, as running statistics.
   *
   * @param property The property; it is assigned here.
   * @param value The tensor; null declares the buffer and leaves it empty.
   * @param options `persistent: false` keeps it out of the state dict.
   */
  registerBuffer(property: string, value: Tensor | null, options: { persistent?: boolean } = {}): void {
    if (value !== null && isParameter(value)) {
      throw new TypeError(`registerBuffer: "${property}" is a parameter; assign it to a property instead`);
    }
    this.bufferPersistence[property] = options.persistent ?? true;
    Reflect.set(this, property, value);
  }

  /** Direct child modules with their state names. */
  *namedChildren(): IterableIterator<[string, Module]> {
    for (const [name, value] of this.members()) if (value instanceof Module) yield [name, value];
  }

  /** Direct child modules. */
  children(): Module[] {
    return [...this.namedChildren()].map(([, child]) => child);
  }

  /** This module and all below it, each once, with dotted names; the module itself is `""`. */
  *namedModules(prefix = "", seen: Set<Module> = new Set()): IterableIterator<[string, Module]> {
    if (seen.has(this)) return;
    seen.add(this);
    yield [prefix, this];
    for (const [name, child] of this.namedChildren()) {
      yield* child.namedModules(prefix === "" ? name : `${prefix}.${name}`, seen);
    }
  }

  /** This module and all below it, each once. */
  modules(): Module[] {
    return [...this.namedModules()].map(([, module]) => module);
  }

  /** Parameters of this module alone. */
  *ownParameters(): IterableIterator<[name: string, parameter: Parameter, property: string]> {
    for (const [name, value, property] of this.members()) {
      if (isParameter(value)) yield [name, value, property];
    }
  }

  /** Buffers of this module alone. */
  *ownBuffers(): IterableIterator<[name: string, buffer: Tensor, property: string]> {
    for (const [name, value, property] of this.members()) {
      if (Object.hasOwn(this.bufferPersistence, property) && value instanceof Tensor) yield [name, value, property];
    }
  }

  /** All parameters with dotted names, each once even if several modules share it. */
  *namedParameters(): IterableIterator<[string, Parameter]> {
    const seen = new Set<Tensor>();
    for (const [path, module] of this.namedModules()) {
      for (const [name, value] of module.ownParameters()) {
        if (seen.has(value)) continue;
        seen.add(value);
        yield [path === "" ? name : `${path}.${name}`, value];
      }
    }
  }

  /** All parameters, each once. */
  parameters(): Parameter[] {
    return [...this.namedParameters()].map(([, value]) => value);
  }

  /** All buffers with dotted names, each once. */
  *namedBuffers(): IterableIterator<[string, Tensor]> {
    const seen = new Set<Tensor>();
    for (const [path, module] of this.namedModules()) {
      for (const [name, value] of module.ownBuffers()) {
        if (seen.has(value)) continue;
        seen.add(value);
        yield [path === "" ? name : `${path}.${name}`, value];
      }
    }
  }

  /** All buffers, each once. */
  buffers(): Tensor[] {
    return [...this.namedBuffers()].map(([, value]) => value);
  }

  /** The module below this one at a dotted path. @throws {RangeError} if there is none. */
  getSubmodule(path: string): Module {
    if (path === "") return this;
    const [name = "", ...rest] = path.split(".");
    const child = [...this.namedChildren()].find(([own]) => own === name);
    if (child === undefined) {
      throw new RangeError(
        `getSubmodule: ${this.typeName()} has no child "${name}": it has ${
          [...this.namedChildren()].map(([own]) => own).join(", ") || "none"
        }`,
      );
    }
    return child[1].getSubmodule(rest.join("."));
  }

  /** Parameters, then buffers, of each module in turn: the order and the keys of PyTorch. */
  *stateEntries(prefix = ""): IterableIterator<[string, Tensor]> {
    for (const [name, value] of this.ownParameters()) yield [prefix + name, value];
    for (const [name, value, property] of this.ownBuffers()) {
      if (this.bufferPersistence[property] === true) yield [prefix + name, value];
    }
    for (const [name, child] of this.namedChildren()) yield* child.stateEntries(`${prefix}${name}.`);
  }

  /** Parameters and persistent buffers by key. The tensors share memory with the module; clone them to keep them. */
  stateDict(): StateDict {
    const out: StateDict = {};
    for (const [key, value] of this.stateEntries()) out[key] = value.detach();
    return out;
  }

  /**
   * Copies values into the parameters and buffers. Nothing is changed if anything does not fit.
   *
   * @param dict Tensors by PyTorch key.
   * @param options `strict: false` allows missing and unexpected keys and returns them; shapes must fit always.
   * @throws {TypeError} naming each missing key, unexpected key and wrong shape.
   */
  loadStateDict(dict: Readonly<StateDict>, options: { strict?: boolean } = {}): LoadResult {
    const own = new Map(this.stateEntries());
    const missingKeys = [...own.keys()].filter((key) => !Object.hasOwn(dict, key));
    const unexpectedKeys = Object.keys(dict).filter((key) => !own.has(key));
    const problems: string[] = [];
    if (options.strict ?? true) {
      if (missingKeys.length > 0) problems.push(`missing keys: ${missingKeys.join(", ")}`);
      if (unexpectedKeys.length > 0) problems.push(`unexpected keys: ${unexpectedKeys.join(", ")}`);
    }
    const copies: [Tensor, Tensor][] = [];
    for (const [key, target] of own) {
      const source = Object.hasOwn(dict, key) ? dict[key] : undefined;
      if (source === undefined) continue;
      if (!sameShape(source.shape, target.shape)) {
        problems.push(`"${key}" has shape ${shapeText(source.shape)}, the module needs ${shapeText(target.shape)}`);
      }
      copies.push([target, source]);
    }
    if (problems.length > 0) {
      throw new TypeError(`loadStateDict: ${this.typeName()} does not fit: ${problems.join("; ")}`);
    }
    noGrad(() => {
      for (const [target, source] of copies) target.copy_(source);
    });
    return { missingKeys, unexpectedKeys };
  }

  /** Sets training mode in this module and all below it. */
  train(mode = true): this {
    for (const module of this.modules()) module.training = mode;
    return this;
  }

  /** Sets evaluation mode: dropout passes, batch normalisation uses its running statistics. */
  eval(): this {
    return this.train(false);
  }

  /** Says whether the parameters of this module and all below it take gradients. */
  requiresGrad_(value = true): this {
    for (const p of this.parameters()) p.requiresGrad_(value);
    return this;
  }

  /** Calls `fn` for each module, children first. */
  apply(fn: (module: Module) => void): this {
    for (const child of this.children()) child.apply(fn);
    fn(this);
    return this;
  }

  /** Forgets the gradients of all parameters. */
  zeroGrad(): void {
    for (const p of this.parameters()) p.grad = null;
  }

  /**
   * Moves parameters and buffers to a device, or converts those of floating point to a dtype. What changes is replaced by new
   * tensors (shared ones stay shared): make optimisers afterwards.
   */
  to(target: DeviceLike | DType): this {
    const where: { device?: Device; dtype?: DType } = isDType(target) ? { dtype: target } : { device: device(target) };
    if (where.dtype !== undefined && !where.dtype.isFloat) {
      throw new TypeError(`to: a module converts to floating point dtypes only, got ${where.dtype.name}`);
    }
    const moved = new Map<Tensor, Tensor>();
    for (const [path, module] of this.namedModules()) {
      for (const [name, value, property] of [...module.ownParameters(), ...module.ownBuffers()]) {
        if (where.dtype !== undefined && !value.dtype.isFloat) continue;
        const target = moved.get(value) ?? movedTensor(value, where);
        moved.set(value, target);
        if (target === value) continue;
        if (target.device.type !== "cpu") {
          labelMemory(target, `${path === "" ? name : `${path}.${name}`} of ${this.typeName()}`);
        }
        module.setMember(property, target);
      }
    }
    return this;
  }

  /** The class's name, as it is printed. */
  typeName(): string {
    return this.constructor.name;
  }

  /** What stands between the parentheses when the module is printed. */
  extraRepr(): string {
    return "";
  }

  /** The tree of modules, as PyTorch prints it. */
  toString(): string {
    const extra = this.extraRepr();
    const children = this.childLines();
    if (children.length === 0) return `${this.typeName()}(${extra})`;
    const lines = [...(extra === "" ? [] : extra.split("\n")), ...children];
    return `${this.typeName()}(\n${lines.map((line) => indent(line)).join("\n")}\n)`;
  }

  /** One text for each child; lists join repeated ones. */
  childLines(): string[] {
    return [...this.namedChildren()].map(([name, child]) => `(${name}): ${child}`);
  }

  [Symbol.for("Deno.customInspect")](): string {
    return this.toString();
  }
}

function indent(text: string): string {
  return text.split("\n").map((line) => `  ${line}`).join("\n");
}

function sameShape(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((size, i) => Number(size) === Number(b[i]));
}

function isDType(value: DeviceLike | DType): value is DType {
  return typeof value === "object" && "bytes" in value;
}
