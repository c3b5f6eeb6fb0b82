/**
 * Rows of results: JSON lines, one model a line as `compare.py` prints it, with the date. A later row of a model replaces an earlier one.
 */

/** What `tessera run` told, and how far its results are from float64. */
export interface OursRow {
  readonly error?: string;
  readonly agrees?: boolean;
  readonly rel_error?: number | null;
  readonly kind?: string;
  readonly compile_ms?: number;
  readonly first_call_ms?: number;
  readonly median_ms?: number;
  readonly kernels?: number;
  readonly peak_bytes?: number;
}

/** One model. */
export interface ModelRow {
  readonly model: string;
  readonly device: string;
  readonly dtype: string;
  readonly date?: string;
  /** What the results were compared with: PyTorch in float64, its eager run in the same dtype, or Tessera's own eager run. Default float64. */
  readonly against?: "float64" | "eager" | "own eager";
  /** What of the configuration was made smaller, because PyTorch's reference did not fit the machine. */
  readonly reduced?: string;
  /** The model could not be built or exported. */
  readonly error?: string;
  readonly eager_error?: number;
  readonly ours?: OursRow;
  readonly torch?: Readonly<Record<string, { readonly median_ms?: number; readonly compile_ms?: number }>>;
}

function linesOf(path: string): string[] {
  try {
    return Deno.readTextFileSync(path).split("\n").filter((line) => line !== "");
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** The rows of files, the last one of each model; none where there is no file. */
export function readRows(...paths: readonly string[]): ModelRow[] {
  const rows = new Map<string, ModelRow>();
  for (const line of paths.flatMap(linesOf)) {
    const row = JSON.parse(line) as ModelRow;
    rows.set(`${row.model} ${row.device} ${row.dtype}`, row);
  }
  return [...rows.values()];
}

/** Appends a row. */
export function appendRow(path: string, row: object): void {
  Deno.writeTextFileSync(path, `${JSON.stringify(row)}\n`, { append: true });
}

/** Whether the model ran and agrees. */
export function isAnswered(row: ModelRow): boolean {
  return row.ours?.agrees === true;
}
