/** Idioms: objects of the engine and of the runtime beside tensors: URL, TextEncoder, Date, typed arrays, buffers, weak references, environment. */
import { type Tensor, tensor } from "../../../src/tensor/mod.ts";
import { idiom, vec } from "./harness.ts";

idiom("a URL that comes with the call, and its search parameters", "segments", (compile) => {
  const f = compile((x: Tensor, url: URL) => x.mul(Number(url.searchParams.get("k"))).add(url.pathname.length));
  return (round) => f(vec(round), new URL(`file:///a/b?k=${round}`));
});

idiom("a URL that is made inside of a text", "graph", (compile) => {
  const f = compile((x: Tensor, k: number) => {
    const url = new URL(`file:///a/b?k=${k}`);
    return [x.mul(Number(url.searchParams.get("k"))), url.pathname];
  });
  return (round) => f(vec(round), round);
});

idiom("TextEncoder and TextDecoder over option strings", "graph", (compile) => {
  const f = compile((x: Tensor, text: string) => {
    const bytes = new TextEncoder().encode(text);
    const sum = bytes.reduce((a, b) => a + b, 0);
    return [x.add(sum / 100), new TextDecoder().decode(bytes.subarray(1))];
  });
  return (round) => f(vec(round), `abc${round}`);
});

idiom("a typed array of the module that the function changes", "segments", (compile) => {
  const counts = new Uint32Array(4);
  const f = compile((x: Tensor, k: number) => {
    counts[k] = (counts[k] ?? 0) + 1;
    return x.mul(counts[k] ?? 0).add(1);
  });
  return (round) => [f(vec(round), round), [...counts]];
});

idiom("two views of one buffer, and a DataView", "segments", (compile) => {
  const buffer = new ArrayBuffer(8);
  const floats = new Float32Array(buffer);
  const view = new DataView(buffer);
  const f = compile((x: Tensor) => {
    view.setFloat32(4, view.getFloat32(0, true) * 2, true);
    return x.mul(floats[1] ?? 0).add(0.5);
  });
  return (round) => {
    floats[0] = round;
    return [f(vec(round)), [...floats]];
  };
});

idiom("a WeakRef to a tensor and one to options", "segments", (compile) => {
  const options = { k: 2 };
  const ref = new WeakRef(options);
  const kept = vec(4);
  const tensorRef = new WeakRef(kept);
  const f = compile((x: Tensor) => x.mul(ref.deref()?.k ?? 0).add(tensorRef.deref() ?? 0));
  return (round) => {
    options.k = round + 1;
    return f(vec(round));
  };
});

idiom("the clock as a default argument", "segments", (compile) => {
  let ticks = 0;
  const clock = (): number => ++ticks;
  const f = compile((x: Tensor, now: () => number = Date.now) => x.mul(2).add(now() > 1e6 ? 1 : 2));
  return (round) => [f(vec(round)), f(vec(round), clock), ticks];
});

idiom("durations around operators, with performance.now and console.time", "segments", (compile) => {
  const f = compile((x: Tensor) => {
    const start = performance.now();
    const y = x.mul(2).exp();
    const ms = performance.now() - start;
    return [y.add(1), ms >= 0];
  });
  return (round) => f(vec(round));
});

idiom("environment variables read inside", "segments", (compile) => {
  const f = compile((x: Tensor) => x.mul(Number(Deno.env.get("IDIOM_SCALE") ?? "1")).add(1));
  return (round) => {
    Deno.env.set("IDIOM_SCALE", String(round));
    return f(vec(round));
  };
});

idiom("random identifiers and random bytes, whose length only is used", "segments", (compile) => {
  const f = compile((x: Tensor) => {
    const id = crypto.randomUUID();
    const bytes = crypto.getRandomValues(new Uint8Array(4));
    return [x.mul(id.length).add(bytes.length), id[8]];
  });
  return (round) => f(vec(round));
});

idiom("a bound function made inside, and one that is handed in", "graph", (compile) => {
  const affine = (a: number, b: number, x: Tensor): Tensor => x.mul(a).add(b);
  const f = compile((x: Tensor, g: (x: Tensor) => Tensor) => {
    const local = affine.bind(null, 2, 3);
    return g(local(x)).exp();
  });
  return (round) => f(vec(round), affine.bind(null, round, 1));
});

idiom("Intl formats and locale comparisons of options", "graph", (compile) => {
  const f = compile((x: Tensor, k: number) => {
    const text = new Intl.NumberFormat("en-US", { minimumFractionDigits: 1 }).format(k);
    const order = ["b", "a", "ä"].sort(new Intl.Collator("de").compare);
    return [x.mul(text.length), text, order];
  });
  return (round) => f(vec(round), round * 1000);
});

idiom("an Error's stack, line and captureStackTrace", "graph", (compile) => {
  const f = compile((x: Tensor, k: number) => {
    const e = new Error("probe");
    return [x.add(k), typeof e.stack, e.stack?.startsWith("Error: probe")];
  });
  return (round) => f(vec(round), round);
});

idiom("a Headers object and a FormData of the caller", "segments", (compile) => {
  const f = compile((x: Tensor, h: Headers) => x.mul(Number(h.get("k") ?? 1)).add([...h.keys()].length));
  return (round) => f(vec(round), new Headers(round === 1 ? {} : { k: String(round) }));
});

idiom("a Date that comes with the call", "segments", (compile) => {
  const f = compile((x: Tensor, at: Date) => x.mul(at.getUTCDate()).add(1));
  return (round) => f(vec(round), new Date(Date.UTC(2020, 1, 1 + round)));
});

idiom("an EventTarget with listeners that write outer state", "graph", (compile) => {
  const target = new EventTarget();
  let heard = 0;
  target.addEventListener("step", () => void heard++);
  const f = compile((x: Tensor) => {
    const y = x.mul(2).add(1);
    target.dispatchEvent(new Event("step"));
    return y.mul(heard);
  });
  return (round) => [f(vec(round)), heard];
});

idiom("globals written, deleted and read again", "graph", (compile) => {
  const world = globalThis as unknown as Record<string, unknown>;
  const f = compile((x: Tensor, k: number) => {
    world["idiomGlobal"] = k;
    const y = x.mul(world["idiomGlobal"] as number).add(1);
    delete world["idiomGlobal"];
    return [y, "idiomGlobal" in world];
  });
  return (round) => f(vec(round), round);
});

idiom("strings: normalize, codePointAt, at, replaceAll with functions, split with limits", "graph", (compile) => {
  const f = compile((x: Tensor, text: string) => {
    const parts = text.split(",", 2).map((p) => p.trim().replaceAll(/\d/g, (d) => String(Number(d) * 2)));
    return [x.mul(text.codePointAt(0) ?? 0), parts, text.at(-1), text.normalize("NFD").length, text.search(/b/)];
  });
  return (round) => f(vec(round), `é${round}, b1, c`);
});

idiom("tensors from data that is made by engine functions", "graph", (compile) => {
  const f = compile((x: Tensor, text: string) => {
    const numbers = text.split(" ").map(Number.parseFloat);
    const table = tensor(Float32Array.from(numbers, (v) => v * 2));
    return x.mul(table).add(tensor([...numbers].reverse()));
  });
  return (round) => f(vec(round), `1 2.5 ${round}`);
});

idiom("microtasks queued inside, whose effects come after the call", "segments", (compile) => {
  const log: string[] = [];
  const f = compile((x: Tensor) => {
    queueMicrotask(() => log.push("later"));
    log.push("now");
    return x.mul(2).add(1);
  });
  return async (round) => {
    const y = f(vec(round));
    const at = [...log];
    await Promise.resolve();
    return [y, at, log.splice(0)];
  };
});
