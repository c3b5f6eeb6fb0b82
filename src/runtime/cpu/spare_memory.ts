/**
 * Gives back memory that the process holds and does not need now: free memory of the C allocator, and the engine's machine code and constants.
 *
 * Reading and compiling a model touches code and allocates for a while; its calls need little of either. The pages of the executable are a mapped file that nobody wrote to, so the
 * system reads again those that are touched again; without this it drops them only when memory is short. Linux only: elsewhere nothing happens.
 */
import { hasFfi, LIBC_NAMES } from "./memory.ts";

const MADV_DONTNEED = 4;

/** The ranges of the executable's file that nobody has written to, code and constants, as start and end addresses. */
function cleanRanges(): [bigint, bigint][] {
  const path = Deno.execPath();
  const mappings = Deno.readTextFileSync("/proc/self/smaps").split(/\n(?=[0-9a-f]+-[0-9a-f]+ )/);
  return mappings.flatMap((text): [bigint, bigint][] => {
    const [, start, end, file] = /^([0-9a-f]+)-([0-9a-f]+) r-[x-]p \S+ \S+ \S+ +(.*)$/m.exec(text) ?? [];
    // What the loader has relocated is in no file.
    const isClean = /^Anonymous: +0 kB$/m.test(text);
    return file === path && isClean ? [[BigInt(`0x${start}`), BigInt(`0x${end}`)]] : [];
  });
}

let release: (() => void) | undefined;

/** Where the executable lies is found out once: reading that takes megabytes itself. */
function findRelease(): () => void {
  for (const name of LIBC_NAMES) {
    try {
      const { symbols } = Deno.dlopen(name, {
        malloc_trim: { parameters: ["usize"], result: "i32" },
        madvise: { parameters: ["usize", "usize", "i32"], result: "i32" },
      });
      const ranges = cleanRanges();
      return () => {
        symbols.malloc_trim(0n);
        for (const [start, end] of ranges) symbols.madvise(start, end - start, MADV_DONTNEED);
      };
    } catch {
      // Not this C library, or one that has no malloc_trim; or the maps may not be read.
    }
  }
  return () => {};
}

/** Gives spare memory of the process back to the system. Cheap enough to be called between the steps of starting. */
export function releaseSpareMemory(): void {
  if (Deno.build.os !== "linux" || !hasFfi()) return;
  (release ??= findRelease())();
}
