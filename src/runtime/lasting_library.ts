/**
 * Native libraries that stay in memory until the process ends.
 *
 * Deno closes a library when the isolate that opened it ends: a worker's when the worker does, the last one's while the process exits. Libraries that have threads of
 * their own, or functions that run at exit, must not be unmapped then: their threads would go on in nothing (nvrtc's did, in one of ten processes that had compiled on
 * several threads). So each is opened once more behind Deno's back, and never closed.
 */

/** Numbers of `dlopen`'s flags in glibc and musl. */
const RTLD_NOW = 2;
const RTLD_NODELETE = 0x1000;

type DlOpen = (path: Uint8Array<ArrayBuffer>, flags: number) => Deno.PointerValue;

let dlopen: DlOpen | null | undefined;

function findDlOpen(): DlOpen | null {
  if (Deno.build.os !== "linux") return null;
  for (const name of ["libc.so.6", "libdl.so.2", "libc.so"]) {
    try {
      return Deno.dlopen(name, { dlopen: { parameters: ["buffer", "i32"], result: "pointer" } }).symbols.dlopen;
    } catch {
      // Older systems have it elsewhere.
    }
  }
  return null;
}

/** Opens a library for good. @throws what `Deno.dlopen` throws */
export function openLasting<S extends Deno.ForeignLibraryInterface>(
  path: string,
  symbols: S,
): Deno.DynamicLibrary<S>["symbols"] {
  const library = Deno.dlopen(path, symbols);
  dlopen ??= findDlOpen();
  dlopen?.(new TextEncoder().encode(`${path}\0`), RTLD_NOW | RTLD_NODELETE);
  return library.symbols;
}
