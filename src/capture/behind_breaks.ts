/**
 * What stands behind a break: a trace ends at the first one, so the rest of the function is read, not run.
 *
 * Enters: a function and the arguments of the call that broke. Leaves: the conditions in its text that a tensor decides, and the clocks, chances and system calls, each with its
 * line, in the words of the trace. Only what is plain from the text counts: a parameter that was a tensor, what operators made of it, and names that hold such.
 */
import type { AnyNode } from "acorn";
import { Tensor } from "../tensor/mod.ts";
import { CONDITION_REASON, CONDITION_REMEDY, GraphBreak } from "./graph_break.ts";
import { CHANCE_REASON, CHANCE_REMEDY, effectReason, EFFECTS, MOVE_OUT } from "./intrinsics.ts";
import { locationIn } from "./program_text.ts";
import { forEachChild, functionSyntax, parseText } from "./syntax.ts";
import { isProxy } from "./values.ts";

/** Operators whose result holds booleans. */
const BOOLEANS = new Set(
  ("eq ne lt le gt ge any all isnan isinf isfinite isclose isin signbit " +
    "logicalAnd logicalOr logicalNot logicalXor").split(" "),
);

/** Operators that give one element if they are given nothing else. */
const REDUCTIONS = new Set("sum mean prod max min amax amin norm std var median argmax argmin".split(" "));

class Reader {
  readonly found: { readonly reason: string; readonly remedy: string; readonly at: number }[] = [];
  readonly #free: ReadonlySet<string>;
  readonly #tensors: Set<string>;
  /** Names of tensors that can only be meant by their data. */
  readonly #conditions = new Set<string>();

  constructor(free: readonly string[], tensors: ReadonlySet<string>) {
    this.#free = new Set(free);
    this.#tensors = new Set(tensors);
  }

  #method(node: AnyNode): { readonly name: string; readonly hasArguments: boolean } | null {
    if (node.type !== "CallExpression" || node.callee.type !== "MemberExpression" || node.callee.computed) return null;
    const { object, property } = node.callee;
    if (property.type !== "Identifier" || object.type === "Super" || !this.#isTensor(object)) return null;
    return { name: property.name, hasArguments: node.arguments.length > 0 };
  }

  #isTensor(node: AnyNode): boolean {
    if (node.type === "Identifier") return this.#tensors.has(node.name);
    const method = this.#method(node);
    if (method === null) return false;
    const { name, hasArguments } = method;
    return BOOLEANS.has(name) || (REDUCTIONS.has(name) && !hasArguments) || isOperator(name);
  }

  #isCondition(node: AnyNode): boolean {
    if (node.type === "Identifier") return this.#conditions.has(node.name);
    const method = this.#method(node);
    return method !== null && (BOOLEANS.has(method.name) || (REDUCTIONS.has(method.name) && !method.hasArguments));
  }

  #name(target: AnyNode, value: AnyNode | null | undefined): void {
    if (target.type !== "Identifier") return;
    const mark = (set: Set<string>, holds: boolean): void =>
      void (holds ? set.add(target.name) : set.delete(target.name));
    mark(this.#tensors, value !== null && value !== undefined && this.#isTensor(value));
    mark(this.#conditions, value !== null && value !== undefined && this.#isCondition(value));
  }

  #check(node: AnyNode | null | undefined): void {
    if (!node || !this.#isCondition(node)) return;
    this.found.push({ reason: CONDITION_REASON, remedy: CONDITION_REMEDY, at: node.start });
  }

  visit(node: AnyNode): void {
    switch (node.type) {
      case "IfStatement":
      case "ConditionalExpression":
      case "WhileStatement":
      case "DoWhileStatement":
      case "ForStatement":
        this.#check(node.test);
        break;
      case "UnaryExpression":
        if (node.operator === "!") this.#check(node.argument);
        break;
      case "LogicalExpression":
        if (node.operator !== "??") this.#check(node.left);
        break;
      case "Identifier":
        if (this.#free.has(node.name) && node.name !== "console" && Object.hasOwn(EFFECTS, node.name)) {
          const reason = effectReason(node.name, EFFECTS[node.name] ?? "");
          this.found.push({ reason, remedy: MOVE_OUT, at: node.start });
        }
        break;
      case "MemberExpression":
        if (
          !node.computed && node.object.type === "Identifier" && node.object.name === "Math" &&
          this.#free.has("Math") &&
          node.property.type === "Identifier" && node.property.name === "random"
        ) this.found.push({ reason: CHANCE_REASON, remedy: CHANCE_REMEDY, at: node.start });
        this.visit(node.object);
        // The name of a property is no variable.
        if (node.computed) this.visit(node.property);
        return;
      case "Property":
        if (node.computed) this.visit(node.key);
        this.visit(node.value);
        return;
      case "BinaryExpression":
        // `x instanceof Date` asks what something is.
        if (node.operator === "instanceof") return this.visit(node.left as AnyNode);
        break;
      default:
        break;
    }
    forEachChild(node, (child) => this.visit(child));
    if (node.type === "VariableDeclarator") this.#name(node.id, node.init);
    if (node.type === "AssignmentExpression") this.#name(node.left, node.operator === "=" ? node.right : null);
  }
}

/** Whether a method of this name is an operator of the table, or made of some: what it gives is a tensor. */
function isOperator(name: string): boolean {
  const method: unknown = Reflect.getOwnPropertyDescriptor(Tensor.prototype, name)?.value;
  return typeof method === "function" &&
    !/^(item|data|dataSync|toArray|toString|backward|size|dim|allclose|equal)$/.test(name);
}

/** Breaks that the text of a function shows, in order; `files` are where it is looked for. */
export function breaksInText(
  // deno-lint-ignore ban-types
  fn: Function,
  args: readonly unknown[],
  files: readonly string[],
): GraphBreak[] {
  const { kind, expression, free } = functionSyntax(fn);
  if (kind !== "arrow" && kind !== "function") return [];
  const [statement] = parseText(expression)?.body ?? [];
  const node = statement?.type === "ExpressionStatement" ? statement.expression : null;
  if (node?.type !== "ArrowFunctionExpression" && node?.type !== "FunctionExpression") return [];
  const tensors = node.params.flatMap((p, i) => p.type === "Identifier" && isTensorArgument(args[i]) ? [p.name] : []);
  const reader = new Reader(free, new Set(tensors));
  reader.visit(node);
  return reader.found.map(({ reason, remedy, at }) => new GraphBreak(reason, remedy, locationIn(fn, files, at)));
}

/** A Proxy of the program's own would answer `instanceof` by its traps. */
function isTensorArgument(value: unknown): boolean {
  return typeof value === "object" && value !== null && !isProxy(value) && value instanceof Tensor;
}
