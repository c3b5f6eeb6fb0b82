/**
 * The models that are tried: `manifest.json`, one a line.
 *
 * Names are KIND:NAME, where KIND is the package that builds the model: timm, tv (torchvision), hf (transformers, cut to two layers), or zoo (written in
 * TypeScript, `zoo/`). Each belongs to one of the suites of the PyTorch 2 paper (Ansel et al. 2024); `standsFor` names the models of the paper's lists that it
 * is there for, and is empty for architectures beyond them.
 */

/** The paper's suites. */
export const SUITES = ["timm", "huggingface", "torchbench"] as const;

/** One of them. */
export type Suite = typeof SUITES[number];

/** One model. */
export interface ManifestEntry {
  readonly name: string;
  readonly suite: Suite;
  /** Elements of all parameters, as far as it was counted; of the two-layer model for those of transformers. */
  readonly parameters?: number;
  readonly batch: number;
  /** Shapes of the inputs. */
  readonly inputs: Readonly<Record<string, readonly number[]>>;
  /** `"SUITE NAME"` of the paper's lists. */
  readonly standsFor: readonly string[];
}

const TITLES: Readonly<Record<Suite, string>> = {
  timm: "TIMM ",
  huggingface: "Hugging Face ",
  torchbench: "TorchBench ",
};

/** The suite of a model of the paper, as `standsFor` names it; null if it names none. */
export function paperSuite(name: string): Suite | null {
  return SUITES.find((suite) => name.startsWith(TITLES[suite])) ?? null;
}

const KINDS = ["timm", "tv", "hf", "zoo"];

function checkEntry(entry: ManifestEntry): void {
  const [kind = "", rest = ""] = entry.name.split(":");
  if (!KINDS.includes(kind) || rest === "") throw new TypeError(`manifest: ${entry.name} is no KIND:NAME`);
  if (!SUITES.includes(entry.suite)) throw new TypeError(`manifest: ${entry.name} has the suite ${entry.suite}`);
  const strange = entry.standsFor.find((name) => paperSuite(name) === null);
  if (strange !== undefined) throw new TypeError(`manifest: ${entry.name} stands for ${strange}, of no suite`);
  if (!(entry.batch >= 1) || Object.keys(entry.inputs).length === 0) {
    throw new TypeError(`manifest: ${entry.name} lacks a batch or inputs`);
  }
}

/** All models. @throws {TypeError} naming the entry that is not as it should be. */
export function readManifest(): readonly ManifestEntry[] {
  const entries = JSON.parse(Deno.readTextFileSync(new URL("./manifest.json", import.meta.url))) as ManifestEntry[];
  entries.forEach(checkEntry);
  return entries;
}

/** A choice of models. */
export interface Choice {
  readonly suite?: string;
  /** Leaves out what has more parameters. */
  readonly maxParameters?: number;
}

/**
 * The names of the models that fit.
 *
 * @throws {RangeError} for a suite that there is not.
 */
export function chooseModels(entries: readonly ManifestEntry[], { suite, maxParameters = Infinity }: Choice): string[] {
  const wanted = suite === undefined || suite === "all" ? null : SUITES.find((known) => known === suite);
  if (wanted === undefined) throw new RangeError(`--suite ${suite}: use one of ${SUITES.join(", ")}, all`);
  return entries
    .filter((entry) => (wanted === null || entry.suite === wanted) && (entry.parameters ?? 0) <= maxParameters)
    .map((entry) => entry.name);
}
