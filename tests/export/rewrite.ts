/** Rewrites fixtures into hostile files: the archive opened, its JSON changed, the archive closed again with right CRCs. */
import { type ExportedProgram, readProgram, ZipArchive } from "../../src/export/mod.ts";
import { fixture } from "./support.ts";
import { type TestEntry, zip } from "./zip_builder.ts";

/** JSON as tests change it. */
// deno-lint-ignore no-explicit-any
export type Json = any;

/** What a change may do to a file. */
export interface Parts {
  /** The program. */
  program: Json;
  /** The weights' configuration. */
  weights: Json;
  constants: Json;
  /** All other entries by their name without the root folder. */
  readonly entries: Map<string, Uint8Array<ArrayBuffer>>;
}

const PROGRAM = "models/model.json";
const WEIGHTS = "data/weights/model_weights_config.json";
const CONSTANTS = "data/constants/model_constants_config.json";

/** The parts of a fixture. */
export async function partsOf(name: string): Promise<Parts> {
  const archive = await ZipArchive.open(fixture(`${name}.pt2`));
  const entries = new Map(archive.names.map((n) => [n.replace(/^[^/]+\//, ""), archive.read(n)]));
  const json = (entry: string): Json => {
    const bytes = entries.get(entry);
    entries.delete(entry);
    return JSON.parse(new TextDecoder().decode(bytes));
  };
  return { program: json(PROGRAM), weights: json(WEIGHTS), constants: json(CONSTANTS), entries };
}

/** The archive that the parts make; `root` and names may be changed, too. */
function archiveOf(parts: Parts, root: string, extra: readonly TestEntry[]): Uint8Array<ArrayBuffer> {
  const entries: TestEntry[] = [...parts.entries].map(([name, data]) => ({ name: `${root}/${name}`, data }));
  for (const [name, json] of [[PROGRAM, parts.program], [WEIGHTS, parts.weights], [CONSTANTS, parts.constants]]) {
    if (json !== undefined) {
      entries.push({ name: `${root}/${name}`, data: typeof json === "string" ? json : JSON.stringify(json) });
    }
  }
  return zip([...entries, ...extra]);
}

/** Reads the program that the parts make. */
export async function readParts(
  parts: Parts,
  root = "demo",
  extra: readonly TestEntry[] = [],
): Promise<ExportedProgram> {
  return readProgram(await ZipArchive.from(archiveOf(parts, root, extra), "demo.pt2"));
}

/** Gives operators of `unsupported.pt2` names that no table has, whatever the table learns. */
export function makeUnknown(parts: Parts): void {
  const names = { linalg_eigh: "not_yet_invented", special_bessel_j0: "nor_this" };
  for (const node of parts.program.graph_module.graph.nodes) {
    for (const [from, to] of Object.entries(names)) {
      if (node.target === `torch.ops.aten.${from}.default`) node.target = `torch.ops.aten.${to}.default`;
    }
  }
}

/** Writes a fixture, changed, into a folder; gives its path. */
export async function writeChanged(folder: string, name: string, change: (parts: Parts) => void): Promise<string> {
  const parts = await partsOf(name);
  change(parts);
  const file = `${folder}/${name}.pt2`;
  await Deno.writeFile(file, archiveOf(parts, "demo", []));
  return file;
}

/** Reads a fixture after a change. */
export async function changed(name: string, change: (parts: Parts) => void): Promise<ExportedProgram> {
  const parts = await partsOf(name);
  change(parts);
  return await readParts(parts);
}
