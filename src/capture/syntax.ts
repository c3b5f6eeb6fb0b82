/**
 * What the text of a function says about it: its kind, its free names, which of them it assigns, and whether its text can stand alone.
 *
 * Enters: a function's own text (types are already stripped at run time). Leaves: a {@linkcode FunctionSyntax}. Scoping follows ECMAScript: `var` and
 * functions belong to the function, `let`, `const` and classes to the block, parameters to a scope of their own. A direct `eval` or
 * `with` makes names unknowable, so such a function counts as opaque.
 */
import { type AnyNode, type Function as FunctionNode, type Node, parse, type Pattern, type Program } from "acorn";
import { HELPER_NAME, rewriteText } from "./rewrite.ts";
import { KEYED, looksAtKind } from "./size_names.ts";

/** The text of a function as a trace runs it. */
export interface RewrittenFunction {
  readonly expression: string;
  /** The offset in `FunctionSyntax.expression` of an offset in `expression`. */
  readonly toOriginal: (offset: number) => number;
  /** Why the text cannot be rewritten, or null. */
  readonly refusal: string | null;
}

/** What the text of one function says. */
export interface FunctionSyntax {
  readonly kind: "arrow" | "function" | "method" | "class" | "native" | "unreadable";
  /** An expression that evaluates to the function when its free names are in scope. */
  readonly expression: string;
  /** Names that it reads or writes and does not declare, in order of first occurrence. */
  readonly free: readonly string[];
  /** Free names that it (or a function inside it) assigns. */
  readonly assigned: ReadonlySet<string>;
  /** Uses `#private` names, so it only works on real instances of its class. */
  readonly usesPrivate: boolean;
  /** The private names among these that its own classes do not declare, without `#`. */
  readonly privates: readonly string[];
  /** Uses `super` of the method that it is. */
  readonly usesSuper: boolean;
  /** Uses `new.target`, `import.meta` or direct eval, so it cannot be rebuilt outside its place. */
  readonly isTied: boolean;
  /** It, or a function inside it, is asynchronous. */
  readonly hasAsync: boolean;
  /** Compares by identity or kind, where a size or a tensor of a trace would show. */
  readonly comparesIdentity: boolean;
  /** The text in which a trace sees what Proxies cannot show. */
  readonly rewritten: () => RewrittenFunction;
  readonly isAsync: boolean;
  readonly isGenerator: boolean;
  /** An arrow that mentions `this` or `arguments` of the code around it. */
  readonly usesOuterThis: boolean;
}

const NOTHING = {
  free: [],
  assigned: new Set<string>(),
  usesPrivate: false,
  privates: [],
  usesSuper: false,
  isTied: true,
  hasAsync: false,
  comparesIdentity: false,
  rewritten: (): RewrittenFunction => ({ expression: "", toOriginal: (o) => o, refusal: "its text cannot be read" }),
  isAsync: false,
  isGenerator: false,
  usesOuterThis: false,
} as const;

/** Tells whether a value looks like a syntax node. */
function isSyntaxNode(value: unknown): value is AnyNode {
  return typeof value === "object" && value !== null && "type" in value && typeof value.type === "string";
}

/** Calls `visit` for the direct children of a node, in the order of the text. */
export function forEachChild(node: Node, visit: (child: AnyNode) => void): void {
  for (const value of Object.values(node)) {
    if (Array.isArray(value)) { for (const item of value) if (isSyntaxNode(item)) visit(item); }
    else if (isSyntaxNode(value)) visit(value);
  }
}

/** The names that a pattern declares. */
export function boundNames(pattern: Pattern): string[] {
  switch (pattern.type) {
    case "Identifier":
      return [pattern.name];
    case "ObjectPattern":
      return pattern.properties.flatMap((p) => boundNames(p.type === "RestElement" ? p.argument : p.value));
    case "ArrayPattern":
      return pattern.elements.flatMap((e) => e === null ? [] : boundNames(e));
    case "RestElement":
      return boundNames(pattern.argument);
    case "AssignmentPattern":
      return boundNames(pattern.left);
    case "MemberExpression":
      return [];
    default:
      return pattern satisfies never;
  }
}

/** One lexical scope: the names declared in it. */
class Scope {
  readonly names = new Set<string>();
  constructor(readonly parent: Scope | null, readonly isFunction: boolean) {}

  declares(name: string): boolean {
    let scope: Scope | null = this as Scope;
    for (; scope !== null; scope = scope.parent) if (scope.names.has(name)) return true;
    return false;
  }
}

function isFunctionNode(node: AnyNode): node is FunctionNode & AnyNode {
  return node.type === "FunctionDeclaration" || node.type === "FunctionExpression" ||
    node.type === "ArrowFunctionExpression";
}

/** Hoists `var` and function declarations into a function's scope, block declarations into a block's. */
function declare(nodes: readonly AnyNode[], scope: Scope, top: boolean): void {
  for (const statement of nodes) {
    if (statement.type === "VariableDeclaration" && statement.kind !== "var") {
      for (const d of statement.declarations) for (const name of boundNames(d.id)) scope.names.add(name);
    } else if (statement.type === "FunctionDeclaration" || statement.type === "ClassDeclaration") {
      if (statement.id !== null) scope.names.add(statement.id.name);
    }
    if (top) hoistVars(statement, scope);
  }
}

function hoistVars(node: AnyNode, scope: Scope): void {
  if (node.type === "VariableDeclaration" && node.kind === "var") {
    for (const d of node.declarations) for (const name of boundNames(d.id)) scope.names.add(name);
  }
  if (isFunctionNode(node) || node.type === "ClassDeclaration" || node.type === "ClassExpression") return;
  forEachChild(node, (child) => hoistVars(child, scope));
}

/** Finds the free names below a node. */
class FreeNames {
  readonly free = new Set<string>();
  readonly assigned = new Set<string>();
  readonly privates = new Set<string>();
  usesPrivate = false;
  usesSuper = false;
  isTied = false;
  hasAsync = false;
  comparesIdentity = false;
  usesOuterThis = false;
  /** Private names that the classes around the current node declare. */
  #declared: readonly ReadonlySet<string>[] = [];
  /** How many functions with an own `this` are around the current node. */
  #thisDepth = 0;
  #superDepth = 0;

  #use(name: string, scope: Scope): void {
    if (name === "arguments" && this.#thisDepth > 0) return;
    if (name === "arguments") this.usesOuterThis = true;
    else if (!scope.declares(name)) this.free.add(name);
  }

  #assign(pattern: AnyNode, scope: Scope): void {
    if (pattern.type === "MemberExpression") return;
    for (const name of boundNames(pattern as Pattern)) if (!scope.declares(name)) this.assigned.add(name);
  }

  visit(node: AnyNode, scope: Scope): void {
    switch (node.type) {
      case "Identifier":
        return this.#use(node.name, scope);
      case "PrivateIdentifier":
        this.usesPrivate = true;
        if (!this.#declared.some((names) => names.has(node.name))) this.privates.add(node.name);
        return;
      case "ThisExpression":
        if (this.#thisDepth === 0) this.usesOuterThis = true;
        return;
      case "Super":
        if (this.#superDepth === 0) this.usesSuper = true;
        return;
      case "AwaitExpression":
        this.hasAsync = true;
        break;
      case "BinaryExpression":
        if (node.operator === "===" || node.operator === "!==") this.comparesIdentity = true;
        break;
      case "UnaryExpression":
        if (node.operator === "typeof") this.comparesIdentity = true;
        break;
      case "MetaProperty":
        if (node.meta.name === "new" && this.#thisDepth === 0) this.isTied = true;
        if (node.meta.name === "import") this.isTied = true;
        return;
      case "CallExpression":
      case "NewExpression":
        if (node.callee.type === "Identifier" && node.callee.name === "eval") this.isTied = true;
        if (node.callee.type === "Identifier" && KEYED.has(node.callee.name)) this.comparesIdentity = true;
        break;
      case "WithStatement":
        this.isTied = true;
        break;
      case "AssignmentExpression":
        this.#assign(node.left, scope);
        break;
      case "UpdateExpression":
        this.#assign(node.argument, scope);
        break;
      case "ForInStatement":
      case "ForOfStatement": {
        const inner = new Scope(scope, false);
        if (node.left.type === "VariableDeclaration") declare([node.left], inner, false);
        else this.#assign(node.left, scope);
        return this.#children(node, inner);
      }
      case "ForStatement": {
        const inner = new Scope(scope, false);
        if (node.init?.type === "VariableDeclaration") declare([node.init], inner, false);
        return this.#children(node, inner);
      }
      case "BlockStatement":
      case "StaticBlock": {
        const inner = new Scope(scope, node.type === "StaticBlock");
        declare(node.body, inner, node.type === "StaticBlock");
        return this.#children(node, inner);
      }
      case "SwitchStatement": {
        this.comparesIdentity = true;
        this.visit(node.discriminant, scope);
        const inner = new Scope(scope, false);
        for (const c of node.cases) declare(c.consequent, inner, false);
        for (const c of node.cases) this.visit(c, inner);
        return;
      }
      case "CatchClause": {
        const inner = new Scope(scope, false);
        if ((node.param ?? null) !== null && node.param) {
          for (const name of boundNames(node.param)) inner.names.add(name);
        }
        return this.#children(node, inner);
      }
      case "FunctionDeclaration":
      case "FunctionExpression":
      case "ArrowFunctionExpression":
        return this.function(node, scope);
      case "ClassDeclaration":
      case "ClassExpression":
        return this.#class(node, scope);
      case "MemberExpression":
        this.visit(node.object, scope);
        if (!node.computed && node.property.type === "Identifier" && looksAtKind(node.property.name)) {
          this.comparesIdentity = true;
        }
        if (node.computed || node.property.type === "PrivateIdentifier") this.visit(node.property, scope);
        return;
      case "Property":
        if (node.computed) this.visit(node.key, scope);
        if (node.kind !== "init" || node.method) return this.#method(node.value, scope);
        return this.visit(node.value, scope);
      case "LabeledStatement":
        return this.visit(node.body, scope);
      case "BreakStatement":
      case "ContinueStatement":
        return;
      default:
        break;
    }
    this.#children(node, scope);
  }

  #children(node: AnyNode, scope: Scope): void {
    forEachChild(node, (child) => this.visit(child, scope));
  }

  #method(node: AnyNode, scope: Scope): void {
    this.#superDepth++;
    this.visit(node, scope);
    this.#superDepth--;
  }

  #class(node: AnyNode & { type: "ClassDeclaration" | "ClassExpression" }, scope: Scope): void {
    const inner = new Scope(scope, false);
    if (node.id) inner.names.add(node.id.name);
    if (node.superClass) this.visit(node.superClass, scope);
    const outer = this.#declared;
    const names = node.body.body.flatMap((m) =>
      m.type !== "StaticBlock" && m.key.type === "PrivateIdentifier" ? [m.key.name] : []
    );
    this.#declared = [...outer, new Set(names)];
    for (const member of node.body.body) {
      if (member.type === "StaticBlock") {
        this.#thisDepth++;
        this.#method(member, inner);
        this.#thisDepth--;
        continue;
      }
      if (member.computed || member.key.type === "PrivateIdentifier") this.visit(member.key, inner);
      if (member.key.type === "Identifier" && looksAtKind(member.key.name)) this.comparesIdentity = true;
      if (!member.value) continue;
      if (member.type === "MethodDefinition") this.#method(member.value, inner);
      else {
        // Field initialisers have their own `this`.
        this.#thisDepth++;
        this.#method(member.value, inner);
        this.#thisDepth--;
      }
    }
    this.#declared = outer;
  }

  function(node: FunctionNode, scope: Scope): void {
    const own = new Scope(scope, true);
    if (node.async) this.hasAsync = true;
    if (node.type === "FunctionExpression" && node.id) own.names.add(node.id.name);
    for (const param of node.params) for (const name of boundNames(param)) own.names.add(name);
    const hasThis = node.type !== "ArrowFunctionExpression";
    if (hasThis) this.#thisDepth++;
    for (const param of node.params) this.visit(param, own);
    if (node.body.type === "BlockStatement") {
      const body = new Scope(own, true);
      declare(node.body.body, body, true);
      for (const statement of node.body.body) this.visit(statement, body);
    } else this.visit(node.body, own);
    if (hasThis) this.#thisDepth--;
  }
}

/** The syntax tree of a program, or null if the text is no program. */
export function parseText(text: string): Program | null {
  try {
    return parse(text, {
      ecmaVersion: "latest",
      sourceType: "module",
      allowSuperOutsideMethod: true,
      checkPrivateFields: false,
    });
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

function expressionOf(program: Program): AnyNode | null {
  const statement = program.body[0];
  return statement?.type === "ExpressionStatement" ? statement.expression : null;
}

const known = new WeakMap<object, FunctionSyntax>();

/** Reads a function's text. The answer is remembered for the function. */
// deno-lint-ignore ban-types
export function functionSyntax(fn: Function): FunctionSyntax {
  let found = known.get(fn);
  if (found === undefined) {
    found = readSyntax(Function.prototype.toString.call(fn));
    known.set(fn, found);
  }
  return found;
}

/** Reads the text of a function. */
export function readSyntax(text: string): FunctionSyntax {
  if (/\{\s*\[native code\]\s*\}\s*$/.test(text)) return { kind: "native", expression: "", ...NOTHING };
  if (/^class\b/.test(text)) return readClass(text);
  const plain = parseText(`(${text})`);
  const node = plain === null ? null : expressionOf(plain);
  if (node !== null && isFunctionNode(node)) {
    return analyse(node, node.type === "ArrowFunctionExpression" ? "arrow" : "function", `(${text})`);
  }
  return readMethod(text);
}

function readClass(text: string): FunctionSyntax {
  const program = parseText(`(${text})`);
  const node = program === null ? null : expressionOf(program);
  if (node === null) return { kind: "unreadable", expression: "", ...NOTHING };
  return { ...analyse(node, "class", `(${text})`), isTied: true };
}

/** Methods, getters and setters: their text only parses inside a class or an object. */
function readMethod(text: string): FunctionSyntax {
  const unreadable: FunctionSyntax = { kind: "unreadable", expression: "", ...NOTHING };
  const body = text.replace(/^static\s+(?!\()/, "");
  const source = `(class { ${body} })`;
  const program = parseText(source);
  const cls = program === null ? null : expressionOf(program);
  const member = cls?.type === "ClassExpression" ? cls.body.body[0] : undefined;
  if (member?.type !== "MethodDefinition") return unreadable;
  const found = new FreeNames();
  found.visit(member.value, new Scope(null, true));
  const slot = member.kind === "get" ? "get" : member.kind === "set" ? "set" : "value";
  const [before, after] = ["Object.values(Object.getOwnPropertyDescriptors({ ", ` }))[0].${slot}`];
  const home = `__proto__: ${HELPER_NAME}.home, `;
  const needsName = member.computed || member.key.type === "PrivateIdentifier";
  return {
    kind: "method",
    expression: `${before}${body}${after}`,
    ...summary(found),
    isAsync: member.value.async,
    isGenerator: member.value.generator,
    usesOuterThis: false,
    rewritten: once(() => {
      const free = new Set(found.free);
      const key = needsName ? { node: member.key, isComputed: member.computed } : null;
      const made = rewriteText(source, member.value, free, [member.start, member.end], key);
      const shift = before.length + home.length;
      return {
        expression: `${before}${home}${made.text}${after}`,
        toOriginal: (offset) => before.length + Math.max(0, made.toOriginal(offset - shift)),
        refusal: made.refusal,
      };
    }),
  };
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | null = null;
  return () => (made ??= { value: make() }).value;
}

function summary(
  found: FreeNames,
): Omit<FunctionSyntax, "kind" | "expression" | "isAsync" | "isGenerator" | "usesOuterThis" | "rewritten"> {
  return {
    free: [...found.free],
    assigned: found.assigned,
    usesPrivate: found.usesPrivate,
    privates: [...found.privates],
    usesSuper: found.usesSuper,
    isTied: found.isTied,
    hasAsync: found.hasAsync,
    comparesIdentity: found.comparesIdentity,
  };
}

function analyse(node: AnyNode, kind: "arrow" | "function" | "class", expression: string): FunctionSyntax {
  const found = new FreeNames();
  found.visit(node, new Scope(null, true));
  return {
    kind,
    expression,
    ...summary(found),
    isAsync: isFunctionNode(node) && node.async,
    isGenerator: isFunctionNode(node) && node.generator,
    usesOuterThis: found.usesOuterThis,
    rewritten: once(() => {
      const made = rewriteText(expression, node, new Set(found.free), [0, expression.length], null);
      return { expression: made.text, toOriginal: made.toOriginal, refusal: made.refusal };
    }),
  };
}
