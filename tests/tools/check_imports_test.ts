import assert from "node:assert/strict";
import { complaintsAbout } from "../../tools/check_imports.ts";

Deno.test("check_imports rejects an upward import, type imports too", () => {
  const text = `import type { Tensor } from "../tensor/mod.ts";\n`;
  assert.match(complaintsAbout("src/ops/value.ts", text).join(), /upward/);
});

Deno.test("check_imports accepts a downward import", () => {
  assert.deepEqual(complaintsAbout("src/tensor/tensor.ts", `import { float32 } from "../core/mod.ts";\n`), []);
});

Deno.test("check_imports rejects FFI outside the runtime and devices inside code generation", () => {
  assert.match(complaintsAbout("src/ops/x.ts", `Deno.dlopen("x", {});`).join(), /FFI/);
  assert.match(
    complaintsAbout("src/inductor/codegen/js/x.ts", `import { x } from "../../../runtime/mod.ts";`).join(),
    /never touches a device/,
  );
});

Deno.test("check_imports rejects a sideways import between siblings", () => {
  assert.match(complaintsAbout("src/nn/x.ts", `import { x } from "../data/mod.ts";`).join(), /sideways/);
});
