/**
 * Calls that a trace notes and that happen again after each run, as `console.log`.
 *
 * Arguments are kept as they are at the time of the call: fresh arrays and objects are copied, tensors carry their version, and objects of the program are named, so that the
 * collector of effects can end the trace if any of them is changed later in the function.
 */
import { isSymInt } from "../symbolic/mod.ts";
import { isDType, Tensor } from "../tensor/mod.ts";
import type { ProxyRecord } from "./objects.ts";
import type { Tracer } from "./tracer.ts";

/** A call that happens again after each run. */
export interface NotedCall {
  readonly object: object;
  readonly key: string;
  readonly args: readonly unknown[];
  /** Versions of the tensors at the time of the call. */
  readonly versions: ReadonlyMap<Tensor, number>;
  /** Objects of the program among the arguments. */
  readonly used: ReadonlySet<ProxyRecord>;
}

/** Keeps the arguments of a call. Ends the trace at instances of classes of the program. */
export function notedCall(tracer: Tracer, object: object, key: string, args: readonly unknown[]): NotedCall {
  const versions = new Map<Tensor, number>();
  const used = new Set<ProxyRecord>();
  const copy = (value: unknown): unknown => {
    if (value instanceof Tensor) {
      versions.set(value, value.storage.version);
      return value;
    }
    if (typeof value !== "object" || value === null || isSymInt(value) || isDType(value)) return value;
    const record = tracer.recordOf(value);
    if (record !== null) {
      used.add(record);
      return value;
    }
    if (Array.isArray(value)) return value.map(copy);
    if (Reflect.getPrototypeOf(value) === Object.prototype) {
      return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, copy(v)]));
    }
    return tracer.breakGraph(`${key} prints an object of a class of its own`, "print its fields, or print outside");
  };
  return { object, key, args: args.map(copy), versions, used };
}
