/**
 * What one context has of a library beside the driver: its handle, and a stream on which calls are recorded to be looked at. Made when it is first asked for.
 */
import type { CudaContext } from "./context.ts";
import { handleFrom } from "./driver.ts";
import type { Found } from "./libraries.ts";
import type { CudaStream } from "./stream.ts";
import type { Handle } from "./symbols.ts";

/** A library in use on one device. */
export interface LibrarySession<L> {
  readonly library: L;
  readonly handle: Handle;
  readonly probe: CudaStream;
}

/** How a library is opened for a context. */
export interface LibraryOpening<L> {
  readonly name: string;
  readonly find: () => Found<L>;
  readonly create: (library: L, out: BigUint64Array<ArrayBuffer>) => number;
  readonly check: (library: L, status: number, what: string) => void;
}

/** The sessions of a library. @throws {TypeError} when one is asked for and the library is not there */
export function librarySessions<L>(
  { name, find, create, check }: LibraryOpening<L>,
): (context: CudaContext) => LibrarySession<L> {
  const sessions = new WeakMap<CudaContext, LibrarySession<L>>();
  return (context) => {
    let session = sessions.get(context);
    if (session !== undefined) return session;
    const found = find();
    if (!found.ok) throw new TypeError(`a compiled plan calls ${name}. ${found.problem.problem}`);
    const library = found.value;
    context.activate();
    const handle = handleFrom(
      (out) => create(library, out),
      (status) => check(library, status, String(context.device)),
    );
    sessions.set(context, session = { library, handle, probe: context.createStream() });
    return session;
  };
}
