/**
 * Sources: from where a value entered a trace, as `args[0].layers[2].weight`.
 *
 * A {@linkcode Source} is a node of a tree whose roots are arguments, `this`, variables of the closure and known objects, and whose edges are reads. Each
 * node knows how to be read again at a later call (`read` texts are made by the guard compiler) and what must still hold there: its checks.
 * Mirrors `torch._dynamo.source` and the guard tree of `torch._dynamo.guards`.
 */
import type { Check } from "./checks.ts";

/** How a source is reached. */
export type SourceKey =
  | { readonly kind: "argument"; readonly index: number }
  | { readonly kind: "arguments" }
  | { readonly kind: "this" }
  /** A variable of a closure that may be assigned: read again through V8's scopes. */
  // deno-lint-ignore ban-types
  | { readonly kind: "binding"; readonly fn: Function; readonly name: string }
  /** A value stated by `captures`. */
  | { readonly kind: "capture"; readonly name: string }
  /** An object that is the same at every call. */
  | { readonly kind: "constant"; readonly value: object; readonly name: string }
  | { readonly kind: "property"; readonly key: string | symbol }
  | { readonly kind: "mapValue"; readonly key: unknown }
  /** The nth key of a Map or item of a Set, in order of insertion. */
  | { readonly kind: "item"; readonly index: number }
  /** A `#private` member, read by a function from inside its class. */
  | { readonly kind: "private"; readonly name: string; readonly read: (object: object) => unknown }
  /** `.grad` of a tensor. */
  | { readonly kind: "grad" };

/** A place from which values enter traces. Made by {@linkcode SourceTree}. */
export class Source {
  readonly parent: Source | null;
  readonly key: SourceKey;
  readonly children: Source[] = [];
  /** What must hold of the value found here. */
  readonly checks: Check[] = [];

  constructor(parent: Source | null, key: SourceKey) {
    this.parent = parent;
    this.key = key;
  }

  /** The source reached from here; the same object each time. */
  child(key: SourceKey): Source {
    const found = this.children.find((c) => sameKey(c.key, key));
    if (found !== undefined) return found;
    const made = new Source(this, key);
    this.children.push(made);
    return made;
  }

  /** Adds a check unless the same one is there. */
  check(check: Check): void {
    const same = this.checks.some((c) => sameCheck(c, check));
    if (!same) this.checks.push(check);
  }

  /** The innermost root. */
  get root(): Source {
    return this.parent === null ? this : this.parent.root;
  }

  /** As a person writes it. */
  toString(): string {
    const { key } = this;
    const base = this.parent === null ? "" : this.parent.toString();
    switch (key.kind) {
      case "argument":
        return `args[${key.index}]`;
      case "arguments":
        return "args";
      case "this":
        return "this";
      case "binding":
      case "capture":
      case "constant":
        return key.name;
      case "property":
        if (typeof key.key === "symbol") return `${base}[${String(key.key)}]`;
        if (/^\d+$/.test(key.key)) return `${base}[${key.key}]`;
        return /^[A-Za-z_$][\w$]*$/.test(key.key) ? `${base}.${key.key}` : `${base}[${JSON.stringify(key.key)}]`;
      case "mapValue":
        return `${base}.get(${typeof key.key === "string" ? JSON.stringify(key.key) : String(key.key)})`;
      case "item":
        return `[...${base}][${key.index}]`;
      case "private":
        return `${base}.${key.name}`;
      case "grad":
        return `${base}.grad`;
      default:
        return key satisfies never;
    }
  }
}

function sameCheck(a: Check, b: Check): boolean {
  if (a.kind === "has" && b.kind === "has") return a.key === b.key;
  if (a.kind === "own" && b.kind === "own") return a.key === b.key;
  if (a.kind === "member" && b.kind === "member") return Object.is(a.key, b.key);
  if (a.kind === "getter" && b.kind === "getter") return a.key === b.key;
  if (a.kind === "setter" && b.kind === "setter") return a.key === b.key;
  if (a.kind === "same" && b.kind === "same") return a.other === b.other;
  // The first check of a kind holds what the trace saw first; the real world does not change while it is traced.
  return a.kind === b.kind;
}

function sameKey(a: SourceKey, b: SourceKey): boolean {
  switch (a.kind) {
    case "argument":
    case "item":
      return b.kind === a.kind && a.index === b.index;
    case "binding":
      return b.kind === "binding" && a.fn === b.fn && a.name === b.name;
    case "capture":
      return b.kind === "capture" && a.name === b.name;
    case "constant":
      return b.kind === "constant" && a.value === b.value;
    case "property":
      return b.kind === "property" && a.key === b.key;
    case "private":
      return b.kind === "private" && a.read === b.read;
    case "mapValue":
      return b.kind === "mapValue" && Object.is(a.key, b.key);
    case "arguments":
    case "this":
    case "grad":
      return a.kind === b.kind;
    default:
      return a satisfies never;
  }
}

/** The roots of one trace. */
export class SourceTree {
  readonly roots: Source[] = [];

  /** The root of this key; the same object each time. */
  root(key: SourceKey): Source {
    const found = this.roots.find((r) => sameKey(r.key, key));
    if (found !== undefined) return found;
    const made = new Source(null, key);
    this.roots.push(made);
    return made;
  }
}
