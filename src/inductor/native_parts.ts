/**
 * What of a compiled program can run without it: its plan on the CPU as data, and the libraries on disk.
 *
 * Enters: the name under which a captured graph's compiled form is kept, once its kernels are built. Leaves: {@linkcode NativeParts}; null where calls need more than libraries: sizes that
 * change, steps on the host, memory of the caller that is written or returned.
 */
import { assemble } from "../aot_autograd/runtime.ts";
import type { GraphResult } from "../capture/mod.ts";
import { cpu } from "../core/mod.ts";
import {
  compileSharedLibrary,
  findToolchain,
  type NativePlan,
  type NativeResult,
  type NativeSlot,
  prepareThreadPool,
} from "../runtime/cpu/mod.ts";
import { fakeTensor, type Storage, Tensor } from "../tensor/mod.ts";
import { keptKey, loadProgram, type ProgramArtifact } from "./cache/graph_cache.ts";
import { PROFILE_EXPORT } from "./codegen/cpp/emit_module.ts";
import { targetOf } from "./compiled_graph.ts";

/** A plan whose weights are still tensors. */
export interface NativeParts {
  readonly plan: Omit<NativePlan, "attributes" | "inputBytes">;
  /** Paths of the libraries. */
  readonly library: string;
  readonly threadPool: string;
  /** The attributes that the plan reads, in its order, and the storage offset of each that its indices contain. */
  readonly paths: readonly string[];
  readonly attributeOffsets: readonly number[];
  /** The same for inputs. */
  readonly inputOffsets: readonly number[];
}

/** A needed thing is missing. */
class Unfit extends Error {}

function resultsOf({ layout, recipes }: ProgramArtifact): NativeResult[] {
  const slots = new Map<Storage, number>();
  const made = layout.results.map((r): GraphResult => {
    if (r.kind === "constant") return r.value;
    const dtype = r.kind === "tensor" ? layout.slots[r.slot]?.dtype : undefined;
    if (r.kind === "size" || r.fixed === null || dtype === undefined) throw new Unfit();
    const { shape, stride, offset: storageOffset } = r.fixed;
    const fake = fakeTensor({ shape, stride, storageOffset, dtype, device: cpu });
    slots.set(fake.storage, r.slot);
    return fake;
  });
  const results = assemble(
    recipes,
    made,
    () => {
      throw new Unfit();
    },
    [],
    null,
  );
  return results.flatMap((t): NativeResult[] => {
    if (!(t instanceof Tensor)) return [];
    const slot = slots.get(t.storage);
    if (slot === undefined) throw new Unfit();
    const { dtype, shape, stride, storageOffset } = t;
    return [{
      slot,
      dtype: dtype.name,
      shape: shape.map(Number),
      stride: stride.map(Number),
      offset: Number(storageOffset),
    }];
  });
}

/** The compiled form kept under a name, as parts; null if it has no such form, or its libraries are not built. */
export function nativeParts(name: string): NativeParts | null {
  const [kind, content = "", index] = name.split(":");
  const found = findToolchain();
  if (kind !== "program" || index !== undefined || !found.ok) return null;
  const key = keptKey("program", content, targetOf(found.toolchain));
  const artifact = key === null ? null : loadProgram(key);
  if (artifact === null || artifact.cpp === null) return null;
  const { layout, cpp, host, writes, paths, attributeOffsets, inputOffsets } = artifact;
  if (layout.sizes > 0 || host.length > 0 || writes.length > 0) return null;
  const { source, parts, flags } = cpp;
  const library = compileSharedLibrary({ name: "kept", source, parts, flags }).poll();
  const threadPool = prepareThreadPool().poll();
  if (library.state !== "ready" || threadPool.state !== "ready") return null;
  try {
    const slots = layout.slots.map((slot): NativeSlot => {
      switch (slot.kind) {
        case "input":
        case "attribute":
          return { kind: slot.kind, index: slot.index };
        case "output":
          return { kind: "output", bytes: slot.bytes([]) };
        case "arena":
          return { kind: "arena", offset: slot.offset([]), bytes: slot.bytes([]) };
        case "donated":
          throw new Unfit();
        default:
          return slot satisfies never;
      }
    });
    return {
      plan: {
        exports: cpp.exports.filter((n) => n !== PROFILE_EXPORT),
        args: cpp.args,
        packed: cpp.keeps,
        slots,
        arenaBytes: layout.arenaBytes([]),
        results: resultsOf(artifact),
      },
      library: library.path,
      threadPool: threadPool.path,
      paths,
      attributeOffsets,
      inputOffsets,
    };
  } catch (error) {
    if (error instanceof Unfit) return null;
    throw error;
  }
}
