/** The documentation speaks of what is there: named files, tasks and links exist, every folder is described, what is public has a docstring. */
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
const folders = [...TOP.map((top) => top.slice(0, -1)), ...trees.flatMap((t) => t.folders)];
const { tasks } = JSON.parse(await Deno.readTextFile(new URL("deno.json", root))) as { tasks: Record<string, string> };

/** The pages that people write: what is generated names only what it was generated from. */
const pages = new Map(
  await Promise.all(
    ["README.md", ...files.filter((f) => /^docs\/.*\.md$/.test(f) && f !== "docs/operators.md")]
      .map(async (page) => [page, await Deno.readTextFile(new URL(page, root))] as const),
  ),
);

/** What stands in backquotes or in a block of code: names and commands. */
function quoted(text: string): string[] {
  const blocks = [...text.matchAll(/^ *```\w*\n([^]*?)^ *```/gm)].flatMap(([, block = ""]) => block.split("\n"));
  const spans = [...text.replaceAll(/^ *```[^]*?^ *```/gm, "").matchAll(/`([^`]+)`/g)].map(([, span = ""]) => span);
  return [...blocks, ...spans];
}

/** Words of `quoted` that are files by their ending, or begin with a folder of the project; `*` stands for any part of a name. */
function namedFiles(text: string): string[] {
  const words = quoted(text).flatMap((span) => span.split(/[\s"';()]+/)).map((word) => word.replace(/^\.\//, ""));
  return words.filter((word) =>
    /^[a-z\d][\w./*-]*\.(ts|cuh|h|cpp|md|sh)$/.test(word) && !word.includes("//") ||
    TOP.some((top) => word.startsWith(top)) && /^[\w./*-]+$/.test(word)
  );
}

function exists(name: string): boolean {
  const bare = name.replace(/\/$/, "");
  if (name === "deno.json" || name === "mod.ts" || folders.includes(bare)) return true;
  const parts = name.split("*").map((part) => part.replace(/[.]/g, "\\."));
  const whole = new RegExp(`(^|/)${parts.join("[^/]*")}$`);
  return files.some((path) => TOP.some((top) => name.startsWith(top)) ? path.search(whole) === 0 : whole.test(path));
}

Deno.test("every file that the documentation names exists", () => {
  for (const [page, text] of pages) {
    assert.deepEqual(namedFiles(text).filter((name) => !exists(name)), [], `${page} names files that are not there`);
  }
  assert.ok(namedFiles(architecture).length > 50 && !exists("src/tensor/no_such_file.ts"));
  assert.deepEqual(namedFiles("`deno run -A bench/none.ts --flag` and\n```sh\ntools/none.sh all\n```\n"), [
    "tools/none.sh",
    "bench/none.ts",
  ]);
});

Deno.test("every task that the documentation names exists", () => {
  for (const [page, text] of pages) {
    const named = quoted(text).flatMap((span) => [...span.matchAll(/\bdeno(?:@[\d.]+)? task ([\w:-]+)/g)]);
    const absent = named.map(([, task = ""]) => task).filter((task) => !(task in tasks));
    assert.deepEqual(absent, [], `${page} names tasks that deno.json does not have`);
  }
  assert.ok("test" in tasks);
});

/** What GitHub makes of a heading. */
function anchorOf(heading: string): string {
  return heading.toLowerCase().replaceAll(/[^\p{L}\p{N}\s_-]/gu, "").trim().replaceAll(" ", "-");
}

Deno.test("every link of the documentation leads to a page and a heading that exist", () => {
  let links = 0;
  for (const [page, text] of pages) {
    for (const [, target = ""] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target)) continue;
      const [path = "", anchor] = target.split("#");
      const file = path === "" ? page : new URL(path, new URL(page, "file:///")).pathname.slice(1);
      assert.ok(file === "README.md" || files.includes(file) || folders.includes(file), `${page} links to ${target}`);
      const headings = [...(pages.get(file) ?? "").matchAll(/^#+ (.+)$/gm)].map(([, h = ""]) => anchorOf(h));
      assert.ok(
        anchor === undefined || headings.includes(anchor),
        `${page} links to a heading that is not there: ${target}`,
      );
      links++;
    }
  }
  assert.ok(links > 20);
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
