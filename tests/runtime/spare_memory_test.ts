/** releaseSpareMemory() takes machine code that is not needed out of memory, and the process goes on. */
import assert from "node:assert/strict";
import { releaseSpareMemory } from "../../src/runtime/cpu/mod.ts";

/** Resident kilobytes of the executable's machine code. */
function residentCode(): number {
  let inCode = false;
  let sum = 0;
  for (const line of Deno.readTextFileSync("/proc/self/smaps").split("\n")) {
    if (/^[0-9a-f]+-[0-9a-f]+ /.test(line)) inCode = line.includes(" r-xp ") && line.endsWith(Deno.execPath());
    if (inCode && line.startsWith("Rss:")) sum += Number(/\d+/.exec(line)?.[0]);
  }
  return sum;
}

Deno.test({
  name: "releaseSpareMemory() drops pages of the executable, which come back when they are needed",
  ignore: Deno.build.os !== "linux",
  fn: () => {
    const before = residentCode();
    releaseSpareMemory();
    const after = residentCode();
    assert.ok(before > 5000, `${before} kB of machine code before`);
    assert.ok(after < before * 0.8, `${after} kB of ${before} are left`);
    assert.equal(JSON.stringify([3, 1, 2].toSorted()), "[1,2,3]");
  },
});
