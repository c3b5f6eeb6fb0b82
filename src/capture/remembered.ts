/**
 * The memory of tensors as it is now, to be put back if what comes next fails.
 *
 * Content, versions and the tape's notes come back, so that the program cannot tell that anything was tried.
 */
import { cpu } from "../core/mod.ts";
import { type AutogradMeta, cpuBuffer, dropAutograd, type Storage, type Tensor } from "../tensor/mod.ts";

/** Remembers the tensors; the result puts them back. */
export function remember(tensors: readonly Tensor[]): () => void {
  const storages = new Map<
    Storage,
    { readonly bytes: Uint8Array; readonly version: number; readonly history: number }
  >();
  const metas = new Map<Tensor, Partial<AutogradMeta> | null>();
  for (const t of tensors) {
    const { storage, autograd } = t;
    metas.set(t, autograd === null ? null : notesOf(autograd));
    const { buffer } = storage;
    if (storages.has(storage) || buffer === null || t.device !== cpu) continue;
    storages.set(storage, {
      bytes: cpuBuffer(buffer).uint8.slice(),
      version: storage.version,
      history: storage.history,
    });
  }
  return () => {
    for (const [storage, { bytes, version, history }] of storages) {
      if (storage.version === version) continue;
      if (storage.buffer !== null) cpuBuffer(storage.buffer).uint8.set(bytes);
      storage.version = version;
      storage.history = history;
    }
    for (const [t, meta] of metas) {
      if (meta === null) dropAutograd(t);
      else if (t.autograd !== null) Object.assign(t.autograd, meta);
    }
  };
}

/** What the tape has noted; who relies on it is no part of that. */
function notesOf(meta: AutogradMeta): Partial<AutogradMeta> {
  const { isRelied: _, ...notes } = meta;
  return { ...notes, requiresGrad: meta.requiresGrad };
}
