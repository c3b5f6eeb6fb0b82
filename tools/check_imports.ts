// deno-lint-ignore-file no-console
/**
 * Fails on any import that points up the list of layers, type imports included.
 *
 * {@linkcode LAYERS} is the architecture as data, lowest layer first. A file may import from its own layer and from layers below it.
 * Layers on one line are siblings: they must not import each other unless an entry of `SIBLINGS` says so.
 * Two more rules: `codegen/` makes text and never touches a device, so it imports nothing of `runtime/`; FFI lives only in `runtime/`.
 */

/** Folders of src/, lowest first. */
export const LAYERS: readonly (readonly string[])[] = [
  ["core"],
  ["symbolic"],
  ["graph"],
  ["loops"],
  ["blocks"],
  ["runtime"],
  ["ops"],
  ["tensor"],
  ["autograd"],
  ["nn", "optim", "data"],
  ["capture"],
  ["aot_autograd"],
  ["inductor"],
  ["kernels"],
  ["export"],
  ["cli"],
  ["lint"],
];

/** Files whose text may name FFI. */
const FFI_FOLDERS = ["src/runtime/"];

const root = new URL("../", import.meta.url);

function layerOf(path: string): number {
  const folder = /^src\/([^/]+)\//.exec(path)?.[1];
  return folder === undefined ? LAYERS.length : LAYERS.findIndex((row) => row.includes(folder));
}

/** The repository paths that a module imports, re-exports or loads. */
export function importsOf(path: string, text: string): string[] {
  const out: string[] = [];
  const pattern =
    /(?:^|\n)\s*(?:import|export)\s[^"';]*?from\s*"([^"]+)"|(?:^|\n)\s*import\s*"([^"]+)"|import\(\s*"([^"]+)"\s*\)/g;
  for (const match of text.matchAll(pattern)) {
    const spec = match[1] ?? match[2] ?? match[3] ?? "";
    if (spec.startsWith(".")) out.push(new URL(spec, new URL(path, "file:///")).pathname.slice(1));
  }
  return out;
}

/** The complaints about one file; empty if it keeps the rules. */
export function complaintsAbout(path: string, text: string): string[] {
  const out: string[] = [];
  const from = layerOf(path);
  if (from < 0) return [`${path}: its folder is in no layer; add it to LAYERS`];
  for (const target of importsOf(path, text)) {
    if (!target.startsWith("src/") && target !== "mod.ts") continue;
    const to = layerOf(target);
    if (to < 0) out.push(`${path} imports ${target}, which is in no layer`);
    else if (target === "mod.ts") out.push(`${path} imports mod.ts: import from the layer itself`);
    else if (to > from) {
      out.push(`${path} imports ${target}: upward, from ${LAYERS[from]?.join("/")} to ${LAYERS[to]?.join("/")}`);
    } else if (
      to === from && path.split("/")[1] !== target.split("/")[1] &&
      !(path.startsWith("src/optim/") && target.startsWith("src/nn/"))
    ) {
      out.push(`${path} imports ${target}: sideways`);
    }
    if (path.includes("/codegen/") && target.startsWith("src/runtime/")) {
      out.push(`${path} imports ${target}: code generation never touches a device`);
    }
  }
  if (
    /\bDeno\.(dlopen|UnsafePointer|UnsafeFnPointer|UnsafeCallback)/.test(
      text.replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, ""),
    ) && !FFI_FOLDERS.some((f) => path.startsWith(f))
  ) {
    out.push(`${path} uses FFI outside ${FFI_FOLDERS.join(", ")}`);
  }
  return out;
}

async function* sources(folder: string): AsyncGenerator<string> {
  for await (const entry of Deno.readDir(new URL(folder, root))) {
    const path = `${folder}${entry.name}`;
    if (entry.isDirectory) yield* sources(`${path}/`);
    else if (entry.name.endsWith(".ts")) yield path;
  }
}

if (import.meta.main) {
  const complaints: string[] = [];
  let files = 0;
  for await (const path of sources("src/")) {
    files++;
    complaints.push(...complaintsAbout(path, await Deno.readTextFile(new URL(path, root))));
  }
  for (const complaint of complaints) console.error(complaint);
  console.log(`imports: ${files} files, ${complaints.length} complaints`);
  if (complaints.length > 0) Deno.exit(1);
}
