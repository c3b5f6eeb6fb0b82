/**
 * Side effects: what a traced function did to the world beside its tensors, replayed after each compiled call.
 *
 * Writes to objects, arrays, Maps and Sets behind proxies, and to `.grad` and `requiresGrad` of real tensors, become a list of {@linkcode Effect}s over templates. Writes to the
 * data of tensors are in the graph itself.
 */
import { setSpentHistory, type WrittenNeed } from "../autograd/mod.ts";
import { autogradMeta, type Tensor } from "../tensor/mod.ts";
import { DELETED, isIndex, type ProxyRecord } from "./objects.ts";
import { build, type Template, type TemplateMaker } from "./templates.ts";
import type { NotedCall } from "./noted_call.ts";
import type { LiftedTensor } from "./lifted_tensors.ts";
import type { Tracer } from "./tracer.ts";

/** One write to replay. */
export type Effect =
  | { readonly kind: "set"; readonly target: Template; readonly key: string | symbol; readonly value: Template }
  | { readonly kind: "delete"; readonly target: Template; readonly key: string | symbol }
  /** Replaces the content of a Map or Set, given as entries or items. */
  | { readonly kind: "fill"; readonly target: Template; readonly content: Template }
  /** Puts elements at the end of an array. */
  | { readonly kind: "append"; readonly target: Template; readonly items: Template }
  | { readonly kind: "grad"; readonly target: Template; readonly value: Template }
  /** Writes an outer variable or a private member. */
  | { readonly kind: "assign"; readonly write: (value: unknown) => void; readonly value: Template }
  | {
    readonly kind: "private";
    readonly target: Template;
    readonly write: (object: object, value: unknown) => void;
    readonly value: Template;
  }
  /** Calls a method of a known object, as console.log. */
  | { readonly kind: "call"; readonly object: object; readonly key: string; readonly args: Template }
  | { readonly kind: "requiresGrad"; readonly target: Template; readonly value: boolean }
  /** A result whose history `backward()` has walked inside, or which needs what was written since: it has one, and nobody can walk it. */
  | { readonly kind: "spent"; readonly target: Template; readonly name: string; readonly need: WrittenNeed | null };

/** The effects of a trace, in the order in which they are replayed. */
export function collectEffects(tracer: Tracer, maker: TemplateMaker): Effect[] {
  const out: Effect[] = [];
  for (const call of tracer.calls) collectCall(call, tracer, maker, out);
  for (const record of tracer.written) collectWrites(record, tracer, maker, out);
  for (const { write, value } of tracer.assigned()) out.push({ kind: "assign", write, value: maker.make(value) });
  for (const lifted of tracer.lifted) collectGradient(lifted, tracer, maker, out);
  return out;
}

function collectCall(
  { object, key, args, versions, used }: NotedCall,
  tracer: Tracer,
  maker: TemplateMaker,
  out: Effect[],
): void {
  const changed = [...versions].some(([t, version]) => t.storage.version !== version);
  if (changed || (used.size > 0 && tracer.written.size > 0)) {
    tracer.breakGraph(`what ${key} prints is changed later in the function`, "print after the change, or a copy");
  }
  out.push({ kind: "call", object, key, args: maker.make([...args]) });
}

function collectWrites(record: ProxyRecord, tracer: Tracer, maker: TemplateMaker, out: Effect[]): void {
  const target = maker.source(record.source, record.real);
  for (const [key, value] of record.overlay) {
    const hidden = typeof key === "symbol" ? tracer.privateWriters.get(key) : undefined;
    if (hidden !== undefined) out.push({ kind: "private", target, write: hidden, value: maker.make(value) });
    else if (value === DELETED) {
      if (!isCutOff(record, key)) out.push({ kind: "delete", target, key });
    } else {
      if (record.again.has(key) && !Array.isArray(record.real)) out.push({ kind: "delete", target, key });
      out.push({ kind: "set", target, key, value: maker.make(value) });
    }
  }
  if (record.appended !== null) out.push({ kind: "append", target, items: maker.make([...record.appended]) });
  if (record.collection !== null) {
    const copy = record.collection instanceof Map ? new Map(record.collection) : new Set(record.collection);
    out.push({ kind: "fill", target, content: maker.make(copy) });
  }
}

/** Whether an element goes with the shorter length that its array has got. */
function isCutOff({ real, overlay }: ProxyRecord, key: string | symbol): boolean {
  const length = overlay.get("length");
  return Array.isArray(real) && typeof length === "number" && isIndex(key) && Number(key) >= length;
}

function targetOf(lifted: LiftedTensor, maker: TemplateMaker): Template {
  return lifted.source === null || lifted.kind === "attribute"
    ? { kind: "value", value: lifted.real }
    : maker.source(lifted.source, lifted.real);
}

function collectGradient(lifted: LiftedTensor, tracer: Tracer, maker: TemplateMaker, out: Effect[]): void {
  const { twin, real } = lifted;
  const meta = twin.autograd;
  if (meta !== null && meta.gradFn === null && meta.requiresGrad !== real.requiresGrad) {
    out.push({ kind: "requiresGrad", target: targetOf(lifted, maker), value: meta.requiresGrad });
  }
  if (lifted.grad === null) return;
  const after = meta?.grad ?? null;
  if (after === lifted.grad.twin) return;
  if (after !== null && !real.isLeaf) {
    tracer.breakGraph(
      "backward() reaches a tensor whose history began outside of the compiled function",
      "compute the loss inside as well, or call backward() outside",
    );
  }
  const value: Template = after === null ? { kind: "value", value: null } : maker.make(after);
  out.push({ kind: "grad", target: targetOf(lifted, maker), value });
}

/** Replays effects with the results of one call; `made` are the objects that templates have made in it. */
export function replay(
  effects: readonly Effect[],
  results: readonly unknown[],
  values: readonly unknown[],
  made: Map<number, object>,
): void {
  for (const effect of effects) {
    if (effect.kind === "call") {
      const method: unknown = Reflect.get(effect.object, effect.key);
      if (typeof method === "function") {
        Reflect.apply(method, effect.object, build(effect.args, results, values, made) as unknown[]);
      }
      continue;
    }
    if (effect.kind === "assign") {
      effect.write(build(effect.value, results, values, made));
      continue;
    }
    const target = build(effect.target, results, values, made) as object;
    switch (effect.kind) {
      case "set":
        Reflect.set(target, effect.key, build(effect.value, results, values, made));
        break;
      case "private":
        effect.write(target, build(effect.value, results, values, made));
        break;
      case "delete":
        Reflect.deleteProperty(target, effect.key);
        break;
      case "fill": {
        const content = build(effect.content, results, values, made);
        (target as Map<unknown, unknown>).clear();
        if (content instanceof Map) { for (const [k, v] of content) (target as Map<unknown, unknown>).set(k, v); }
        else for (const item of content as Set<unknown>) (target as Set<unknown>).add(item);
        break;
      }
      case "append":
        Reflect.apply(Array.prototype.push, target, build(effect.items, results, values, made) as unknown[]);
        break;
      case "grad": {
        const value = build(effect.value, results, values, made) as Tensor | null;
        const tensor = target as Tensor;
        // As the property does, without asking a mode for the owner.
        if (value !== null || tensor.autograd !== null) autogradMeta(tensor).grad = value;
        break;
      }
      case "requiresGrad":
        (target as Tensor).requiresGrad = effect.value;
        break;
      case "spent":
        setSpentHistory(target as Tensor, effect.name, effect.need);
        break;
      default:
        effect satisfies never;
    }
  }
}
