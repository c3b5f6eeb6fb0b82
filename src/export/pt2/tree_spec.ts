/**
 * Tree specs: how the nested arguments and results of a module flatten into a list.
 *
 * Enters: the JSON text that PyTorch's pytree writes. Leaves: a {@linkcode TreeSpec} that flattens and rebuilds JavaScript values. Tuples, lists and deques
 * are arrays; dicts are plain objects (a Map is taken, too); named tuples and registered dataclasses are objects with their fields; other registered types
 * are objects if their context lists a key for each child, else arrays. A leaf is any value. Mirrors `torch.utils._pytree`.
 */
import { FormatError, quoteName } from "../zip/archive.ts";
import { JsonCursor, parseJson } from "./json.ts";

/** The shape of a nested value. */
export type TreeSpec =
  | { readonly kind: "leaf" }
  | { readonly kind: "sequence"; readonly type: string; readonly children: readonly TreeSpec[] }
  | {
    readonly kind: "record";
    readonly type: string;
    readonly keys: readonly string[];
    readonly children: readonly TreeSpec[];
    /** Fields of a dataclass that are always null. */
    readonly absent: readonly string[];
  };

const LEAF: TreeSpec = { kind: "leaf" };
const SEQUENCES: ReadonlySet<string> = new Set(["builtins.tuple", "builtins.list", "collections.deque"]);

/** What a context may be: keys as texts, or nothing that is understood. */
function keysOf(context: unknown, count: number): readonly string[] | null {
  if (!Array.isArray(context) || context.length !== count) return null;
  const keys = context.map((key: unknown) => typeof key === "string" || typeof key === "number" ? String(key) : null);
  return keys.every((key) => key !== null) && new Set(keys).size === count ? keys as string[] : null;
}

function recordOf(
  c: JsonCursor,
  type: string,
  context: unknown,
  children: readonly TreeSpec[],
  namedTuples: ReadonlyMap<string, readonly string[]>,
): TreeSpec {
  const record = (keys: readonly string[], absent: readonly string[] = []): TreeSpec => {
    if (keys.length !== children.length) c.fail(`has ${keys.length} keys for ${children.length} children`);
    return { kind: "record", type, keys, children, absent };
  };
  const count = children.length;
  switch (type) {
    case "builtins.dict":
    case "collections.OrderedDict":
      return record(
        keysOf(context, count) ?? c.fail("its context must be a list of different keys, one for each child"),
      );
    case "collections.defaultdict": {
      const inner = typeof context === "object" && context !== null && "dict_context" in context
        ? context.dict_context
        : Array.isArray(context)
        ? context[1]
        : null;
      return record(keysOf(inner, count) ?? c.fail("its context has no keys"));
    }
    case "collections.namedtuple": {
      const fields = typeof context === "string" ? namedTuples.get(context) : undefined;
      return fields === undefined ? { kind: "sequence", type: String(context), children } : record(fields);
    }
    default: {
      const keys = keysOf(context, count);
      if (keys !== null) return record(keys);
      // A dataclass: the names of the fields that have children, then of those that are None.
      if (Array.isArray(context) && context.length === 2) {
        const fields = keysOf(context[0], count);
        const absent = Array.isArray(context[1]) ? keysOf(context[1], context[1].length) : null;
        if (fields !== null && absent !== null) return record(fields, absent);
      }
      return { kind: "sequence", type, children };
    }
  }
}

function specOf(c: JsonCursor, namedTuples: ReadonlyMap<string, readonly string[]>): TreeSpec {
  const type = c.get("type").optional((t) => t.string());
  const children = c.get("children_spec").list((child) => specOf(child, namedTuples));
  if (type === null) return children.length === 0 ? LEAF : c.fail("is a leaf with children");
  if (SEQUENCES.has(type)) return { kind: "sequence", type, children };
  const text = c.get("context");
  let context: unknown = text.value;
  if (typeof context === "string" && type !== "collections.namedtuple") {
    try {
      context = JSON.parse(context);
    } catch {
      // Types with their own serialiser may write any text.
    }
  }
  return recordOf(c, type, context, children, namedTuples);
}

/** Reads a serialised tree spec. @throws {FormatError} */
export function parseTreeSpec(
  text: string,
  label: string,
  namedTuples: ReadonlyMap<string, readonly string[]> = new Map(),
): TreeSpec {
  const root = new JsonCursor(parseJson(text, label), label);
  const [protocol, spec] = root.items();
  if (protocol === undefined || spec === undefined) return root.fail("must be a protocol number and a spec");
  if (protocol.size() !== 1) protocol.fail(`is ${protocol.size()}, protocol 1 is read`);
  return specOf(spec, namedTuples);
}

/** How many leaves a spec has. */
export function leafCount(spec: TreeSpec): number {
  return spec.kind === "leaf" ? 1 : spec.children.reduce((n, child) => n + leafCount(child), 0);
}

/** Where each leaf stands: `args[0].weight`. */
export function leafPaths(spec: TreeSpec, prefix: string): string[] {
  switch (spec.kind) {
    case "leaf":
      return [prefix];
    case "sequence":
      return spec.children.flatMap((child, i) => leafPaths(child, `${prefix}[${i}]`));
    case "record":
      return spec.children.flatMap((child, i) => {
        const key = spec.keys[i] ?? "";
        return leafPaths(child, /^[A-Za-z_]\w*$/.test(key) ? `${prefix}.${key}` : `${prefix}[${quoteName(key)}]`);
      });
    default:
      return spec satisfies never;
  }
}

function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return `an array of ${value.length}`;
  return typeof value === "object" ? `an object with ${Object.keys(value).join(", ") || "no fields"}` : typeof value;
}

/**
 * The leaves of a value that has the shape of a spec.
 *
 * @throws {TypeError} naming the place where the value has another shape.
 */
export function flattenTree(value: unknown, spec: TreeSpec, place: string): unknown[] {
  switch (spec.kind) {
    case "leaf":
      return [value];
    case "sequence": {
      if (!Array.isArray(value) || value.length !== spec.children.length) {
        throw new TypeError(`${place}: needs an array of ${spec.children.length}, got ${describe(value)}`);
      }
      return spec.children.flatMap((child, i) => flattenTree(value[i], child, `${place}[${i}]`));
    }
    case "record": {
      if (typeof value !== "object" || value === null || Array.isArray(value)) {
        throw new TypeError(`${place}: needs an object with ${spec.keys.join(", ")}, got ${describe(value)}`);
      }
      const fields: ReadonlyMap<unknown, unknown> = value instanceof Map ? value : new Map(Object.entries(value));
      for (const key of fields.keys()) {
        if (!spec.keys.includes(String(key)) && !spec.absent.includes(String(key))) {
          throw new TypeError(
            `${place}: there is no field ${quoteName(String(key))}; the fields are ${spec.keys.join(", ")}`,
          );
        }
      }
      return spec.children.flatMap((child, i) => {
        const key = spec.keys[i] ?? "";
        const field = fields.get(key);
        if (field === undefined) throw new TypeError(`${place}: the field ${quoteName(key)} is missing`);
        return flattenTree(field, child, `${place}.${key}`);
      });
    }
    default:
      return spec satisfies never;
  }
}

/** The value whose leaves are these. @throws {FormatError} if their number is not that of the spec. */
export function unflattenTree(leaves: readonly unknown[], spec: TreeSpec): unknown {
  const wanted = leafCount(spec);
  if (leaves.length !== wanted) throw new FormatError(`the tree spec has ${wanted} leaves, there are ${leaves.length}`);
  let next = 0;
  const build = (at: TreeSpec): unknown => {
    switch (at.kind) {
      case "leaf":
        return leaves[next++];
      case "sequence":
        return at.children.map(build);
      case "record": {
        // fromEntries defines fields, so a key such as __proto__ is a field like any other.
        const built: [string, unknown][] = at.children.map((child, i) => [at.keys[i] ?? "", build(child)]);
        return Object.fromEntries([...built, ...at.absent.map((key) => [key, null])]);
      }
      default:
        return at satisfies never;
    }
  };
  return build(spec);
}
