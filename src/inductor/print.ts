/**
 * The text of groups and host plans: stable, for logs, goldens and people.
 */
import { blocksToText } from "../blocks/mod.ts";
import { type BufferRef, type LoopVar, Namer, type Value, valuesToText } from "../loops/mod.ts";
import { attentionLoads, attentionResults } from "./attention_parts.ts";
import { stepsOf, targetValues } from "./dependencies.ts";
import type { ContractionGroup, Group, LoopGroup, ScanStep, Stage } from "./groups.ts";
import type { HostPlan, PlanResult, Slot } from "./host_plan.ts";

/** A short name of a group: what it writes. */
export function groupName(group: Group): string {
  switch (group.kind) {
    case "loops": {
      const last = group.stages.at(-1)?.out.label ?? "nothing";
      return group.stages.length === 1 ? last : `${last} (and ${group.stages.length - 1} more)`;
    }
    case "contraction":
      return group.epilogue.at(-1)?.out.label ?? group.result.label;
    case "attention":
      return group.out.label;
    case "scan": {
      const last = group.then?.at(-1)?.out.label;
      return last === undefined ? group.out.label : `${last} (and ${stepsOf(group).length - 1} more)`;
    }
    case "blocks":
    case "host":
      return group.outputs[0]?.label ?? "nothing";
    case "foreach":
      return `foreach of ${group.members.length}`;
    default:
      return group satisfies never;
  }
}

function bufferList(buffers: Iterable<BufferRef>, namer: Namer): string {
  return [...buffers].map((b) => namer.buffer(b)).join(", ");
}

function stageLines(stages: readonly (Stage | ScanStep)[], namer: Namer, stored: ReadonlySet<BufferRef>): string[] {
  const lines: string[] = [];
  let next = 0;
  for (const stage of stages) {
    const { lines: before, roots } = valuesToText([stage.value, ...targetValues(stage.index)], namer, next);
    next += before.filter((l) => l.startsWith("%")).length;
    const to = `${namer.buffer(stage.out)}[${namer.expr(stage.index)}]${stored.has(stage.out) ? "" : " (kept)"}`;
    const space = stage.kind === "reduction"
      ? "reduce"
      : stage.kind === "scan"
      ? "scan"
      : stage.kind === "cross"
      ? `cross ${stage.space}`
      : stage.space;
    const op = stage.kind === "pointwise" ? "=" : `${stage.op}=`;
    lines.push(...before.map((l) => `    ${l}`), `  ${space} ${to} ${op} ${roots[0] ?? ""}`);
  }
  return lines;
}

/** The text of a group. A buffer followed by `(kept)` does not reach memory. */
export function groupToText(group: Group, namer: Namer = new Namer()): string {
  switch (group.kind) {
    case "loops":
      return loopsToText(group, namer);
    case "contraction":
      return contractionToText(group, namer);
    case "attention": {
      const axes = [...group.batch, group.m, group.n, group.d, group.e];
      namer.nameAxes(axes, "i");
      const { lines, roots } = valuesToText(attentionLoads(group), namer);
      const to = attentionResults(group).map(({ out, index }) => `${namer.buffer(out)}[${namer.expr(index)}]`);
      const which = group.role === "forward" ? "attention" : `attention's gradient (${group.role})`;
      const head = `${which}${group.causal ? " causal" : ""} [${namer.extents(axes)}] scaled by ${group.scale}`;
      return [head, ...lines.map((l) => `    ${l}`), `  ${to.join(", ")} = attend(${roots.join(", ")})`].join("\n");
    }
    case "scan": {
      namer.nameAxes(group.axes, "i");
      const head = `scan ${group.op} [${namer.extents(group.axes)}] along ${namer.symbol(group.scanAxis)}`;
      if (group.then !== undefined) return [head, ...stageLines(stepsOf(group), namer, group.stored)].join("\n");
      const { lines, roots } = valuesToText([group.value], namer);
      const to = `${namer.buffer(group.out)}[${namer.expr(group.index)}]`;
      return [head, ...lines.map((l) => `    ${l}`), `  ${to} = ${roots[0] ?? ""}`].join("\n");
    }
    case "host":
      return `host ${group.node.name}(${bufferList(group.inputs, namer)}) -> ${bufferList(group.outputs, namer)}`;
    case "blocks":
      return blocksToText(group.program, namer);
    case "foreach":
      return ["foreach", ...group.members.flatMap((m) => groupToText(m, namer).split("\n").map((l) => `  ${l}`))].join(
        "\n",
      );
    default:
      return group satisfies never;
  }
}

function loopsToText(group: LoopGroup, namer: Namer): string {
  namer.nameAxes(group.axes, "i");
  namer.nameAxes(group.reduceAxes, "r");
  const reduced = group.reduceAxes.length === 0 ? "" : ` | ${namer.extents(group.reduceAxes)}`;
  const head = `loops [${namer.extents(group.axes)}${reduced}]`;
  return [head, ...stageLines(group.stages, namer, group.stored)].join("\n");
}

function contractionToText(group: ContractionGroup, namer: Namer): string {
  const part = (name: string, vars: readonly LoopVar[]): string => {
    namer.nameAxes(vars, name.charAt(0));
    return vars.length === 0 ? "" : `${name}: ${namer.extents(vars)}`;
  };
  const parts = [part("batch", group.batch), part("m", group.m), part("n", group.n), part("k", group.k)];
  const operands: readonly Value[] = [group.a, group.b];
  const { lines, roots } = valuesToText(operands, namer);
  const kept = group.stored.has(group.result) ? "" : " (kept)";
  return [
    `contraction [${parts.filter((p) => p !== "").join("; ")}] in ${group.accumulate.short}`,
    ...lines.map((l) => `    ${l}`),
    `  ${namer.buffer(group.result)}[${namer.expr(group.resultIndex)}]${kept} = sum ${roots[0]} * ${roots[1]}`,
    ...stageLines(group.epilogue, namer, group.stored),
  ].join("\n");
}

function slotToText(slot: Slot, namer: Namer): string {
  const name = `${namer.buffer(slot.buffer)}: ${slot.buffer.dtype.short}[${namer.expr(slot.buffer.numel)}]`;
  switch (slot.kind) {
    case "input":
      return `${name} = input ${slot.index}`;
    case "attribute":
      return `${name} = attribute ${slot.path}`;
    case "output":
      return `${name} = output`;
    case "arena":
      return `${name} = arena at ${namer.expr(slot.offset)}`;
    case "donated":
      return `${name} = memory of ${namer.buffer(slot.of)}${slot.isFilled ? ", filled" : ""}`;
    default:
      return slot satisfies never;
  }
}

function resultToText(result: PlanResult, namer: Namer): string {
  switch (result.kind) {
    case "tensor": {
      const list = (es: typeof result.shape): string => `[${es.map((e) => namer.expr(e)).join(", ")}]`;
      return `${namer.buffer(result.buffer)} ${list(result.shape)} strides ${list(result.stride)} at ${
        namer.expr(result.offset)
      }`;
    }
    case "size":
      return namer.expr(result.expr);
    case "constant":
      return String(result.value);
    default:
      return result satisfies never;
  }
}

/** The text of a host plan, its groups included. */
export function planToText(plan: HostPlan): string {
  const namer = new Namer();
  return [
    `plan(${plan.sizes.map((s) => namer.symbol(s)).join(", ")}) arena ${namer.expr(plan.arenaBytes)} bytes`,
    ...plan.slots.map((s) => `  ${slotToText(s, namer)}`),
    ...plan.steps.flatMap((step) => {
      const shared = step.aliases.map(([w, r]) => `${namer.buffer(w)} over ${namer.buffer(r)}`).join(", ");
      const head = `launch (${bufferList(step.reads, namer)}) -> (${bufferList(step.writes, namer)})${
        shared === "" ? "" : `, ${shared}`
      }`;
      return [head, ...groupToText(step.group, namer).split("\n").map((l) => `  ${l}`)];
    }),
    ...plan.results.map((r) => `return ${resultToText(r, namer)}`),
  ].join("\n");
}
