/**
 * Global names as a trace sees them: the program's own are guarded, the engine's stand for themselves, and those whose use must happen at every call end the trace
 * when they are used. `console` notes what it prints.
 */
import {
  CHANCE_REASON,
  CHANCE_REMEDY,
  effectOf,
  effectReason,
  EFFECTS,
  isIntrinsic,
  isIntrinsicName,
  MOVE_OUT,
} from "./intrinsics.ts";
import type { Source } from "./source.ts";
import type { Tracer } from "./tracer.ts";

/** Globals of the engine that show what this process and machine are; a trace may rely on them, another process may not. */
export const ENVIRONMENTAL: ReadonlySet<string> = new Set(["navigator", "location", "Intl"]);

/** What a trace sees under a global name. */
export function globalMember(tracer: Tracer, name: string): unknown {
  if (ENVIRONMENTAL.has(name)) tracer.keepHere(`it reads ${name}`);
  const value: unknown = Reflect.get(globalThis, name);
  if (value === globalThis) return globalView(tracer);
  if (!isIntrinsicName(name)) {
    return tracer.wrap(value, globalRoot(tracer).child({ kind: "property", key: name }));
  }
  if (name === "Math") return mathWithoutChance(tracer);
  if (name === "console") return printer(tracer);
  const what = Object.hasOwn(EFFECTS, name) ? EFFECTS[name] : undefined;
  return what === undefined ? value : effectGuard(name, what, tracer);
}

function globalRoot(tracer: Tracer): Source {
  return tracer.sources.root({ kind: "constant", value: globalThis, name: "globalThis" });
}

/** Whether there is a global of that name. If not, each call checks that there is still none: the function asks with `typeof`, or fails. */
export function hasGlobal(tracer: Tracer, name: string): boolean {
  if (name in globalThis) return true;
  globalRoot(tracer).check({ kind: "has", key: name, present: false });
  return false;
}

const views = new WeakMap<Tracer, object>();

function globalView(tracer: Tracer): object {
  let view = views.get(tracer);
  if (view === undefined) {
    const refuse = (): never =>
      tracer.breakGraph("a global variable is written", "keep the value in a property of an object, or return it");
    view = new Proxy(globalThis, {
      get: (_, key) => typeof key === "string" ? globalMember(tracer, key) : Reflect.get(globalThis, key),
      set: refuse,
      deleteProperty: refuse,
      defineProperty: refuse,
    });
    views.set(tracer, view);
  }
  return view;
}

/** A stand-in for a global whose use must happen at every call. */
function effectGuard(name: string, what: string, tracer: Tracer): unknown {
  const real: unknown = Reflect.get(globalThis, name);
  const refuse = (): never => tracer.breakGraph(effectReason(name, what), MOVE_OUT);
  const target = typeof real === "function" ? real : function (): void {};
  return new Proxy(target, {
    // `x instanceof Date` asks the prototype, and tells nothing of the time.
    get(_, key): unknown {
      const value: unknown = Reflect.get(target, key);
      // What has no effect (`Date.UTC`, `Date.parse`) may be used.
      const isPure = typeof value === "function" && Object.hasOwn(target, key) && isIntrinsic(value) &&
        effectOf(value) === null;
      return key === Symbol.hasInstance || key === "prototype" || isPure ? value : refuse();
    },
    apply: refuse,
    construct: refuse,
  });
}

const PRINTERS = new Set<string | symbol>(["log", "info", "warn", "error", "debug"]);

/** Stands for `console`: what is printed is printed again after each call, from that call's values. */
function printer(tracer: Tracer): Console {
  return new Proxy(console, {
    get: (target, key): unknown =>
      PRINTERS.has(key) && typeof key === "string"
        ? (...args: unknown[]): void => tracer.noteCall(target, key, args)
        : tracer.breakGraph(
          `console.${String(key)} prints, which must happen at each call`,
          "use console.log, info, warn, error or debug",
        ),
  });
}

function mathWithoutChance(tracer: Tracer): Math {
  return new Proxy(Math, {
    get(target, key): unknown {
      if (key === "random") {
        return tracer.breakGraph(CHANCE_REASON, CHANCE_REMEDY);
      }
      const value: unknown = Reflect.get(target, key);
      if (typeof value === "function" && !isIntrinsic(value)) {
        return tracer.breakGraph(
          `Math.${String(key)} is the program's own: what it does cannot be seen`,
          "call a plain function",
        );
      }
      return value;
    },
  });
}
