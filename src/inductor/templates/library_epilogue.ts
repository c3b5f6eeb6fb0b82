/**
 * The epilogue of a contraction as the steps that a library offers.
 *
 * Enters: the tile program behind the sum. Leaves: what is added and where the sum is clamped at zero, in order, and the one store; null where it does anything else. Which
 * loads may be added, and which orders of steps there are, each library says for itself.
 */
import type { ContractionKernel, TileStatement, TileValue } from "../tile/tile_ir.ts";

/** A tensor that is added, or a clamp at zero. */
export type LibraryStep<Load> = { readonly kind: "add"; readonly load: Load } | { readonly kind: "relu" };

/** What becomes of the sum before it is stored. */
export interface LibraryEnding<Load> {
  readonly steps: readonly LibraryStep<Load>[];
  readonly store: TileStatement & { readonly kind: "store" };
}

/** Reads the epilogue; `read` describes a load that can be added, null where it cannot. */
export function libraryEnding<Load>(
  { epilogue }: ContractionKernel,
  read: (load: TileStatement & { readonly kind: "load" }) => Load | null,
): LibraryEnding<Load> | null {
  const sums = new Map<TileValue, readonly LibraryStep<Load>[]>([[epilogue.accumulator, []]]);
  const loads = new Map<TileValue, Load>();
  const zeros = new Set<TileValue>();
  let added = 0;
  let store: LibraryEnding<Load>["store"] | null = null;
  for (const s of epilogue.body) {
    switch (s.kind) {
      case "constant":
        if (Number(s.value) === 0) zeros.add(s.out);
        break;
      case "load": {
        const load = read(s);
        if (load === null) return null;
        loads.set(s.out, load);
        break;
      }
      case "cast": {
        const [steps, load] = [sums.get(s.arg), loads.get(s.arg)];
        if (!s.out.dtype.isFloat) return null;
        if (steps !== undefined) sums.set(s.out, steps);
        else if (load !== undefined) loads.set(s.out, load);
        else return null;
        break;
      }
      case "pointwise": {
        const steps = s.args.map((x) => sums.get(x)).find((x) => x !== undefined);
        const load = s.args.map((x) => loads.get(x)).find((x) => x !== undefined);
        if (steps === undefined || s.args.length !== 2) return null;
        if (s.op === "add" && load !== undefined) {
          sums.set(s.out, [...steps, { kind: "add", load }]);
          added++;
        } else if (s.op === "maximum" && s.args.some((x) => zeros.has(x))) {
          sums.set(s.out, [...steps, { kind: "relu" }]);
        } else return null;
        break;
      }
      case "store":
        if (!sums.has(s.value) || store !== null) return null;
        store = s;
        break;
      default:
        return null;
    }
  }
  const steps = store === null ? undefined : sums.get(store.value);
  // Every sum on the way is what the next one takes.
  if (store === null || steps?.filter(({ kind }) => kind === "add").length !== added) return null;
  return { steps, store };
}
