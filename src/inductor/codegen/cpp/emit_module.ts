/**
 * A host plan as C++: one translation unit, or several that are compiled at once if there is much of it.
 *
 * Each distinct function is written once, whatever buffers it runs on; a long text is cut into units of about equal size, the first of which
 * also holds what is exported. `tessera_run(void** args)` runs the whole plan: slot 0 of `args` is the runtime, then come
 * the pointers of the slots that the caller owns, the arena, the sizes, and where an error is reported. Members of a group that are independent go
 * to the workers in one dispatch. No name of a graph reaches the text. Nothing is included but `abi.h` and `vec.h`.
 */
import { InternalError, log } from "../../../core/mod.ts";
import type { BufferRef } from "../../../loops/mod.ts";
import { cDialect, constantValue, type Expr, printExpr, type Sym } from "../../../symbolic/mod.ts";
import { mayFail } from "../../check_first.ts";
import type { Group, HostGroup } from "../../groups.ts";
import type { HostPlan } from "../../host_plan.ts";
import { lowerGroup } from "../../tile/lower_group.ts";
import { cppTarget } from "../../tile/target.ts";
import { tileToText } from "../../tile/print.ts";
import type { Kernel } from "../../tile/tile_ir.ts";
import { verifyWhenAsked } from "../../tile/verify.ts";
import { emitCppContraction } from "../../templates/cpp_contraction.ts";
import { KeptBudget } from "../../templates/kept_operands.ts";
import { emitCppSlide } from "../../templates/cpp_slide.ts";
import CONTRACTION_PRELUDE from "../../templates/contraction.h" with { type: "text" };
import DIRECT_PRELUDE from "../../templates/direct.h" with { type: "text" };
import SLIDE_PRELUDE from "../../templates/slide.h" with { type: "text" };
import WINOGRAD_PRELUDE from "../../templates/winograd.h" with { type: "text" };
import { slotNumbers } from "../slots.ts";
import { type CppFunctionText, emitCppTile, grainText, type KeptOperand } from "./emit_tile.ts";
import BLOCKS_PRELUDE from "./blocks.h" with { type: "text" };
import { emitCppBlocks } from "./emit_blocks.ts";
import PRELUDE from "./prelude.h" with { type: "text" };
import LANES_PRELUDE from "./prelude_lanes.h" with { type: "text" };
import MATH_PRELUDE from "./prelude_math.h" with { type: "text" };

/** What the emitter must know of the machine. */
export interface CppOptions {
  /** Floats in a vector register: 16 with AVX-512, 8 with AVX2, else 4. */
  readonly lanes: number;
  /** Workers that will share the kernels; decides only how reductions are cut. */
  readonly workers: number;
  /** How many compilers may run at once: the most translation units that are made. Default 1. */
  readonly compilers?: number;
  /** Bytes of text that are worth a unit of their own. Default {@linkcode PART_BYTES}. */
  readonly partBytes?: number;
  /** Adds clocks around each launch, and {@linkcode PROFILE_EXPORT} to read them. */
  readonly profile?: boolean;
  /** Attributes are weights: their packed forms may be kept from call to call. */
  readonly keepWeights?: boolean;
}

/** Some translation units. */
export interface CppModule {
  /** The unit with the exports. */
  readonly source: string;
  /** Further units, to be linked with it. */
  readonly parts: readonly string[];
  /** Flags that the source needs beside the usual ones. */
  readonly flags: readonly string[];
  /** Functions that run the plan from one host group to the next. */
  readonly exports: readonly string[];
  /** Host groups, to be run between the exported functions. */
  readonly hostGroups: readonly HostGroup[];
  /** How many distinct functions the module has. */
  readonly functions: number;
  readonly launches: number;
  /** What the plan keeps from call to call, if it may. */
  readonly keeps: readonly KeptMemory[];
  /** What the clocks of a profiled module time, in their order. */
  readonly clocks: readonly ClockedLaunch[];
}

/** Memory that a launch keeps packed: its state in the first of 64 bytes, the elements behind. */
export interface KeptMemory {
  /** Where it begins, in bytes. */
  readonly offset: number;
  /** Bytes of the elements. */
  readonly bytes: number;
  /** The attributes that it is made of. */
  readonly attributes: readonly number[];
  /** No other launch reads them. */
  readonly sole: boolean;
}

/** A launch whose time a profiled module tells. */
export interface ClockedLaunch {
  readonly group: Group;
  /** Its functions in the text. */
  readonly functions: readonly string[];
}

/** Writes wall and processor time of each clock, two 64-bit counts of nanoseconds, to where its first argument points, and starts again at 0. */
export const PROFILE_EXPORT = "tessera_profile";

/** Text that is worth a compiler of its own: some tenths of a second, several times what starting one and reading the preludes takes. */
const PART_BYTES = 48_000;

/** Positions in `args`. */
export interface ArgsLayout {
  /** For each slot, its position in `args`; null for slots of the arena and aliases. */
  readonly slots: readonly (number | null)[];
  readonly arena: number;
  readonly sizes: number;
  readonly error: number;
  readonly kept: number;
  readonly length: number;
}

/** Where things stand in `args`. */
export function argsLayout(plan: HostPlan): ArgsLayout {
  let next = 1;
  const slots = plan.slots.map((slot) => slot.kind === "arena" || slot.kind === "donated" ? null : next++);
  return { slots, arena: next, sizes: next + 1, error: next + 2, kept: next + 3, length: next + 4 };
}

/**
 * Flags: integers wrap, memory may be seen as another type. The text is vectorised and unrolled already, so the first level of optimisation is
 * enough: measured on a training step, kernels are 5 % slower than with the third and compile in half the time.
 */
const CPP_FLAGS: readonly string[] = ["-O1", "-fwrapv", "-fno-strict-aliasing"];

/** The text of one kernel's function. */
function emitCppKernel(
  kernel: Kernel,
  lanes: number,
  constants?: ReadonlySet<BufferRef>,
  budget: KeptBudget | null = null,
): CppFunctionText {
  if (kernel.kind === "attention") throw new InternalError("attention as one kernel is for CUDA");
  if (kernel.kind === "blocks") return emitCppBlocks(kernel, lanes);
  if (kernel.kind === "contraction") return emitCppContraction(kernel, lanes, constants, budget);
  return emitCppSlide(kernel, lanes) ?? emitCppTile(kernel, lanes);
}

/** A kernel's function and those that only it calls. */
interface FunctionText {
  readonly name: string;
  readonly support: string;
  readonly body: string;
  /** Preludes that it needs beside the first. */
  readonly needs: readonly ("contraction" | "winograd" | "direct" | "slide" | "blocks")[];
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
  readonly texts: FunctionText[] = [];
  readonly clocks: ClockedLaunch[] = [];
  /** Attributes whose packed forms may be kept. */
  readonly #constants: ReadonlySet<BufferRef>;
  readonly #budget: KeptBudget;
  #keptBytes = 0;
  readonly #kept = new Map<
    string,
    Omit<KeptMemory, "sole"> & { readonly sources: readonly BufferRef[]; users: number }
  >();
  readonly #attributeOf = new Map<BufferRef, number>();
  /** How many launches read an attribute. */
  readonly #readers = new Map<BufferRef, number>();

  constructor(plan: HostPlan, keepWeights: boolean) {
    this.#plan = plan;
    for (const slot of plan.slots) if (slot.kind === "attribute") this.#attributeOf.set(slot.buffer, slot.index);
    for (const b of plan.steps.flatMap((step) => step.reads)) this.#readers.set(b, (this.#readers.get(b) ?? 0) + 1);
    const donors = new Set(plan.slots.flatMap((s) => s.kind === "donated" ? [s.of] : []));
    this.#constants = new Set(
      keepWeights ? plan.slots.flatMap((s) => s.kind === "attribute" && !donors.has(s.buffer) ? [s.buffer] : []) : [],
    );
    this.#budget = new KeptBudget(this.#constants);
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
    const text = emitCppKernel(kernel, lanes, this.#constants, this.#budget);
    const support = text.support ?? "";
    const whole = `${support}\n${text.text}`;
    let name = this.#functions.get(whole);
    if (name === undefined) {
      name = `k${this.#functions.size}`;
      this.#functions.set(whole, name);
      this.texts.push({
        name,
        support: support.replaceAll("@", name),
        body: text.text.replaceAll("@", name),
        needs: [
          ...(kernel.kind === "contraction" || kernel.kind === "blocks" ? [kernel.kind] : []),
          ...(text.needs === undefined ? [] : [text.needs]),
        ],
      });
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

  /** What launches keep. */
  get keeps(): readonly KeptMemory[] {
    return [...this.#kept.values()].map(({ users, sources, ...place }) => ({
      ...place,
      sole: sources.every((source) => users === this.#readers.get(source)),
    }));
  }

  /** The arguments that name what a launch keeps. Launches that want the same weight in the same form share it. */
  #keep({ sources, bytes, form }: KeptOperand): string[] {
    const attributes = sources.map((source) => {
      const attribute = this.#attributeOf.get(source);
      if (attribute === undefined) throw new InternalError(`${source.label} is kept but is no attribute`);
      return attribute;
    });
    const key = `${attributes}/${form}`;
    let found = this.#kept.get(key);
    if (found === undefined) {
      this.#kept.set(key, found = { offset: this.#keptBytes, bytes, attributes, sources, users: 0 });
      this.#keptBytes += 64 + bytes;
    }
    found.users++;
    return [`kept + ${found.offset}l`, `kept + ${found.offset + 64}l`];
  }

  /** The arguments of a launch as an array literal: buffers, sizes, the runtime, what is kept. */
  args({ kernel, text }: Launch): string {
    const parts = [...kernel.reads, ...kernel.writes].map((b) => this.#pointer(b));
    for (const sym of kernel.sizes) parts.push(`(void*)s[${this.#sizeIndex(sym)}]`);
    parts.push("(void*)runtime", ...(text.keeps ?? []).flatMap((kept) => this.#keep(kept)));
    return `{ ${parts.join(", ")} }`;
  }

  /** Lines that run launches which do not depend on each other, as the group wants it. */
  launch(group: Group, launches: readonly Launch[], profile: boolean): string[] {
    const lines = this.#launchLines(launches);
    if (!profile || lines.length === 0) return lines;
    const clock = this.clocks.push({ group, functions: launches.map((l) => l.name) }) - 1;
    return [
      "  {",
      "    const tsr_clock start = tsr_clock_now();",
      ...lines,
      `    tsr_clock_add(${clock}, start);`,
      "  }",
    ];
  }

  #launchLines(launches: readonly Launch[]): string[] {
    const [first] = launches;
    if (first === undefined) return [];
    const count = (l: Launch): string => this.size(l.text.count);
    const grain = (l: Launch): string => grainText(l.text.picoseconds, (e) => this.size(e));
    if (launches.length === 1) {
      return [
        "  {",
        `    void* a[] = ${this.args(first)};`,
        constantValue(first.text.count) === 1
          ? `    ${first.name}(a, 0, 1, 0);`
          : `    runtime->parallel_for(${first.name}, a, ${count(first)}, ${grain(first)});`,
        "  }",
      ];
    }
    const lines = ["  {"];
    launches.forEach((l, i) => lines.push(`    void* a${i}[] = ${this.args(l)};`));
    lines.push("    const tsr_job jobs[] = {");
    launches.forEach((l, i) =>
      lines.push(`      {${l.name}, a${i}, ${count(l)}, ${grain(l)}, ${this.size(l.text.picoseconds)}},`)
    );
    lines.push("    };", `    tsr_together(runtime, jobs, ${launches.length});`, "  }");
    return lines;
  }

  /** The first lines of an exported function. */
  prologue(): string[] {
    const { arena, sizes, error, kept } = this.#layout;
    return [
      "  const tessera_runtime* const runtime = (const tessera_runtime*)args[0];",
      `  char* const arena = (char*)args[${arena}];`,
      ...(this.#kept.size > 0 ? [`  char* const kept = (char*)args[${kept}];`] : []),
      `  const long* const s = (const long*)args[${sizes}];`,
      `  tsr_error = (long*)args[${error}];`,
    ];
  }
}

/** Emits a whole plan. */
export function emitCppModule(plan: HostPlan, options: CppOptions): CppModule {
  const target = cppTarget(options.lanes, options.workers);
  const module = new Module(plan, options.keepWeights === true);
  const hostGroups: HostGroup[] = [];
  const bodies: string[][] = [[]];
  const { profile = false, compilers = 1, partBytes = PART_BYTES } = options;
  const donated = new Set(plan.slots.flatMap((slot) => slot.kind === "donated" ? [slot.buffer] : []));
  let mayHaveFailed = false;
  let launches = 0;
  for (const { group, writes } of plan.steps) {
    if (group.kind === "host") {
      // Between exported functions the caller looks.
      mayHaveFailed = false;
      hostGroups.push(group);
      bodies.push([]);
      continue;
    }
    const list = lowerGroup(group, target).map((kernel) => module.add(kernel, options.lanes));
    launches += list.length;
    // The caller's memory stays as it was if anything before has failed.
    if (mayHaveFailed && writes.some((b) => donated.has(b))) {
      bodies[bodies.length - 1]?.push("  if (tsr_error[2] != 0) return;");
      mayHaveFailed = false;
    }
    if (donated.size > 0) mayHaveFailed ||= mayFail(group);
    bodies[bodies.length - 1]?.push(...module.launch(group, list, profile));
  }
  const names = bodies.map((_, i) => i === 0 ? "tessera_run" : `tessera_run_${i}`);
  const parts = partition(module.texts, compilers, partBytes);
  const several = parts.length > 1;
  const others = parts.map((_, i) => i).slice(1);
  const [source = "", ...rest] = parts.map((functions, i) =>
    [
      '#include "abi.h"',
      '#include "vec.h"',
      PRELUDE,
      MATH_PRELUDE,
      LANES_PRELUDE,
      ...(functions.some((f) => f.needs.includes("contraction")) ? [CONTRACTION_PRELUDE] : []),
      ...(functions.some((f) => f.needs.includes("winograd")) ? [WINOGRAD_PRELUDE] : []),
      ...(functions.some((f) => f.needs.includes("direct")) ? [DIRECT_PRELUDE] : []),
      ...(functions.some((f) => f.needs.includes("slide")) ? [SLIDE_PRELUDE] : []),
      ...(functions.some((f) => f.needs.includes("blocks")) ? [BLOCKS_PRELUDE] : []),
      ...functions.map((f) => functionText(f, several ? "" : "static ")),
      ...(i === 0
        ? [
          ...(profile ? [clocksText(module.clocks.length)] : []),
          ...parts.slice(1).flat().map((f) => `${signatureOf(f)};`),
          ...others.map((part) => `void tsr_report_to_${part}(long* error);`),
          ...bodies.map((body, n) =>
            [
              `TESSERA_EXPORT void ${names[n]}(void** args) {`,
              ...module.prologue(),
              ...others.map((part) => `  tsr_report_to_${part}(tsr_error);`),
              ...body,
              "}",
            ].join("\n")
          ),
        ]
        : [`void tsr_report_to_${i}(long* error) { tsr_error = error; }`]),
      "",
    ].join("\n")
  );
  return {
    source,
    parts: rest,
    flags: CPP_FLAGS,
    exports: profile ? [...names, PROFILE_EXPORT] : names,
    hostGroups,
    functions: module.functions,
    launches,
    keeps: module.keeps,
    clocks: module.clocks,
  };
}

function signatureOf(f: FunctionText): string {
  return `void ${f.name}(void* context, long begin, long end, int worker)`;
}

function functionText(f: FunctionText, linkage: string): string {
  return `${f.support}\n${linkage}${signatureOf(f)} {\n  void** const A = (void**)context;\n${f.body}\n}`;
}

/** Functions in as many units as are worth it, of about equal size: each goes where least is, the longest first. */
function partition(functions: readonly FunctionText[], most: number, worth: number): FunctionText[][] {
  const size = (f: FunctionText): number => f.support.length + f.body.length;
  const total = functions.reduce((n, f) => n + size(f), 0);
  const count = Math.max(1, Math.min(most, Math.floor(total / worth)));
  const parts = Array.from({ length: count }, (): { bytes: number; functions: FunctionText[] } => ({
    bytes: 0,
    functions: [],
  }));
  for (const f of [...functions].sort((a, b) => size(b) - size(a))) {
    const least = parts.reduce((a, b) => b.bytes < a.bytes ? b : a);
    least.bytes += size(f);
    least.functions.push(f);
  }
  return parts.map((part) => part.functions);
}

function clocksText(count: number): string {
  return `struct tsr_timespec { long seconds, nanoseconds; };
extern "C" int clock_gettime(int, tsr_timespec*);
struct tsr_clock { long wall, processor; };
static tsr_clock tsr_clocks[${Math.max(1, count)}];
static long tsr_clock_read(int id) {
  tsr_timespec t;
  clock_gettime(id, &t);
  return t.seconds * 1000000000l + t.nanoseconds;
}
static tsr_clock tsr_clock_now() { return { tsr_clock_read(1), tsr_clock_read(2) }; }
static void tsr_clock_add(int at, tsr_clock start) {
  const tsr_clock now = tsr_clock_now();
  tsr_clocks[at].wall += now.wall - start.wall;
  tsr_clocks[at].processor += now.processor - start.processor;
}
TESSERA_EXPORT void ${PROFILE_EXPORT}(void** out) {
  __builtin_memcpy(out[0], tsr_clocks, sizeof tsr_clocks);
  __builtin_memset(tsr_clocks, 0, sizeof tsr_clocks);
}`;
}
