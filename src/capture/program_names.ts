/**
 * What the text of a whole program says about names: which never change, and which come from other modules.
 *
 * Enters: the text of a file, without types. Leaves: the names among those asked for that are declared and never assigned, and the imports. A name that is declared
 * several times counts as one: if any of its declarations is assigned, none is taken as constant.
 */
import type { AnyNode } from "acorn";
import { boundNames, forEachChild, parseText } from "./syntax.ts";

/**
 * Tells which of `names` are assigned anywhere in a program outside their declarations, and which are declared once, in a way that can be
 * followed. Used on the text around a function: a name that is declared once in the whole file and never assigned is constant.
 */
export function constantNames(source: string, names: ReadonlySet<string>): ReadonlySet<string> | null {
  const program = parseText(source);
  if (program === null) return null;
  const declarations = new Map<string, number>();
  const assigned = new Set<string>();
  const add = (name: string): void => {
    if (names.has(name)) declarations.set(name, (declarations.get(name) ?? 0) + 1);
  };
  const walk = (node: AnyNode): void => {
    switch (node.type) {
      case "VariableDeclaration":
        for (const d of node.declarations) {
          for (const name of boundNames(d.id)) {
            add(name);
            // Declared without a value: some assignment, perhaps in a loop, must give it one.
            if (!d.init && node.kind !== "const") assigned.add(name);
          }
        }
        break;
      case "FunctionDeclaration":
      case "FunctionExpression":
      case "ArrowFunctionExpression":
        if (node.type === "FunctionDeclaration" && node.id !== null) add(node.id.name);
        for (const p of node.params) for (const name of boundNames(p)) add(name);
        break;
      case "ClassDeclaration":
        if (node.id !== null) add(node.id.name);
        break;
      case "ImportDeclaration":
        for (const s of node.specifiers) add(s.local.name);
        break;
      case "AssignmentExpression":
        if (node.left.type !== "MemberExpression") { for (const name of boundNames(node.left)) assigned.add(name); }
        break;
      case "CallExpression":
        // Text that is evaluated in place may assign what it likes.
        if (node.callee.type === "Identifier" && node.callee.name === "eval") {
          for (const n of names) {
            assigned.add(n);
          }
        }
        break;
      case "UpdateExpression":
        if (node.argument.type === "Identifier") assigned.add(node.argument.name);
        break;
      case "ForInStatement":
      case "ForOfStatement":
        if (node.left.type !== "VariableDeclaration" && node.left.type !== "MemberExpression") {
          for (const name of boundNames(node.left)) assigned.add(name);
        } else if (node.left.type === "VariableDeclaration") {
          // Each round makes a new binding; a closure keeps its own.
          for (const d of node.left.declarations) {
            for (const name of boundNames(d.id)) if (node.left.kind === "var") assigned.add(name);
          }
        }
        break;
      default:
        break;
    }
    forEachChild(node, walk);
  };
  walk(program);
  return new Set([...names].filter((name) => (declarations.get(name) ?? 0) >= 1 && !assigned.has(name)));
}

/** What a program imports: the name it has here, the name it has there (`"*"` for a namespace), and from where. */
export function importsOf(
  source: string,
): { readonly local: string; readonly imported: string; readonly from: string }[] {
  const out: { local: string; imported: string; from: string }[] = [];
  for (const statement of parseText(source)?.body ?? []) {
    if (statement.type !== "ImportDeclaration") continue;
    const from = String(statement.source.value);
    for (const s of statement.specifiers) {
      const imported = s.type === "ImportNamespaceSpecifier"
        ? "*"
        : s.type === "ImportDefaultSpecifier"
        ? "default"
        : s.imported.type === "Identifier"
        ? s.imported.name
        : String(s.imported.value);
      out.push({ local: s.local.name, imported, from });
    }
  }
  return out;
}
