/**
 * V8's own view of a closure: the values of the variables that a function sees.
 *
 * Enters: a function. Leaves: a snapshot of its scopes, innermost first, read through an in-process inspector session. Deno delivers the
 * session's *answers* on the event loop, but runs its *commands* at once; so nothing here waits for an answer. Objects that the inspector has
 * bound carry consecutive numbers, and a command that calls a function on the next number hands the object over directly. Where
 * the session cannot be opened (no permission, another runtime), {@linkcode canReadScopes} is false and captures must be stated by hand.
 */
import { Session } from "node:inspector";
import { InternalError } from "../core/mod.ts";

/** One scope of a closure: its variables with their values at the time of reading. */
export interface ScopeSnapshot {
  /** V8's words: `Closure (make)`, `Module`, `Block`, `Script`. */
  readonly description: string;
  readonly variables: Readonly<Record<string, unknown>>;
}

const RECEIVE = Symbol.for("tessera.capture.receive");
const DECLARATION = `function () { globalThis[Symbol.for("tessera.capture.receive")](this); }`;
const FETCH = `globalThis[Symbol.for("tessera.capture.subject")]`;
const SUBJECT = Symbol.for("tessera.capture.subject");
/** Properties of a function that the inspector binds before its scopes: more than a function ever has. */
const MOST_PROPERTIES = 64;

interface Connection {
  readonly session: Session;
  readonly prefix: string;
  next: number;
}

type Globals = Record<symbol, unknown>;

async function connect(): Promise<Connection | null> {
  try {
    const session = new Session();
    session.connect();
    const id = await new Promise<string | null>((resolve) => {
      session.post("Runtime.evaluate", { expression: "({})" }, (error, answer) => {
        resolve(error === null ? (answer as { result?: { objectId?: string } }).result?.objectId ?? null : null);
      });
    });
    const match = /^(.*\.)(\d+)$/.exec(id ?? "");
    if (match === null) return null;
    return { session, prefix: match[1] ?? "", next: Number(match[2]) + 1 };
  } catch {
    // No permission or no inspector: closures stay unread, which `canReadScopes` tells.
    return null;
  }
}

const connection: Connection | null = await connect();

/** Tells whether closures can be read here. */
export function canReadScopes(): boolean {
  return connection !== null;
}

/** Receives the object that the inspector knows by this number; undefined if there is none. */
function receive(c: Connection, id: number): { readonly object: unknown } | undefined {
  let found: { readonly object: unknown } | undefined;
  const globals = globalThis as unknown as Globals;
  globals[RECEIVE] = (object: unknown): void => {
    found = { object };
  };
  c.session.post("Runtime.callFunctionOn", {
    functionDeclaration: DECLARATION,
    objectId: `${c.prefix}${id}`,
    silent: true,
    returnByValue: true,
  });
  delete globals[RECEIVE];
  return found;
}

/** Hands a function to the inspector; the answer is the name under which the inspector knows it. */
// deno-lint-ignore ban-types
export function subjectOf(fn: Function): string {
  const c = connection;
  if (c === null) throw new InternalError("closures cannot be reached: the inspector is not available");
  const globals = globalThis as unknown as Globals;
  globals[SUBJECT] = fn;
  try {
    c.session.post("Runtime.evaluate", { expression: FETCH, objectGroup: "tessera" });
  } finally {
    delete globals[SUBJECT];
  }
  const handle = c.next++;
  if (receive(c, handle)?.object !== fn) throw new InternalError("the inspector numbers objects in an unknown way");
  return `${c.prefix}${handle}`;
}

/** Runs a command of the inspector; its answer is not waited for. */
export function post(method: string, params: Readonly<Record<string, unknown>>): void {
  (connection?.session as unknown as { post(method: string, params: object): void } | undefined)?.post(method, params);
}

/**
 * The objects that V8 shows of a function: its properties' values, its prototype, and what it holds (scopes; what it was bound to), in this order.
 *
 * @throws {InternalError} if they cannot be read here.
 */
// deno-lint-ignore ban-types
export function readHeld(fn: Function): unknown[] {
  const c = connection;
  if (c === null) throw new InternalError("scopes cannot be read: the inspector is not available");
  c.session.post("Runtime.getProperties", { objectId: subjectOf(fn), ownProperties: true });
  const out: unknown[] = [];
  for (let i = 0; i < MOST_PROPERTIES; i++) {
    const found = receive(c, c.next);
    if (found === undefined) break;
    c.next++;
    out.push(found.object);
  }
  c.session.post("Runtime.releaseObjectGroup", { objectGroup: "tessera" });
  return out;
}

/**
 * The scopes of a function, innermost first, without the global one. Values are those of this moment; writing to them changes nothing.
 *
 * @throws {InternalError} if scopes cannot be read here.
 */
// deno-lint-ignore ban-types
export function readScopes(fn: Function): ScopeSnapshot[] {
  const scopes = readHeld(fn).findLast(isScopeList);
  const out: ScopeSnapshot[] = [];
  const count = scopes?.length ?? 0;
  for (let i = 0; i < count; i++) {
    const scope = scopes?.[i] as { description: string; object: Readonly<Record<string, unknown>> };
    if (scope.object !== globalThis) out.push({ description: scope.description, variables: scope.object });
  }
  return out;
}

function isScopeList(value: unknown): value is readonly unknown[] {
  if (!Array.isArray(value) || value.length === 0) return false;
  const first: unknown = value[0];
  return typeof first === "object" && first !== null && "description" in first && "object" in first;
}

/** The value of a variable, from the innermost scope that has it; null if none has. */
export function lookUp(scopes: readonly ScopeSnapshot[], name: string): { readonly value: unknown } | null {
  for (const scope of scopes) if (Object.hasOwn(scope.variables, name)) return { value: scope.variables[name] };
  return null;
}
