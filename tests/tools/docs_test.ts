/** The documentation speaks of what is there: named files exist, every folder is described, what is public has a docstring. */
import assert from "node:assert/strict";

const root = new URL("../../", import.meta.url);
const architecture = await Deno.readTextFile(new URL("docs/architecture.md", root));

async function pathsBelow(folder: string): Promise<{ files: string[]; folders: string[] }> {
  const found = { files: [] as string[], folders: [] as string[] };
  for await (const entry of Deno.readDir(new URL(folder, root))) {
    const path = `${folder}${entry.name}`;
    if (!entry.isDirectory) found.files.push(path);
    else {
      const { files, folders } = await pathsBelow(`${path}/`);
      found.files.push(...files);
      // Git knows no empty folders.
      if (files.length > 0) found.folders.push(path, ...folders);
    }
  }
  return found;
}

const TOP = ["src/", "tests/", "tools/", "bench/", "native/", "examples/", "docs/"] as const;
const trees = await Promise.all(TOP.map(pathsBelow));
const files = trees.flatMap((t) => t.files);

/** What stands in backquotes and is a file by its ending; `*` stands for any part of a name. */
function namedFiles(text: string): string[] {
  const quoted = [...text.matchAll(/`([^`\n]+)`/g)].map(([, name = ""]) => name);
  return quoted.filter((name) => /^[\w./*-]+\.(ts|cuh|h|cpp|md|sh|json)$/.test(name));
}

function exists(name: string): boolean {
  const parts = name.split("*").map((part) => part.replace(/[.]/g, "\\."));
  const whole = new RegExp(`(^|/)${parts.join("[^/]*")}$`);
  return files.some((path) => TOP.some((top) => name.startsWith(top)) ? path.search(whole) === 0 : whole.test(path));
}

Deno.test("every file that the documentation names exists", async () => {
  for await (const entry of Deno.readDir(new URL("docs/", root))) {
    if (!entry.name.endsWith(".md") || entry.name === "operators.md") continue;
    const text = await Deno.readTextFile(new URL(`docs/${entry.name}`, root));
    const absent = namedFiles(text).filter((name) => !exists(name));
    assert.deepEqual(absent, [], `docs/${entry.name} names files that are not there`);
  }
  assert.ok(namedFiles(architecture).length > 50 && !exists("src/tensor/no_such_file.ts"));
});

Deno.test("every folder of src/ is described in docs/architecture.md", () => {
  const table = architecture.slice(architecture.indexOf("# Folders"));
  const described = new Set([...table.matchAll(/^\| `(src\/[\w/]+)` +\|/gm)].map(([, path]) => path));
  const { folders } = trees[0] as { folders: string[] };
  assert.deepEqual(folders.filter((path) => !described.has(path)), [], "folders without a row");
  assert.deepEqual([...described].filter((path) => path === undefined || !folders.includes(path)), [], "rows too many");
});

interface Declaration {
  readonly kind: string;
  readonly location: { readonly filename: string; readonly line: number };
  readonly jsDoc?: { readonly doc?: string };
}

Deno.test("everything that mod.ts exports has a docstring", async () => {
  const command = new Deno.Command(Deno.execPath(), { args: ["doc", "--json", "mod.ts"], cwd: root, stderr: "null" });
  const { nodes } = JSON.parse(new TextDecoder().decode((await command.output()).stdout)) as {
    readonly nodes: Readonly<
      Record<string, { symbols: readonly { readonly name: string; readonly declarations: readonly Declaration[] }[] }>
    >;
  };
  const symbols = Object.values(nodes).flatMap((module) => module.symbols);
  assert.ok(symbols.length > 100, `${symbols.length} exports`);
  // Of several overloads, and of a class with an interface of its methods, one speaks for all.
  const bare = symbols.filter((s) => s.declarations.every((d) => (d.jsDoc?.doc ?? "") === ""))
    .map((s) => `${s.name} (${s.declarations[0]?.location.filename}:${s.declarations[0]?.location.line})`);
  assert.deepEqual(bare, []);
});
