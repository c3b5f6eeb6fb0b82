/**
 * The text of a function, rewritten where JavaScript gives a Proxy no say.
 *
 * Enters: the syntax tree of a function and its text. Leaves: the text with calls to helpers of the trace in the place of `===`, `typeof`, `switch`, the start of `catch`,
 * look-ups by size, `#private` members and computed names of methods, and the way back from places in the new text to the old. Everything else stays
 * letter by letter, and no line breaks are added, so that lines stay. What the helpers do is in `trace_helpers.ts`. TorchDynamo does this to bytecode.
 */
import type { AnyNode, Node } from "acorn";
import { cpu, float32 } from "../core/mod.ts";
import { emptyTensor } from "../tensor/mod.ts";
import { isIntrinsicName } from "./intrinsics.ts";
import {
  ASKERS,
  ASKING,
  CONVERSIONS,
  CONVERTERS,
  ELSEWHERE,
  INHERITED,
  KEYED,
  LOOKUPS,
  PRINTERS,
  RECEIVERS,
  UNTOLD,
} from "./size_names.ts";

/** The name under which rewritten text finds the helpers. */
export const HELPER_NAME = "tessera$capture";

/** One replacement: `[start, end)` of the old text becomes `text`. */
interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
  /** Edits at one place: those of inner nodes stand nearer to the node. */
  readonly order: number;
}

/** A rewritten text. */
export interface Rewritten {
  readonly text: string;
  /** The offset in the old text of an offset in the new one. */
  readonly toOriginal: (offset: number) => number;
  /** Why the text cannot be rewritten, or null. */
  readonly refusal: string | null;
}

let example: object | null = null;

/** Whether every tensor has a property of this name. */
function isTensorMember(name: string): boolean {
  return name in (example ??= emptyTensor([], [], float32, cpu));
}

function isNode(value: unknown): value is AnyNode {
  return typeof value === "object" && value !== null && "type" in value && typeof value.type === "string";
}

/** Constants that no size or tensor equals. */
function isPlainOperand(node: AnyNode): boolean {
  if (node.type === "Literal") return typeof node.value !== "number";
  if (node.type === "UnaryExpression") return node.operator === "typeof" || node.operator === "void";
  return node.type === "TemplateLiteral" || (node.type === "Identifier" && node.name === "undefined");
}

/** The list of a statement `list.push(…);`, which does not ask for the length that it gives; null for others. */
function pushedTo({ callee }: AnyNode & { readonly type: "CallExpression" }): AnyNode | null {
  if (callee.type !== "MemberExpression" || callee.computed || callee.optional) return null;
  const { object, property } = callee;
  return property.type === "Identifier" && property.name === "push" && object.type !== "Super" ? object : null;
}

/** Expressions that yield a boolean or number whatever their operands are. */
function isPlainlyBoolean(node: AnyNode): boolean {
  if (node.type === "Literal" || node.type === "UpdateExpression") return true;
  return node.type === "BinaryExpression" || (node.type === "UnaryExpression" && node.operator === "!");
}

/** Every name in a declaration or parameter below a node; those in defaults count as well. */
function declaredIn(node: AnyNode, out: Set<string> = new Set(), isPattern = false): ReadonlySet<string> {
  if (node.type === "Identifier" && isPattern) out.add(node.name);
  for (const [key, value] of Object.entries(node)) {
    const declares = isPattern || key === "params" || key === "param" || (key === "id" && value !== null);
    for (const child of Array.isArray(value) ? value : [value]) if (isNode(child)) declaredIn(child, out, declares);
  }
  return out;
}

class Rewriter {
  readonly edits: Edit[] = [];
  refusal: string | null = null;
  readonly #text: string;
  /** Private names that classes inside the function declare. */
  #inner: readonly ReadonlySet<string>[] = [];
  readonly #free: ReadonlySet<string>;
  /** Names that are declared anywhere inside: a free name of the same spelling is another variable there. */
  readonly #declared: ReadonlySet<string>;
  #order = 0;
  /** Inside of a function by which the engine converts an object: what it returns must be of the engine's own kinds. */
  #converts = false;

  constructor(text: string, free: ReadonlySet<string>, node: AnyNode) {
    this.#text = text;
    this.#free = free;
    this.#declared = declaredIn(node);
  }

  #replace(start: number, end: number, text: string): void {
    this.edits.push({ start, end, text, order: this.#order++ });
  }

  #wrap(node: Node, before: string, after: string): void {
    this.#replace(node.start, node.start, before);
    this.#replace(node.end, node.end, after);
  }

  #children(node: AnyNode): void {
    for (const value of Object.values(node).flat()) if (isNode(value)) this.visit(value);
  }

  /** The place of an operator between two nodes, outside of comments. */
  #between(from: number, to: number, operator: string): number {
    const gap = this.#text.slice(from, to).replace(/\/\*[^]*?\*\/|\/\/[^\n]*/g, (c) => " ".repeat(c.length));
    return from + gap.indexOf(operator);
  }

  visit(node: AnyNode): void {
    switch (node.type) {
      case "ClassDeclaration":
      case "ClassExpression": {
        const names = new Set<string>();
        for (const member of node.body.body) {
          if (member.type !== "StaticBlock" && member.key.type === "PrivateIdentifier") names.add(member.key.name);
        }
        const before = this.#inner;
        this.#inner = [...before, names];
        this.#children(node);
        this.#inner = before;
        return;
      }
      case "BinaryExpression":
        return this.#binary(node);
      case "IfStatement":
        this.#condition(node.test);
        this.visit(node.consequent);
        if (node.alternate) this.visit(node.alternate);
        return;
      case "ConditionalExpression":
        this.#condition(node.test);
        this.visit(node.consequent);
        this.visit(node.alternate);
        return;
      case "WhileStatement":
        this.#condition(node.test);
        this.visit(node.body);
        return;
      case "DoWhileStatement":
        this.visit(node.body);
        this.#condition(node.test);
        return;
      case "ForStatement":
        if (node.init) this.visit(node.init);
        this.#condition(node.test);
        if (node.update) this.visit(node.update);
        this.visit(node.body);
        return;
      case "LogicalExpression":
        if (node.operator === "??") break;
        this.#condition(node.left);
        this.visit(node.right);
        return;
      case "UnaryExpression":
        if (node.operator === "!") return this.#condition(node.argument);
        if (node.operator !== "typeof") break;
        if (node.argument.type === "Identifier" && this.#free.has(node.argument.name)) return;
        this.#replace(node.start, node.start + 6, `${HELPER_NAME}.type((`);
        this.visit(node.argument);
        this.#replace(node.end, node.end, "))");
        return;
      case "ForInStatement":
        this.visit(node.left);
        this.#wrapped(node.right, "walked");
        this.visit(node.body);
        return;
      case "SwitchStatement":
        this.#wrapped(node.discriminant, "number");
        for (const c of node.cases) this.visit(c);
        return;
      case "CatchClause":
        return this.#catch(node);
      case "CallExpression":
        return this.#call(node);
      case "NewExpression": {
        const { callee } = node;
        const keyed = callee.type === "Identifier" && this.#free.has(callee.name) ? KEYED.get(callee.name) : undefined;
        if (keyed !== undefined) return this.#arguments(node.arguments, keyed);
        // Without parentheses, the call of a helper in the name of the class would be what `new` makes an instance of.
        this.#replace(callee.start, callee.start, "(");
        this.visit(callee);
        this.#replace(callee.end, callee.end, ")");
        for (const arg of node.arguments) this.visit(arg);
        return;
      }
      case "TemplateLiteral":
        for (const expression of node.expressions) this.#wrapped(expression, "numbers");
        return;
      case "TaggedTemplateExpression":
        this.visit(node.tag);
        for (const expression of node.quasi.expressions) this.visit(expression);
        return;
      case "MethodDefinition":
      case "PropertyDefinition":
      case "Property":
        if (node.computed) this.#wrapped(node.key, "numbers");
        else this.visit(node.key);
        if (!node.value) return;
        if (!/Function/.test(node.value.type)) return this.visit(node.value);
        return this.#function(node.value, CONVERTERS.has(this.#text.slice(node.key.start, node.key.end)));
      case "ArrowFunctionExpression":
      case "FunctionExpression":
      case "FunctionDeclaration":
        return this.#function(node, false);
      case "ReturnStatement":
        if (!node.argument || !this.#converts) break;
        return this.#wrapped(node.argument, "number");
      case "VariableDeclarator":
        if (!node.init || node.id.type !== "ObjectPattern" || !this.#isFree(node.init, ASKERS)) break;
        this.visit(node.id);
        return this.#wrapped(node.init, "statics");
      case "ExpressionStatement":
        return this.#statement(node.expression);
      case "AssignmentExpression":
        this.#target(node.left);
        this.visit(node.right);
        return;
      case "MemberExpression":
        if (this.#isFree(node.object, ASKERS)) this.#wrap(node.object, `${HELPER_NAME}.statics(`, ")");
        if (node.computed && node.property.type !== "Literal") {
          this.visit(node.object);
          this.#wrapped(node.property, "numbers");
          return;
        }
        if (node.property.type === "PrivateIdentifier" && this.#isOuter(node.property.name)) return this.#private(node);
        if (
          !node.computed && node.property.type === "Identifier" && INHERITED.has(node.property.name) &&
          node.object.type !== "Super"
        ) {
          return this.#wrapped(node.object, "numbers");
        }
        if (this.#mayBeAdded(node) && node.property.type === "Identifier") {
          return this.#named(node.object, "viewed", node.property.name);
        }
        if (node.property.type === "Identifier" && UNTOLD.has(node.property.name) && node.object.type !== "Super") {
          return this.#named(node.object, "told", node.property.name);
        }
        break;
      default:
        break;
    }
    this.#children(node);
  }

  #function(node: AnyNode, converts: boolean): void {
    const before = this.#converts;
    this.#converts = converts;
    if (converts && node.type === "ArrowFunctionExpression" && node.body.type !== "BlockStatement") {
      for (const param of node.params) this.visit(param);
      this.#wrapped(node.body, "number");
    } else this.#children(node);
    this.#converts = before;
  }

  /** A value that decides by being true or false: a tensor there is a mistake that only the trace can see. */
  #condition(node: AnyNode | null | undefined): void {
    if (!node) return;
    if (isPlainlyBoolean(node)) this.visit(node);
    else this.#wrapped(node, "truth");
  }

  /** A property that no tensor has: the program may have put it on one. */
  #mayBeAdded(node: AnyNode & { type: "MemberExpression" }): boolean {
    const { object, property, computed } = node;
    if (computed || property.type !== "Identifier" || isTensorMember(property.name)) return false;
    if (ELSEWHERE.has(property.name) || object.type === "ThisExpression" || object.type === "Super") return false;
    return object.type !== "Identifier" || !this.#free.has(object.name) || !isIntrinsicName(object.name);
  }

  #named(node: AnyNode, helper: string, name: string): void {
    this.#replace(node.start, node.start, `${HELPER_NAME}.${helper}((`);
    this.visit(node);
    this.#replace(node.end, node.end, `), "${name}")`);
  }

  /** A statement that only adds to a number outside, `n++;` or `this.total += 2;`, goes to a helper first. */
  #statement(node: AnyNode): void {
    const list = node.type === "CallExpression" ? pushedTo(node) : null;
    if (list !== null) this.#wrap(list, `${HELPER_NAME}.appended(`, ")");
    const counter = this.#counter(node);
    if (counter === null) return this.visit(node);
    this.#replace(node.start, node.start, `${HELPER_NAME}.${counter} || (`);
    this.visit(node);
    this.#replace(node.end, node.end, ")");
  }

  #counter(node: AnyNode): string | null {
    let amount = "1";
    if (node.type === "AssignmentExpression") {
      if (node.operator !== "+=" && node.operator !== "-=") return null;
      // It is evaluated twice where the number is no counter.
      if (node.right.type !== "Identifier" && node.right.type !== "Literal") return null;
      amount = this.#text.slice(node.right.start, node.right.end);
    } else if (node.type !== "UpdateExpression") return null;
    const sign = node.operator.startsWith("+") ? 1 : -1;
    const target = node.type === "AssignmentExpression" ? node.left : node.argument;
    if (target.type === "Identifier") {
      if (!this.#free.has(target.name) || this.#declared.has(target.name)) return null;
      return `counts("${target.name}", ${amount}, ${sign})`;
    }
    if (target.type !== "MemberExpression" || target.computed) return null;
    const { object, property } = target;
    if (object.type !== "ThisExpression" && object.type !== "Identifier") return null;
    const isPrivate = property.type === "PrivateIdentifier";
    if (isPrivate ? !this.#isOuter(property.name) : property.type !== "Identifier") return null;
    const name = this.#text.slice(property.start, property.end);
    return `countsAt(${this.#text.slice(object.start, object.end)}, "${name}", ${amount}, ${sign})`;
  }

  /** What is assigned. */
  #target(node: AnyNode): void {
    if (node.type !== "MemberExpression" || !this.#mayBeAdded(node) || node.property.type !== "Identifier") {
      return this.visit(node);
    }
    this.#named(node.object, "extended", node.property.name);
  }

  #isFree(node: AnyNode, names: ReadonlySet<string>): boolean {
    return node.type === "Identifier" && names.has(node.name) && this.#free.has(node.name);
  }

  #wrapped(node: AnyNode, helper: string): void {
    this.#replace(node.start, node.start, `${HELPER_NAME}.${helper}((`);
    this.visit(node);
    this.#replace(node.end, node.end, "))");
  }

  #isOuter(name: string): boolean {
    return !this.#inner.some((names) => names.has(name));
  }

  #binary(node: AnyNode & { type: "BinaryExpression" }): void {
    const { left, right, operator } = node;
    if (left.type === "PrivateIdentifier") {
      if (!this.#isOuter(left.name)) return this.visit(right);
      const at = this.#between(left.end, right.start, "in");
      this.#replace(left.start, at + 2, `${HELPER_NAME}.hasPrivate("${left.name}", (`);
      this.visit(right);
      this.#replace(node.end, node.end, "))");
      return;
    }
    const isIdentity = operator === "===" || operator === "!==";
    if (!isIdentity || isPlainOperand(left) || isPlainOperand(right)) return this.#children(node);
    this.#replace(node.start, node.start, `${operator === "!==" ? "!" : ""}${HELPER_NAME}.same(`);
    this.visit(left);
    const at = this.#between(left.end, right.start, operator);
    this.#replace(at, at + 3, ",");
    this.visit(right);
    this.#replace(node.end, node.end, ")");
  }

  #catch(node: AnyNode & { type: "CatchClause" }): void {
    const { param, body } = node;
    const caught = `${HELPER_NAME}$error`;
    if (!param) {
      this.#replace(body.start, body.start + 1, `(${caught}) {${HELPER_NAME}.caught(${caught});`);
    } else if (param.type === "Identifier") {
      this.#replace(body.start, body.start + 1, `{${HELPER_NAME}.caught(${param.name});`);
    } else {
      const pattern = this.#text.slice(param.start, param.end);
      this.#replace(param.start, param.end, caught);
      this.#replace(body.start, body.start + 1, `{${HELPER_NAME}.caught(${caught}); let ${pattern} = ${caught};`);
    }
    for (const statement of body.body) this.visit(statement);
  }

  #call(node: AnyNode & { type: "CallExpression" }): void {
    const { callee, arguments: args } = node;
    if (
      callee.type === "MemberExpression" && callee.property.type === "PrivateIdentifier" &&
      this.#isOuter(callee.property.name)
    ) return this.#privateCall(node, callee);
    if (
      callee.type === "MemberExpression" && !callee.computed && callee.property.type === "Identifier" &&
      callee.object.type !== "Super" && PRINTERS.has(callee.property.name)
    ) {
      this.#wrapped(callee.object, "numbers");
      for (const arg of args) this.visit(arg);
      return;
    }
    const method = callee.type === "MemberExpression" && !callee.computed && callee.property.type === "Identifier"
      ? callee.property.name
      : null;
    const converts = callee.type === "Identifier" && CONVERSIONS.has(callee.name) && this.#free.has(callee.name);
    const clones = callee.type === "Identifier" && callee.name === "structuredClone" && this.#free.has(callee.name);
    const keyed = clones ? KEYED.get(callee.name) : method === null ? undefined : KEYED.get(method);
    if (keyed !== undefined) {
      this.visit(callee);
      return this.#arguments(args, keyed);
    }
    const receiver = method === null ? undefined : RECEIVERS.get(method);
    if (receiver !== undefined && callee.type === "MemberExpression" && callee.object.type !== "Super") {
      this.#wrapped(callee.object, receiver);
    } else if (!converts) this.#callee(callee);
    const lookUp = converts || (method !== null && LOOKUPS.has(method));
    for (const arg of args) {
      const isPlain = arg.type === "SpreadElement" || arg.type === "Literal" || arg.type === "ArrowFunctionExpression";
      if (this.#isFree(arg, ASKING)) this.#wrap(arg, `${HELPER_NAME}.sized(`, ")");
      else if (lookUp && !isPlain) this.#wrapped(arg, converts ? "numbers" : "number");
      else this.visit(arg);
    }
  }

  /** What is called: a method is called on its object itself. */
  #callee(node: AnyNode): void {
    if (node.type !== "MemberExpression" || !this.#mayBeAdded(node)) return this.visit(node);
    if (this.#isFree(node.object, ASKERS)) this.#wrap(node.object, `${HELPER_NAME}.statics(`, ")");
    else this.visit(node.object);
  }

  #arguments(args: readonly AnyNode[], [helper, at]: readonly [string, number]): void {
    args.forEach((arg, i) => i === at && arg.type !== "SpreadElement" ? this.#wrapped(arg, helper) : this.visit(arg));
  }

  #private(node: AnyNode & { type: "MemberExpression" }): void {
    this.#replace(node.start, node.start, `${HELPER_NAME}.priv(`);
    this.visit(node.object);
    const dot = this.#between(node.object.end, node.property.start, node.optional ? "?." : ".");
    const name = (node.property as { readonly name: string }).name;
    this.#replace(dot, node.property.end, `)${node.optional ? "?." : "."}${name}`);
  }

  /** A private method is called on its object, not on the view that shows private members. */
  #privateCall(node: AnyNode & { type: "CallExpression" }, callee: AnyNode & { type: "MemberExpression" }): void {
    const { object } = callee;
    if ((object.type !== "ThisExpression" && object.type !== "Identifier") || node.optional || callee.optional) {
      this.refusal = "a private method is called on something that is not a plain variable or this";
      return;
    }
    this.#private(callee);
    const open = this.#between(callee.end, node.arguments[0]?.start ?? node.end, "(");
    const self = object.type === "Identifier" ? object.name : "this";
    this.#replace(open, open + 1, `.call(${self}${node.arguments.length > 0 ? ", " : ""}`);
    for (const arg of node.arguments) this.visit(arg);
  }

  /** Gives a method whose name is computed or private a plain one. */
  plainName(key: Node, isComputed: boolean): void {
    if (!isComputed) return this.#replace(key.start, key.end, "rebuilt");
    const start = this.#text.lastIndexOf("[", key.start);
    this.#replace(start, this.#text.indexOf("]", key.end) + 1, "rebuilt");
  }
}

/** Rewrites what stands between `start` and `end` of a text, `node` being the function there. `key` is the name of a method that needs a plain one. */
export function rewriteText(
  text: string,
  node: AnyNode,
  free: ReadonlySet<string>,
  [start, end]: readonly [number, number],
  key: { readonly node: Node; readonly isComputed: boolean } | null,
): Rewritten {
  const rewriter = new Rewriter(text, free, node);
  if (key !== null) rewriter.plainName(key.node, key.isComputed);
  rewriter.visit(node);
  // At one place, what closes an inner node stands before what closes an outer one; the order of visiting gives just that.
  const edits = rewriter.edits.filter((e) => e.start >= start && e.end <= end)
    .sort((a, b) => a.start - b.start || a.order - b.order);
  const pieces: string[] = [];
  const marks: { readonly made: number; readonly old: number; readonly length: number }[] = [];
  let at = start;
  let made = 0;
  const keep = (to: number): void => {
    pieces.push(text.slice(at, to));
    marks.push({ made, old: at, length: to - at });
    made += to - at;
    at = to;
  };
  for (const edit of edits) {
    if (edit.start > at) keep(edit.start);
    pieces.push(edit.text);
    made += edit.text.length;
    at = Math.max(at, edit.end);
  }
  keep(end);
  const toOriginal = (offset: number): number => {
    const mark = marks.findLast((m) => m.made <= offset) ?? marks[0];
    return mark === undefined ? offset : mark.old - start + Math.min(offset - mark.made, mark.length);
  };
  return { text: pieces.join(""), toOriginal, refusal: rewriter.refusal };
}
