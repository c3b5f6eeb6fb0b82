/**
 * Questions about nodes of a syntax tree that the rewriting of functions asks.
 */
import type { AnyNode } from "acorn";
import { cpu, float32 } from "../core/mod.ts";
import { emptyTensor } from "../tensor/mod.ts";

let example: object | null = null;

/** Whether every tensor has a property of this name. */
export function isTensorMember(name: string): boolean {
  return name in (example ??= emptyTensor([], [], float32, cpu));
}

/** Tells whether a value is a node. */
export function isNode(value: unknown): value is AnyNode {
  return typeof value === "object" && value !== null && "type" in value && typeof value.type === "string";
}

/** Every name in a declaration or parameter below a node; those in defaults count as well. */
export function declaredIn(node: AnyNode, out: Set<string> = new Set(), isPattern = false): ReadonlySet<string> {
  if (node.type === "Identifier" && isPattern) out.add(node.name);
  for (const [key, value] of Object.entries(node)) {
    const declares = isPattern || key === "params" || key === "param" || (key === "id" && value !== null);
    for (const child of Array.isArray(value) ? value : [value]) if (isNode(child)) declaredIn(child, out, declares);
  }
  return out;
}

/** Constants that no size or tensor equals. */
export function isPlainOperand(node: AnyNode): boolean {
  if (node.type === "Literal") return typeof node.value !== "number";
  if (node.type === "UnaryExpression") return node.operator === "typeof" || node.operator === "void";
  return node.type === "TemplateLiteral" || (node.type === "Identifier" && node.name === "undefined");
}

/** Expressions that yield a boolean or number whatever their operands are. */
export function isPlainlyBoolean(node: AnyNode): boolean {
  if (node.type === "Literal" || node.type === "UpdateExpression") return true;
  return node.type === "BinaryExpression" || (node.type === "UnaryExpression" && node.operator === "!");
}
