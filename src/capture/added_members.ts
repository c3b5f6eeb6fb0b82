/**
 * What a program has put on the prototypes of the engine and of `Tensor`: methods of its own, and its own in the place of others.
 *
 * Values of a trace that are no proxies (numbers, strings, new arrays, twins of tensors) find such a method by themselves, and it runs unseen: neither it nor what it reads could be
 * guarded. The prototypes are remembered as they are when Tessera is loaded and compared when a function is traced; a function whose text names a member that is not
 * from then is not traced.
 */
import { Tensor } from "../tensor/mod.ts";

/** A member that the program has added or replaced. */
export interface AddedMember {
  readonly key: string;
  readonly owner: string;
  /** Tells whether a function's text may use it. */
  readonly isIn: (text: string) => boolean;
}

const PROTOTYPES: Readonly<Record<string, object>> = {
  Tensor: Tensor.prototype,
  Object: Object.prototype,
  Function: Function.prototype,
  Array: Array.prototype,
  String: String.prototype,
  Number: Number.prototype,
  Boolean: Boolean.prototype,
  BigInt: BigInt.prototype,
  Symbol: Symbol.prototype,
  Map: Map.prototype,
  Set: Set.prototype,
};

function meaning(prototype: object, key: PropertyKey): unknown {
  const descriptor = Reflect.getOwnPropertyDescriptor(prototype, key);
  return descriptor?.get ?? descriptor?.value;
}

const atLoad: ReadonlyMap<object, ReadonlyMap<PropertyKey, unknown>> = new Map(
  Object.values(PROTOTYPES).map((p) => [p, new Map(Reflect.ownKeys(p).map((key) => [key, meaning(p, key)] as const))]),
);

/** What stands on the prototypes now and did not when Tessera was loaded. */
export function addedMembers(): AddedMember[] {
  const out: AddedMember[] = [];
  for (const [name, prototype] of Object.entries(PROTOTYPES)) {
    const before = atLoad.get(prototype);
    for (const key of Reflect.ownKeys(prototype)) {
      const now = meaning(prototype, key);
      if (typeof now !== "function" || before?.get(key) === now) continue;
      out.push({ key: String(key), owner: `${name}.prototype`, isIn: finder(key) });
    }
  }
  return out;
}

function finder(key: PropertyKey): AddedMember["isIn"] {
  // Symbols are asked for by the language itself, as in for-of.
  if (typeof key !== "string" || !/^[\w$]+$/.test(key)) return () => true;
  const name = new RegExp(`(?<![\\w$])${key.replaceAll("$", "\\$")}(?![\\w$])`);
  return (text) => name.test(text);
}
