// deno-lint-ignore-file no-console
/**
 * Generates `src/ops/functional.ts` from the operator table: the typed methods of tensors and the typed functions of `F`.
 *
 * Each overload of an operator gives one or two TypeScript signatures: with the arguments that have defaults as trailing positional
 * parameters, and with them named in a last `options` object. Run with `--check` to fail if the file is not up to date.
 */
import { allOps, type Operator } from "../src/ops/mod.ts";
import { camelCase, type SchemaArg } from "../src/graph/mod.ts";

const FILE = new URL("../src/ops/functional.ts", import.meta.url);

function baseType(arg: SchemaArg, tensor: string): string {
  switch (arg.type) {
    case "Tensor":
      return arg.list ? tensor : `${tensor} | Scalar`;
    case "int":
      return "Size";
    case "float":
      return "number";
    case "bool":
      return "boolean";
    case "Scalar":
      return "Scalar";
    case "ScalarType":
      return "DType";
    case "Device":
      return "DeviceLike";
    case "Generator":
      return "null";
    case "str":
    case "Layout":
    case "MemoryFormat":
      return "string";
    default:
      return arg.type satisfies never;
  }
}

function argType(arg: SchemaArg, tensor: string): string {
  let type = baseType(arg, tensor);
  if (arg.list) {
    const element = arg.optionalElements ? `(${type} | null)` : type.includes("|") ? `(${type})` : type;
    type = arg.listLength !== null ? `${type} | readonly ${element}[]` : `readonly ${element}[]`;
  }
  return arg.optional ? `${type} | null` : type;
}

function resultType(op: Operator, tensor: string): string {
  const one = (i: number): string => {
    const r = op.schema.returns[i];
    const base = r?.type === "Tensor"
      ? tensor
      : r?.type === "int"
      ? "Size"
      : r?.type === "Scalar" || r?.type === "float"
      ? "number"
      : r?.type === "bool"
      ? "boolean"
      : "void";
    return r?.list === true ? `${base}[]` : base;
  };
  if (op.schema.returns.length === 0) return "void";
  if (op.schema.returns.length === 1) return one(0);
  // A list beside other results: its tensors follow them.
  if (op.schema.returns.some((r) => r.list)) return `${tensor}[]`;
  return `[${op.schema.returns.map((_, i) => one(i)).join(", ")}]`;
}

function signatures(op: Operator, tensor: string, method: boolean): string[] {
  const args = method ? op.schema.args.slice(1) : op.schema.args;
  const required = args.filter((a) => !a.kwargOnly && !a.hasDefault);
  const optional = args.filter((a) => !a.kwargOnly && a.hasDefault);
  const named = args.filter((a) => a.kwargOnly);
  const positional = (a: SchemaArg): string => `${a.key}: ${argType(a, tensor)}`;
  const options = (list: readonly SchemaArg[]): string[] => {
    if (list.length === 0) return [];
    const must = list.some((a) => !a.hasDefault);
    return [
      `options${must ? "" : "?"}: { ${
        list.map((a) => `${a.key}${a.hasDefault ? "?" : ""}: ${argType(a, tensor)}`).join("; ")
      } }`,
    ];
  };
  const result = resultType(op, tensor);
  const out = [`(${[...required.map(positional), ...options([...optional, ...named])].join(", ")}): ${result}`];
  if (optional.length > 0) {
    const opt = optional.map((a) => `${a.key}?: ${argType(a, tensor)}`);
    const list = options(named).map((o) => o.replace(/^options: /, "options?: "));
    out.push(`(${[...required.map(positional), ...opt, ...list].join(", ")}): ${result}`);
  }
  return out;
}

function interfaceBody(tensor: string, methods: boolean): string {
  const lines = new Map<string, string[]>();
  for (const op of allOps()) {
    if (!op.isPublic) continue;
    const first = op.schema.args[0];
    const isMethod = first?.name === "self" && first.type === "Tensor" && !first.list;
    if (methods && !isMethod) continue;
    const name = camelCase(op.schema.name);
    const list = lines.get(name) ?? [];
    for (const s of signatures(op, tensor, methods)) {
      const line = `${name}${s};`;
      if (!list.some((l) => l.endsWith(line))) {
        list.push(list.length === 0 ? `  /** ${op.doc.replaceAll("*/", "")} */\n  ${line}` : `  ${line}`);
      }
    }
    // PyTorch's binding takes a device alone, though no schema of ATen does.
    if (name === "to" && !list.some((l) => l.includes("(device: DeviceLike)"))) {
      list.push(
        methods ? `  to(device: DeviceLike): ${tensor};` : `  to(self: ${tensor}, device: DeviceLike): ${tensor};`,
      );
    }
    lines.set(name, list);
  }
  return [...lines.entries()].sort(([a], [b]) => a < b ? -1 : 1).map(([, l]) => l.join("\n")).join("\n");
}

const text = `/**
 * The methods of tensors and the functions of \`F\`, generated from the operator table by \`deno task generate\`.
 * Do not edit: change the operator's definition and generate again.
 */
import type { DeviceLike, DType } from "../core/mod.ts";
import type { Scalar } from "../graph/mod.ts";
import type { Size } from "../symbolic/mod.ts";
import type { TensorValue } from "./value.ts";

/** Operators whose first argument is \`self\`, as methods. \`T\` is the tensor type. */
export interface TensorMethods<T> {
${interfaceBody("T", true)}
}

/** All operators as functions, in snake_case turned to camelCase. */
export interface Functional<T = TensorValue> {
${interfaceBody("T", false)}
}
`;

const formatter = new Deno.Command(Deno.execPath(), {
  args: ["fmt", "--line-width", "120", "--ext", "ts", "-"],
  stdin: "piped",
  stdout: "piped",
}).spawn();
const writer = formatter.stdin.getWriter();
await writer.write(new TextEncoder().encode(text));
await writer.close();
const formatted = new TextDecoder().decode((await formatter.output()).stdout);
const before = await Deno.readTextFile(FILE).catch(() => "");
if (Deno.args.includes("--check")) {
  if (before !== formatted) {
    console.error("src/ops/functional.ts is not up to date: run deno task generate");
    Deno.exit(1);
  }
} else if (before !== formatted) {
  await Deno.writeTextFile(FILE, formatted);
}
