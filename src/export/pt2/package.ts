/**
 * Finds the parts of a `.pt2` file: the program's JSON, its weights and its constants.
 *
 * Any single root folder is accepted, as are both names of the weights configuration, and one of several models is chosen by name.
 * Sample inputs, custom objects and compiled libraries in the archive are never touched.
 */
import { FormatError, quoteName, type ZipArchive } from "../zip/archive.ts";
import type { Payload } from "./attributes.ts";
import { JsonCursor, parseJson } from "./json.ts";
import { payloadData } from "./schema.ts";

/** The parts of one model. */
export interface ModelParts {
  readonly name: string;
  /** The program. */
  readonly program: JsonCursor;
  readonly payloads: ReadonlyMap<string, Payload>;
}

/** JSON of a program beyond this is refused: it would not fit into memory several times over. */
const MAX_JSON_BYTES = 2 ** 29;

function readJson(archive: ZipArchive, name: string): JsonCursor {
  const label = `${archive.label}: ${name}`;
  if (archive.size(name) > MAX_JSON_BYTES) throw new FormatError(`${label} has more than ${MAX_JSON_BYTES} bytes`);
  return new JsonCursor(parseJson(archive.readText(name), label), label);
}

/** Programs by model name. */
function findModels(archive: ZipArchive): Map<string, { readonly root: string; readonly entry: string }> {
  const models = new Map<string, { readonly root: string; readonly entry: string }>();
  for (const entry of archive.names) {
    const match = /^((?:[^/]+\/)?)models\/([^/]+)\.json$/.exec(entry);
    if (match === null) continue;
    const [, root = "", name = ""] = match;
    if (models.has(name)) throw new FormatError(`${archive.label}: the model ${quoteName(name)} occurs twice`);
    models.set(name, { root, entry });
  }
  return models;
}

/** Chooses a model and reads what describes it; tensors' bytes stay untouched. @throws {FormatError} */
export function readParts(archive: ZipArchive, wanted: string | null): ModelParts {
  const models = findModels(archive);
  if (models.size === 0) {
    if (archive.names.some((n) => /(^|\/)serialized_exported_program\.json$/.test(n))) {
      throw new FormatError(
        `${archive.label}: its weights are pickled, as PyTorch wrote them before 2.8; load it there and save it again with torch.export.save`,
      );
    }
    throw new FormatError(
      `${archive.label}: no exported program in it (models/NAME.json is missing); save one with torch.export.save`,
    );
  }
  const names = [...models.keys()];
  const name = wanted ?? (models.size === 1 ? names[0] : models.has("model") ? "model" : undefined);
  const found = name === undefined ? undefined : models.get(name);
  if (name === undefined || found === undefined) {
    const asked = name === undefined ? "name the model to read" : `there is no model ${quoteName(name)}`;
    throw new FormatError(`${archive.label}: ${asked}; the file has ${names.map(quoteName).join(", ")}`);
  }
  checkByteOrder(archive, found.root);
  const payloads = new Map<string, Payload>();
  for (const [folder, kinds] of FOLDERS) {
    const base = `${found.root}data/${folder}/`;
    const config = kinds.map((kind) => `${base}${name}_${kind}.json`).find((entry) => archive.has(entry));
    if (config === undefined) continue;
    const cursor = readJson(archive, config);
    for (const data of payloadData(cursor)) {
      if (payloads.has(data.path)) cursor.fail(`the path ${quoteName(data.path)} is described twice`);
      const file = base + data.fileName;
      if (!data.pickled && !archive.has(file)) {
        cursor.fail(`config[${quoteName(data.path)}].path_name: there is no entry ${quoteName(file)}`);
      }
      const byteLength = data.pickled ? 0 : archive.size(file);
      payloads.set(data.path, {
        ...data,
        file,
        byteLength,
        read: () => archive.read(file),
        place: () => archive.placeOf(file),
      });
    }
  }
  return { name, program: readJson(archive, found.entry), payloads };
}

/** Folders under `data/` and the names that their configuration may have. */
const FOLDERS: readonly (readonly [string, readonly string[]])[] = [
  ["weights", ["weights_config", "model_param_config"]],
  ["constants", ["constants_config", "model_constants_config"]],
];

function checkByteOrder(archive: ZipArchive, root: string): void {
  const entry = `${root}byteorder`;
  if (!archive.has(entry)) return;
  const order = archive.readText(entry).trim();
  if (order !== "little") {
    throw new FormatError(
      `${archive.label}: its weights are ${quoteName(order)}-endian; only little-endian files are read`,
    );
  }
}
