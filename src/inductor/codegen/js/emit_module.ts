/**
 * A host plan as one JavaScript module.
 *
 * Each distinct kernel is one function (kernels that differ only in their buffers share it); `run` takes typed arrays out of the slots' buffers
 * and calls the functions in the order of the plan. The text is built from counters alone. A small kernel is ready in well under a millisecond.
 */
import { InternalError, log } from "../../../core/mod.ts";
import type { BufferRef } from "../../../loops/mod.ts";
import type { BlocksGroup, Group, HostGroup } from "../../groups.ts";
import type { HostPlan } from "../../host_plan.ts";
import { lowerGroup } from "../../tile/lower_group.ts";
import { JS_TARGET } from "../../tile/target.ts";
import { tileToText } from "../../tile/print.ts";
import type { Kernel, TileKernel } from "../../tile/tile_ir.ts";
import { verifyWhenAsked } from "../../tile/verify.ts";
import { slotNumbers } from "../slots.ts";
import { emitJsContraction } from "./emit_contraction.ts";
import { JsFunction, type JsFunctionText } from "./emit_kernel.ts";
import type { JsHelper } from "./helpers.ts";

/** A module's text: the body of a function of the helpers, which returns `run(buffers, sizes, host)`. */
export interface JsModule {
  readonly source: string;
  /** How many distinct functions the module has. */
  readonly functions: number;
  /** How many calls `run` makes. */
  readonly launches: number;
  /** Groups without kernels, in the order in which `run` calls their steps. */
  readonly hostGroups: readonly (HostGroup | BlocksGroup)[];
}

function emitTile(kernel: TileKernel, use: (name: JsHelper) => string): JsFunctionText {
  const f = new JsFunction(kernel, [kernel.body], kernel.axes, use);
  const grid = kernel.axes.filter((axis) => axis.role === "grid");
  for (const axis of grid) f.openAxis(axis);
  f.statements(kernel.body);
  for (const _ of grid) f.scopes.close();
  return f.finish();
}

/** The text of one kernel's function. */
function emitJsKernel(kernel: Kernel, use: (name: JsHelper) => string): JsFunctionText {
  if (kernel.kind === "attention" || kernel.kind === "blocks") {
    throw new InternalError(`a kernel of ${kernel.kind} is not emitted for JavaScript`);
  }
  return kernel.kind === "tile" ? emitTile(kernel, use) : emitJsContraction(kernel, use);
}

/** Emits a whole plan. */
export function emitJsModule(plan: HostPlan): JsModule {
  const helpers = new Set<JsHelper>();
  const use = (name: JsHelper): string => {
    helpers.add(name);
    return name;
  };
  const slotOf = slotNumbers(plan);
  const slot = (buffer: BufferRef): number => {
    const found = slotOf.get(buffer);
    if (found === undefined) throw new InternalError(`${buffer.label} has no slot in the plan`);
    return found;
  };
  const sizeAt = new Map(plan.sizes.map((sym, i) => [sym, i]));
  const functions = new Map<string, string>();
  const texts: string[] = [];
  const views = new Map<string, string>();
  const calls: string[] = [];
  const hostGroups: (HostGroup | BlocksGroup)[] = [];
  const step = (group: Group): void => {
    // Blocks are interpreted: there are vectors and threads to be had from a compiler only.
    if (group.kind === "host" || group.kind === "blocks") {
      calls.push(`  host[${hostGroups.length}](b, s);`);
      hostGroups.push(group);
      return;
    }
    for (const kernel of lowerGroup(group, JS_TARGET)) {
      verifyWhenAsked(kernel);
      log("tile", () => `${kernel.name} (JavaScript)\n${tileToText(kernel)}`);
      const { head, body, parameters } = emitJsKernel(kernel, use);
      const text = `(${head}) {\n${body}\n}`;
      let name = functions.get(text);
      if (name === undefined) {
        name = `k${functions.size}`;
        functions.set(text, name);
        texts.push(`function ${name}${text}`);
      }
      const args = parameters.map(({ buffer, view }) => {
        const key = `b[${slot(buffer)}].${view}`;
        let known = views.get(key);
        if (known === undefined) views.set(key, known = `q${views.size}`);
        return known;
      });
      for (const sym of kernel.sizes) args.push(`s[${sizeAt.get(sym) ?? -1}]`);
      calls.push(`  ${name}(${args.join(", ")});`);
    }
  };
  for (const { group } of plan.steps) step(group);
  const names = [...helpers].sort();
  const source = [
    '"use strict";',
    ...(names.length > 0 ? [`const { ${names.join(", ")} } = h;`] : []),
    ...texts,
    "return function run(b, s, host) {",
    ...[...views].map(([key, name]) => `  const ${name} = ${key};`),
    ...calls,
    "};",
  ].join("\n");
  return {
    source,
    functions: functions.size,
    launches: calls.length,
    hostGroups,
  };
}
