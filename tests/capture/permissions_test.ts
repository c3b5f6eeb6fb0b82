/** Compiling with few permissions: a program that may do little is right, and is told what to allow. */
import assert from "node:assert/strict";
import { findToolchain } from "../../src/runtime/cpu/mod.ts";

const CONFIG = new URL("../../deno.json", import.meta.url).pathname;

/** Runs a program with some permissions and gives what it prints, and what it is told. */
function run(body: string, permissions: readonly string[]): { readonly out: string; readonly told: string } {
  const library = JSON.stringify(new URL("../../mod.ts", import.meta.url).href);
  const script = `import { captureStats, compile, nn, ones, optim, randn } from ${library};\n${body}`;
  const file = Deno.makeTempFileSync({ suffix: ".js" });
  try {
    Deno.writeTextFileSync(file, script);
    const { stdout, stderr } = new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", "--no-check", ...permissions, `--config=${CONFIG}`, file],
      env: { NO_COLOR: "1" },
    }).outputSync();
    return { out: new TextDecoder().decode(stdout).trim(), told: new TextDecoder().decode(stderr) };
  } finally {
    Deno.removeSync(file);
  }
}

Deno.test("capture needs no permission to read the environment", () => {
  const { out, told } = run(
    "const f = compile((x) => x.mul(2).sum(), { fullgraph: true });\nconsole.log(f(ones([3])).item(), captureStats(f).entries);",
    ["--allow-read"],
  );
  assert.equal(out, "6 1", told);
});

/** A closure that changes, a training step, a break. */
const PROGRAM = `let k = 2;
const f = compile((x) => x.mul(k));
const x = ones([3]);
const seen = [1, 2, 5].map((v) => { k = v; return f(x).sum().item(); });
const m = new nn.Linear(5, 3);
const opt = new optim.SGD(m.parameters(), { lr: 0.1 });
const step = compile((x) => { const l = m.forward(x).pow(2).mean(); l.backward(); opt.step(); opt.zeroGrad(); return l; });
const data = randn([4, 5]);
const losses = Array.from({ length: 5 }, () => step(data).item());
const g = compile((x) => x.sum().item() > 0 ? x.mul(2) : x.neg());
await Promise.all([f.ready(), step.ready(), g.ready()]);
console.log(seen.join(), losses.at(-1) < losses[0], g(x).sum().item(), g(x.neg()).sum().item());
`;

for (
  const [permissions, message] of [
    [[], /run with --allow-sys, so that V8 may be asked for them, or state them with the option captures/],
    [["--allow-read"], /native kernels need --allow-ffi; running on JavaScript kernels/],
    [["--allow-sys"], /native kernels need --allow-ffi/],
    [["--allow-ffi", "--allow-write"], /Run with --allow-run/],
    [
      ["--allow-ffi", "--allow-run", "--allow-read"],
      findToolchain().ok ? /no place for compiled kernels.*--allow-write/s : /./,
    ],
  ] as const
) {
  Deno.test(`a program with ${permissions.join(" ") || "no permission"} is right and told what to allow`, () => {
    const { out, told } = run(PROGRAM, permissions);
    assert.equal(out, "3,6,15 true 6 3", told);
    assert.match(told, message);
  });
}
