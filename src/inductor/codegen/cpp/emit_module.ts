/**
 * A host plan as one C++ translation unit.
 *
 * Each distinct function is written once, whatever buffers it runs on. `tessera_run(void** args)` runs the whole plan: slot 0 of `args` is the runtime, then come
 * the pointers of the slots that the caller owns, the arena, the sizes, and where an error is reported. Members of a group that are independent go
 * to the workers in one dispatch. No name of a graph reaches the text. Nothing is included but `abi.h` and `vec.h`.
 */
import { InternalError, log } from "../../../core/mod.ts";
import type { BufferRef } from "../../../loops/mod.ts";
import { cDialect, constantValue, type Expr, printExpr, type Sym } from "../../../symbolic/mod.ts";
import type { HostGroup } from "../../groups.ts";
import type { HostPlan } from "../../host_plan.ts";
import { lowerGroup } from "../../tile/lower_group.ts";
import { cppTarget } from "../../tile/target.ts";
import { tileToText } from "../../tile/print.ts";
import type { Kernel } from "../../tile/tile_ir.ts";
import { verifyWhenAsked } from "../../tile/verify.ts";
import { emitCppContraction } from "../../templates/cpp_contraction.ts";
import CONTRACTION_PRELUDE from "../../templates/contraction.h" with { type: "text" };
import { slotNumbers } from "../slots.ts";
import { type CppFunctionText, emitCppTile, grainText } from "./emit_tile.ts";
import PRELUDE from "./prelude.h" with { type: "text" };

/** What the emitter must know of the machine. */
export interface CppOptions {
  /** Floats in a vector register: 16 with AVX-512, 8 with AVX2, else 4. */
  readonly lanes: number;
  /** Workers that will share the kernels; decides only how reductions are cut. */
  readonly workers: number;
}

/** A translation unit. */
export interface CppModule {
  readonly source: string;
  /** Flags that the source needs beside the usual ones. */
  readonly flags: readonly string[];
  /** Functions that run the plan from one host group to the next. */
  readonly exports: readonly string[];
  /** Host groups, to be run between the exported functions. */
  readonly hostGroups: readonly HostGroup[];
  /** How many distinct functions the module has. */
  readonly functions: number;
  readonly launches: number;
}

/** Positions in `args`. */
export interface ArgsLayout {
  /** For each slot, its position in `args`; null for slots of the arena and aliases. */
  readonly slots: readonly (number | null)[];
  readonly arena: number;
  readonly sizes: number;
  readonly error: number;
  readonly length: number;
}

/** Where things stand in `args`. */
export function argsLayout(plan: HostPlan): ArgsLayout {
  let next = 1;
  const slots = plan.slots.map((slot) => slot.kind === "arena" || slot.kind === "donated" ? null : next++);
  return { slots, arena: next, sizes: next + 1, error: next + 2, length: next + 3 };
}

/**
 * Flags: integers wrap, memory may be seen as another type. The text is vectorised and unrolled already, so the first level of optimisation is
 * enough: measured on a training step, kernels are 5 % slower than with the third and compile in half the time.
 */
export const CPP_FLAGS: readonly string[] = ["-O1", "-fwrapv", "-fno-strict-aliasing"];

/** The text of one kernel's function. */
export function emitCppKernel(kernel: Kernel, lanes: number): CppFunctionText {
  return kernel.kind === "tile" ? emitCppTile(kernel, lanes) : emitCppContraction(kernel, lanes);
}

interface Launch {
  readonly name: string;
  readonly kernel: Kernel;
  readonly text: CppFunctionText;
}

class Module {
  readonly #plan: HostPlan;
  readonly #layout: ArgsLayout;
  readonly #slotOf: Map<BufferRef, number>;
  readonly #sizeAt: Map<Sym, number>;
  readonly #functions = new Map<string, string>();
  readonly texts: string[] = [];

  constructor(plan: HostPlan) {
    this.#plan = plan;
    this.#layout = argsLayout(plan);
    this.#slotOf = slotNumbers(plan);
    this.#sizeAt = new Map(plan.sizes.map((sym, i) => [sym, i]));
  }

  get functions(): number {
    return this.#functions.size;
  }

  /** A size expression of the plan as text. */
  size(e: Expr): string {
    return printExpr(e, cDialect({ symbol: (sym) => `s[${this.#sizeIndex(sym)}]`, suffix: "l" }));
  }

  #sizeIndex(sym: Sym): number {
    const at = this.#sizeAt.get(sym);
    if (at === undefined) throw new InternalError(`the plan does not pass ${sym.name}`);
    return at;
  }

  add(kernel: Kernel, lanes: number): Launch {
    verifyWhenAsked(kernel);
    log("tile", () => `${kernel.name} (C++)\n${tileToText(kernel)}`);
    const text = emitCppKernel(kernel, lanes);
    const whole = `${text.support ?? ""}
static void @(void* context, long begin, long end, int worker) {
  void** const A = (void**)context;
${text.text}
}`;
    let name = this.#functions.get(whole);
    if (name === undefined) {
      name = `k${this.#functions.size}`;
      this.#functions.set(whole, name);
      this.texts.push(whole.replaceAll("@", name));
    }
    return { name, kernel, text };
  }

  #pointer(buffer: BufferRef): string {
    const at = this.#slotOf.get(buffer);
    const slot = at === undefined ? undefined : this.#plan.slots[at];
    if (at === undefined || slot === undefined) throw new InternalError(`${buffer.label} has no slot in the plan`);
    if (slot.kind === "donated") return this.#pointer(slot.of);
    if (slot.kind === "arena") {
      const offset = constantValue(slot.offset);
      return `arena + ${offset ?? this.size(slot.offset)}`;
    }
    return `args[${this.#layout.slots[at]}]`;
  }

  /** The arguments of a launch as an array literal; the runtime stands last. */
  args(kernel: Kernel): string {
    const parts = [...kernel.reads, ...kernel.writes].map((b) => this.#pointer(b));
    for (const sym of kernel.sizes) parts.push(`(void*)s[${this.#sizeIndex(sym)}]`);
    parts.push("(void*)runtime");
    return `{ ${parts.join(", ")} }`;
  }

  /** Lines that run launches which do not depend on each other. */
  launch(launches: readonly Launch[]): string[] {
    const [first] = launches;
    if (first === undefined) return [];
    const count = (l: Launch): string => this.size(l.text.count);
    const grain = (l: Launch): string => grainText(l.text.picoseconds, (e) => this.size(e));
    if (launches.length === 1) {
      return [
        "  {",
        `    void* a[] = ${this.args(first.kernel)};`,
        constantValue(first.text.count) === 1
          ? `    ${first.name}(a, 0, 1, 0);`
          : `    runtime->parallel_for(${first.name}, a, ${count(first)}, ${grain(first)});`,
        "  }",
      ];
    }
    const lines = ["  {"];
    launches.forEach((l, i) => lines.push(`    void* a${i}[] = ${this.args(l.kernel)};`));
    lines.push("    const tsr_job jobs[] = {");
    launches.forEach((l, i) =>
      lines.push(`      {${l.name}, a${i}, ${count(l)}, ${grain(l)}, ${this.size(l.text.picoseconds)}},`)
    );
    lines.push("    };", `    tsr_together(runtime, jobs, ${launches.length});`, "  }");
    return lines;
  }

  /** The first lines of an exported function. */
  prologue(): string[] {
    const { arena, sizes, error } = this.#layout;
    return [
      "  const tessera_runtime* const runtime = (const tessera_runtime*)args[0];",
      `  char* const arena = (char*)args[${arena}];`,
      `  const long* const s = (const long*)args[${sizes}];`,
      `  tsr_error = (long*)args[${error}];`,
    ];
  }
}

/** Emits a whole plan. */
export function emitCppModule(plan: HostPlan, options: CppOptions): CppModule {
  const target = cppTarget(options.lanes, options.workers);
  const module = new Module(plan);
  const hostGroups: HostGroup[] = [];
  const bodies: string[][] = [[]];
  let launches = 0;
  let usesTemplate = false;
  for (const { group } of plan.steps) {
    if (group.kind === "host") {
      hostGroups.push(group);
      bodies.push([]);
      continue;
    }
    const list = lowerGroup(group, target).map((kernel) => {
      usesTemplate ||= kernel.kind === "contraction";
      return module.add(kernel, options.lanes);
    });
    launches += list.length;
    bodies[bodies.length - 1]?.push(...module.launch(list));
  }
  const names = bodies.map((_, i) => i === 0 ? "tessera_run" : `tessera_run_${i}`);
  const source = [
    '#include "abi.h"',
    '#include "vec.h"',
    PRELUDE,
    ...(usesTemplate ? [CONTRACTION_PRELUDE] : []),
    ...module.texts,
    ...bodies.map((body, i) =>
      [`TESSERA_EXPORT void ${names[i]}(void** args) {`, ...module.prologue(), ...body, "}"].join("\n")
    ),
    "",
  ].join("\n");
  return { source, flags: CPP_FLAGS, exports: names, hostGroups, functions: module.functions, launches };
}
