/**
 * A plugin for `deno lint`: tensors that decide conditions inside compiled functions.
 *
 * Enters: the syntax of a file. Leaves: a report at each `if`, `?:`, `!`, `&&`, `||`, loop condition, `===` and `!==` that looks at what an operator on tensors gave, in
 * functions that are passed to `compile`. Such a value is an object, true whatever its data are; JavaScript gives no way to notice that while it runs, so
 * capture reports it too, but only where a trace gets to. What is a tensor is told from names: a type of that name, a result of an operator that only tensors have, a
 * name that holds one of these. What cannot be told is not reported.
 *
 * ```jsonc
 * // deno.json
 * { "lint": { "plugins": ["jsr:@tessera/tessera/lint"] } }
 * ```
 *
 * @module
 */

/** Methods that give a tensor and are unlikely on anything else: comparisons, reductions to one element, logic. */
const TENSOR_METHODS: ReadonlySet<string> = new Set(
  (
    "eq ne lt le gt ge sum mean prod amax amin argmax argmin logicalAnd logicalOr logicalNot logicalXor isnan isinf isfinite " +
    "isclose allclose bitwiseAnd bitwiseOr mul div sub neg relu sigmoid softmax logSoftmax matmul mm bmm reshape unsqueeze squeeze " +
    "requiresGrad_ detach clamp where cumsum tanh sqrt rsqrt"
  ).split(" "),
);

/** Methods that take data out: what they give is no tensor. */
const DATA_METHODS: ReadonlySet<string> = new Set(["item", "dataSync", "data", "toArray", "size", "dim"]);

/** Functions whose result is a tensor. */
const MAKERS: ReadonlySet<string> = new Set(["tensor", "randn", "rand", "zeros", "ones", "full", "arange"]);

type SyntaxNode = Deno.lint.Node;

type FunctionNode =
  | Deno.lint.ArrowFunctionExpression
  | Deno.lint.FunctionExpression
  | Deno.lint.FunctionDeclaration;

function isFunction(node: SyntaxNode | null | undefined): node is FunctionNode {
  return node?.type === "ArrowFunctionExpression" || node?.type === "FunctionExpression" ||
    node?.type === "FunctionDeclaration";
}

function isNode(value: unknown): value is SyntaxNode {
  return typeof value === "object" && value !== null && "type" in value && typeof value.type === "string";
}

/** The direct children of a node. The properties of the host's nodes stand on their prototypes. */
function childrenOf(node: SyntaxNode): SyntaxNode[] {
  const out: SyntaxNode[] = [];
  const keys = new Set<string>(Object.keys(node));
  for (let at: object | null = Object.getPrototypeOf(node); at !== null && at !== Object.prototype;) {
    for (const key of Object.getOwnPropertyNames(at)) keys.add(key);
    at = Object.getPrototypeOf(at);
  }
  for (const key of keys) {
    if (key === "parent" || key === "constructor") continue;
    const value: unknown = Reflect.get(node, key);
    if (Array.isArray(value)) { for (const item of value) if (isNode(item)) out.push(item); }
    else if (isNode(value)) out.push(value);
  }
  return out;
}

/** Whether an annotation names `Tensor`, alone or beside others. */
function namesTensor(annotation: SyntaxNode | undefined | null): boolean {
  if (annotation === undefined || annotation === null) return false;
  switch (annotation.type) {
    case "TSTypeAnnotation":
      return namesTensor(annotation.typeAnnotation);
    case "TSTypeReference":
      return annotation.typeName.type === "Identifier" && annotation.typeName.name === "Tensor";
    default:
      return false;
  }
}

/** Looks for conditions on tensors in one compiled function. */
class Walk {
  readonly #context: Deno.lint.RuleContext;
  readonly #tensors: Set<string>;

  constructor(context: Deno.lint.RuleContext, outer: ReadonlySet<string> = new Set()) {
    this.#context = context;
    this.#tensors = new Set(outer);
  }

  run(fn: FunctionNode): void {
    for (const p of fn.params) {
      if (p.type !== "Identifier") continue;
      if (namesTensor(p.typeAnnotation)) this.#tensors.add(p.name);
      else this.#tensors.delete(p.name);
    }
    if (fn.body !== null) this.#visit(fn.body);
  }

  /** Whether an expression is a tensor, as far as its text says. */
  #isTensor(node: SyntaxNode): boolean {
    switch (node.type) {
      case "Identifier":
        return this.#tensors.has(node.name);
      case "TSNonNullExpression":
      case "TSAsExpression":
        return this.#isTensor(node.expression);
      case "CallExpression": {
        const { callee } = node;
        if (callee.type === "Identifier") return MAKERS.has(callee.name);
        if (callee.type !== "MemberExpression" || callee.property.type !== "Identifier") return false;
        const { name } = callee.property;
        return !DATA_METHODS.has(name) && TENSOR_METHODS.has(name) && this.#mayBeTensor(callee.object);
      }
      default:
        return false;
    }
  }

  /** Whether a method of this may be one of a tensor: unless it is plainly something else. */
  #mayBeTensor(node: SyntaxNode): boolean {
    if (node.type === "Literal" || node.type === "ArrayExpression" || node.type === "ObjectExpression") return false;
    return !(node.type === "Identifier" && /^(Math|Number|Object|Array|JSON|console|Date)$/.test(node.name));
  }

  #check(node: SyntaxNode, how: string): void {
    if (!this.#isTensor(node)) return;
    this.#context.report({
      node,
      message: `a tensor decides ${how}: it is an object, so the answer is the same whatever its data are`,
      hint: "use cond(), whileLoop() or where(), or read one number with .item()",
    });
  }

  #visit(node: SyntaxNode): void {
    switch (node.type) {
      case "IfStatement":
        this.#check(node.test, "an if");
        break;
      case "ConditionalExpression":
        this.#check(node.test, "a ?:");
        break;
      case "WhileStatement":
      case "DoWhileStatement":
        this.#check(node.test, "how often a loop runs");
        break;
      case "ForStatement":
        if (node.test !== null) this.#check(node.test, "how often a loop runs");
        break;
      case "UnaryExpression":
        if (node.operator === "!") this.#check(node.argument, "a !");
        break;
      case "LogicalExpression":
        if (node.operator !== "??") this.#check(node.left, `a ${node.operator}`);
        break;
      case "BinaryExpression": {
        if (node.operator !== "===" && node.operator !== "!==") break;
        const sides: readonly SyntaxNode[] = [node.left, node.right];
        // Whether a tensor is there at all, and which one it is, are fair questions.
        if (
          sides.some((s) =>
            (s.type === "Literal" && s.value === null) || (s.type === "Identifier" && s.name === "undefined")
          )
        ) break;
        if (sides.every((s) => s.type === "Identifier")) break;
        for (const side of sides) this.#check(side, `a ${node.operator}`);
        break;
      }
      case "VariableDeclarator":
        if (node.id.type === "Identifier") {
          const holds = namesTensor(node.id.typeAnnotation) || (node.init !== null && this.#isTensor(node.init));
          if (holds) this.#tensors.add(node.id.name);
          else this.#tensors.delete(node.id.name);
        }
        break;
      default:
    }
    for (const child of childrenOf(node)) {
      if (isFunction(child)) new Walk(this.#context, this.#tensors).run(child);
      else this.#visit(child);
    }
  }
}

/** The functions of a file that it passes to `compile`. */
function compiledFunctions(program: SyntaxNode): Set<FunctionNode> {
  const named = new Map<string, FunctionNode>();
  const out = new Set<FunctionNode>();
  const wanted: string[] = [];
  const visit = (node: SyntaxNode): void => {
    if (node.type === "FunctionDeclaration" && node.id !== null) named.set(node.id.name, node);
    if (node.type === "VariableDeclarator" && node.id.type === "Identifier" && isFunction(node.init)) {
      named.set(node.id.name, node.init);
    }
    if (node.type === "CallExpression") {
      const { callee } = node;
      const name = callee.type === "Identifier"
        ? callee.name
        : callee.type === "MemberExpression" && callee.property.type === "Identifier"
        ? callee.property.name
        : "";
      const [first] = node.arguments;
      if (name === "compile" && first !== undefined) {
        if (isFunction(first)) out.add(first);
        else if (first.type === "Identifier") wanted.push(first.name);
      }
    }
    childrenOf(node).forEach(visit);
  };
  visit(program);
  for (const name of wanted) {
    const found = named.get(name);
    if (found !== undefined) out.add(found);
  }
  return out;
}

/** The plugin. */
const plugin: Deno.lint.Plugin = {
  name: "tessera",
  rules: {
    "no-tensor-condition": {
      create(context): Deno.lint.LintVisitor {
        return {
          Program(node): void {
            for (const fn of compiledFunctions(node)) new Walk(context).run(fn);
          },
        };
      },
    },
  },
};

export default plugin;
