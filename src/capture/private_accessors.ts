/**
 * Which private members of a class are accessors, read from its text: V8 shows a `#private` member under its name whether it is a field or code.
 *
 * A getter that only reads runs as it is, on the real object; one that calls or assigns, and every setter, must run in its place among the other effects of the
 * function, which no trace can give it.
 */
import type { AnyNode } from "acorn";
import { parseText } from "./syntax.ts";

/** What a private name stands for. */
export type PrivateKind = "field" | "reader" | "code";

interface PrivateMember {
  readonly get: PrivateKind;
  readonly set: PrivateKind;
}

// deno-lint-ignore ban-types
const known = new WeakMap<Function, ReadonlyMap<string, PrivateMember>>();

/** What reading and writing `name` means on objects of the class whose prototype, or which itself, is `home`; null if its text does not say. */
export function privateMember(home: object, name: string): PrivateMember | null {
  const cls: unknown = typeof home === "function" ? home : Reflect.getOwnPropertyDescriptor(home, "constructor")?.value;
  if (typeof cls !== "function") return null;
  let members = known.get(cls);
  if (members === undefined) known.set(cls, members = readMembers(Function.prototype.toString.call(cls)));
  return members.get(name) ?? null;
}

function readMembers(text: string): ReadonlyMap<string, PrivateMember> {
  const out = new Map<string, PrivateMember>();
  const statement = parseText(`(${text})`)?.body[0];
  const cls = statement?.type === "ExpressionStatement" ? statement.expression : null;
  if (cls?.type !== "ClassExpression") return out;
  for (const member of cls.body.body) {
    if (member.type === "StaticBlock" || member.key.type !== "PrivateIdentifier") continue;
    const { name } = member.key;
    const before = out.get(name) ?? { get: "field", set: "field" };
    if (member.type !== "MethodDefinition") out.set(name, before);
    else if (member.kind === "get") out.set(name, { ...before, get: onlyReads(member.value.body) ? "reader" : "code" });
    else if (member.kind === "set") out.set(name, { ...before, set: "code" });
    else out.set(name, before);
  }
  return out;
}

const ACTING: ReadonlySet<string> = new Set([
  "AssignmentExpression",
  "UpdateExpression",
  "CallExpression",
  "NewExpression",
  "TaggedTemplateExpression",
  "YieldExpression",
  "ThrowStatement",
]);

/** Whether code neither calls nor assigns anything. `Math.min(…)` and its like count as reading. */
function onlyReads(node: unknown): boolean {
  if (Array.isArray(node)) return node.every(onlyReads);
  if (typeof node !== "object" || node === null || !("type" in node)) return true;
  const at = node as AnyNode;
  const isMath = at.type === "CallExpression" && at.callee.type === "MemberExpression" &&
    at.callee.object.type === "Identifier" && at.callee.object.name === "Math" &&
    at.callee.property.type === "Identifier" && at.callee.property.name !== "random";
  if (ACTING.has(at.type) && !isMath) return false;
  return Object.values(at).every(onlyReads);
}
