/**
 * What algorithms reach on CUDA beside PyTorch's: sorting, selecting, Fourier transforms, products of groups, attention over pages.
 *
 *     deno run -A bench/cuda_breadth.ts [FILTER,FILTER] [--peer]
 *
 * Needs a GPU and nvrtc. Each case is a compiled function, called again and again without waiting; results are checked by properties that need no other
 * implementation. `--peer` also times PyTorch (`python3` with torch). Prints a table last.
 */
import {
  arange,
  bfloat16,
  compile,
  type DType,
  F,
  float32,
  int32,
  int64,
  nn,
  randint,
  randn,
  randperm,
  type Tensor,
  tensor,
} from "../mod.ts";
import { cudaContext } from "../src/runtime/cuda/mod.ts";
import { findPeer, print, printTable } from "./support.ts";

const filter = Deno.args.find((a) => !a.startsWith("--")) ?? "";
const withPeer = Deno.args.includes("--peer");

interface Case {
  readonly name: string;
  readonly args: () => readonly Tensor[];
  readonly fn: (...args: Tensor[]) => readonly Tensor[];
  /** How far the results are from what they must be. */
  readonly error: (args: readonly Tensor[], results: readonly Tensor[]) => Tensor;
  readonly tolerance: number;
  /** The same in Python: statements that make the arguments, and an expression. */
  readonly python: readonly [setup: string, call: string];
  /** Additions and multiplications, where these count. */
  readonly flops?: number;
  /** Bytes that must be read, where these count. */
  readonly bytes?: number;
}

const on = { device: "cuda" } as const;
const DTYPES: readonly (readonly [string, DType])[] = [["float32", float32], ["int64", int64]];

function largest(t: Tensor): Tensor {
  return t.to(float32).abs().max();
}

/** How far sorted rows are from what their positions say, and from rising. */
function sortError([x]: readonly Tensor[], [values, at]: readonly Tensor[]): Tensor {
  if (x === undefined || values === undefined || at === undefined) throw new TypeError("sorting has two results");
  const n = Number(values.shape[1]);
  const falls = values.narrow(1, 1, n - 1).lt(values.narrow(1, 0, n - 1)).to(float32).sum();
  const seen = at.sum().sub(Number(values.shape[0]) * n * (n - 1) / 2).ne(0).to(float32);
  return falls.add(seen).add(x.gather(1, at).ne(values).to(float32).sum());
}

const sorting = [[1, 1 << 24], [4096, 4096], [64, 1 << 18], [65536, 100]] as const;

function groupsOf(rows: number, groups: number): number[] {
  const end = (g: number): number => Math.floor(rows * (g + 1) / groups);
  return Array.from({ length: groups }, (_, g) => g === groups - 1 ? rows : end(g) - (rows > 1000 ? 37 * (g % 3) : 0));
}

function grouped(rows: number, groups: number, K: number, N: number): Case {
  const ends = groupsOf(rows, groups);
  return {
    name: `grouped product ${rows}x${K} bf16, ${groups} of ${K}x${N}`,
    args: () => [
      randn([rows, K], on).to(bfloat16),
      randn([groups, N, K], on).to(bfloat16),
      tensor(ends, { dtype: int32 }).cuda(),
    ],
    fn: (x, w, offs) => [F._groupedMm(x as Tensor, (w as Tensor).transpose(1, 2), offs as Tensor)],
    error: ([x, w], [out]) => {
      const first = (x as Tensor).narrow(0, 0, ends[0] ?? 1), second = (x as Tensor).narrow(0, ends[0] ?? 1, 1);
      const a = first.matmul((w as Tensor).select(0, 0).t()).sub((out as Tensor).narrow(0, 0, ends[0] ?? 1));
      const b = second.matmul((w as Tensor).select(0, 1).t()).sub((out as Tensor).narrow(0, ends[0] ?? 1, 1));
      return largest(a).add(largest(b));
    },
    tolerance: K ** 0.5 / 16,
    python: [
      `x=torch.randn(${rows},${K},device='cuda',dtype=torch.bfloat16); w=torch.randn(${groups},${N},${K},device='cuda',dtype=torch.bfloat16); o=torch.tensor(${
        JSON.stringify(ends)
      },device='cuda',dtype=torch.int32)`,
      "torch._grouped_mm(x,w.transpose(1,2),o)",
    ],
    flops: 2 * rows * K * N,
  };
}

interface Sequences {
  readonly heads: number;
  readonly shared: number;
  readonly width: number;
  readonly lengths: readonly number[];
  readonly window?: number;
}

function offsetsOf(lengths: readonly number[]): number[] {
  return lengths.reduce((all, n) => [...all, (all.at(-1) ?? 0) + n], [0]);
}

/** How far the first sequence is from its own attention. */
function firstError(q: Tensor, k: Tensor, v: Tensor, out: Tensor, window: number | undefined): Tensor {
  const [m, n] = [Number(q.shape[0]), Number(k.shape[0])];
  const [row, column] = [arange(0, m, 1, on).unsqueeze(1).add(n - m), arange(0, n, 1, on).unsqueeze(0)];
  const seen = row.ge(column);
  const keep = window === undefined ? seen : seen.bitwiseAnd(row.sub(window).le(column));
  const heads = (t: Tensor): Tensor => t.transpose(0, 1).to(float32);
  const want = F.scaledDotProductAttention(heads(q), heads(k), heads(v), keep, 0, false, { enableGqa: true });
  return largest(want.transpose(0, 1).sub(out));
}

/** Sequences behind each other, causal. */
function ragged({ heads, shared, width, lengths, window }: Sequences): Case {
  const offsets = offsetsOf(lengths), total = offsets.at(-1) ?? 0;
  const first = lengths[0] ?? 0;
  const pairs = lengths.reduce((sum, n) => sum + (window === undefined ? n * n / 2 : n * Math.min(n, window)), 0);
  const sizes = [heads, shared, shared];
  return {
    name: `ragged attention ${lengths.length} sequences, ${total} tokens, ${heads}/${shared} heads of ${width}${
      window === undefined ? "" : `, window ${window}`
    }`,
    args: () => [
      ...sizes.map((h) => randn([total, h, width], on).to(bfloat16)),
      tensor(offsets, { dtype: int32 }).cuda(),
    ],
    fn: (q, k, v, offs) => [
      nn.functional.raggedAttention(q as Tensor, k as Tensor, v as Tensor, {
        queryOffsets: offs as Tensor,
        causal: true,
        ...(window === undefined ? {} : { window: [window, null] as const }),
      }),
    ],
    error: ([q, k, v], [out]) => {
      const part = (t: Tensor | undefined): Tensor => (t as Tensor).narrow(0, 0, first);
      return firstError(part(q), part(k), part(v), part(out), window);
    },
    tolerance: 0.03,
    python: [
      `from torch.nn.attention.varlen import varlen_attn
q,k,v=[torch.randn(${total},h,${width},device='cuda',dtype=torch.bfloat16) for h in (${heads},${heads},${heads})]
o=torch.tensor(${JSON.stringify(offsets)},device='cuda',dtype=torch.int32)`,
      window === undefined
        ? `varlen_attn(q,k,v,o,o,${Math.max(...lengths)},${Math.max(...lengths)},is_causal=True)`
        : `varlen_attn(q,k,v,o,o,${Math.max(...lengths)},${Math.max(...lengths)},window_size=(${window},0))`,
    ],
    flops: 4 * pairs * heads * width,
  };
}

/** One query for each sequence, over keys in pages. */
function paged(sequences: number, length: number, page: number, heads: number, shared: number, width: number): Case {
  const columns = length / page, pages = sequences * columns;
  return {
    name: `paged decoding ${sequences}x${length}, pages of ${page}, ${heads}/${shared} heads of ${width}`,
    args: () => [
      randn([sequences, heads, width], on).to(bfloat16),
      ...[0, 1].map(() => randn([pages, page, shared, width], on).to(bfloat16)),
      randperm(pages).reshape([sequences, columns]).to(int32).cuda(),
      tensor(Array.from({ length: sequences }, () => length - 3), { dtype: int32 }).cuda(),
    ],
    fn: (q, k, v, table, lengths) => [
      nn.functional.pagedAttention(q as Tensor, k as Tensor, v as Tensor, {
        table: table as Tensor,
        lengths: lengths as Tensor,
      }),
    ],
    error: ([q, k, v, table], [out]) => {
      const keys = (t: Tensor | undefined): Tensor =>
        (t as Tensor).indexSelect(0, (table as Tensor).select(0, 0)).flatten(0, 1).narrow(0, 0, length - 3);
      return firstError((q as Tensor).narrow(0, 0, 1), keys(k), keys(v), (out as Tensor).narrow(0, 0, 1), undefined);
    },
    tolerance: 0.03,
    python: [
      `q=torch.randn(${sequences},${heads},1,${width},device='cuda',dtype=torch.bfloat16); k,v=[torch.randn(${sequences},${shared},${length},${width},device='cuda',dtype=torch.bfloat16) for _ in range(2)]`,
      `F.scaled_dot_product_attention(q,k,v,enable_gqa=${heads === shared ? "False" : "True"})`,
    ],
    bytes: 2 * 2 * sequences * length * shared * width,
  };
}

const cases: readonly Case[] = [
  ...sorting.flatMap(([rows, n]) =>
    DTYPES.map(([name, dtype]): Case => ({
      name: `sort ${rows}x${n} ${name}`,
      args: () => [dtype === int64 ? randint(0, 1 << 30, [rows, n], on) : randn([rows, n], on)],
      fn: (x) => (x as Tensor).sort(-1),
      error: sortError,
      tolerance: 0,
      python: [
        dtype === int64
          ? `x=torch.randint(0,1<<30,(${rows},${n}),device='cuda')`
          : `x=torch.randn(${rows},${n},device='cuda')`,
        "torch.sort(x,-1)",
      ],
    }))
  ),
  ...([[8, 131072, 50], [4096, 64, 2], [512, 32768, 8]] as const).map(([rows, n, k]): Case => ({
    name: `topk ${k} of ${rows}x${n}`,
    args: () => [randn([rows, n], on)],
    fn: (x) => (x as Tensor).topk(k),
    error: ([x], [values, at]) => {
      const gathered = (x as Tensor).gather(1, at as Tensor).ne(values as Tensor).to(float32).sum();
      const above = (x as Tensor).gt((values as Tensor).narrow(1, k - 1, 1)).to(float32).sum();
      return gathered.add(above.sub(rows * (k - 1)).abs());
    },
    tolerance: 0,
    python: [`x=torch.randn(${rows},${n},device='cuda')`, `torch.topk(x,${k})`],
  })),
  {
    name: "fft of 4096 rows of 1024",
    args: () => [randn([4096, 1024], on)],
    fn: (x) => [(x as Tensor).fftFftn(null, [1]).viewAsReal()],
    error: ([x], [y]) =>
      largest((y as Tensor).viewAsComplex().fftIfftn(null, [1]).viewAsReal().select(-1, 0).sub(x as Tensor)),
    tolerance: 1e-4,
    python: ["x=torch.randn(4096,1024,device='cuda')", "torch.fft.fftn(x,dim=[1])"],
  },
  {
    name: "histc of 16 Mi in 100 bins",
    args: () => [randn([1 << 24], on)],
    fn: (x) => [(x as Tensor).histc(100, -3, 3)],
    error: ([x], [y]) => (y as Tensor).sum().sub((x as Tensor).abs().le(3).to(float32).sum()).abs(),
    tolerance: 4,
    python: ["x=torch.randn(1<<24,device='cuda')", "torch.histc(x,100,-3,3)"],
  },
  ragged({ heads: 16, shared: 16, width: 128, lengths: [4096, 4096, 4096, 4096] }),
  ragged({ heads: 16, shared: 16, width: 128, lengths: [1000, 300, 7000, 37, 2000, 3000, 1663, 1384] }),
  ragged({ heads: 16, shared: 16, width: 128, lengths: [16384], window: 1024 }),
  paged(64, 4096, 16, 32, 8, 128),
  paged(64, 4096, 64, 32, 8, 128),
  paged(1, 32768, 16, 32, 8, 128),
  grouped(8192, 8, 4096, 14336),
  grouped(8192, 64, 2048, 2816),
  grouped(16, 8, 4096, 14336),
];

/** Milliseconds a call, of many that follow each other. */
function time(fn: () => void): number {
  const context = cudaContext(0);
  for (let i = 0; i < 3; i++) fn();
  context.synchronize();
  let best = Infinity;
  for (let round = 0; round < 5; round++) {
    const start = performance.now();
    for (let i = 0; i < 10; i++) fn();
    context.synchronize();
    best = Math.min(best, (performance.now() - start) / 10);
  }
  return best;
}

const PYTHON = `
import sys, json, torch, torch.nn.functional as F
def t(f):
    for _ in range(3): f()
    torch.cuda.synchronize(); best=1e9
    for _ in range(5):
        a=torch.cuda.Event(enable_timing=True); b=torch.cuda.Event(enable_timing=True)
        a.record()
        for _ in range(10): f()
        b.record(); b.synchronize(); best=min(best,a.elapsed_time(b)/10)
    return best
for setup, call in json.load(sys.stdin):
    try:
        g=dict(globals()); exec(setup, g); print(json.dumps(t(eval('lambda: '+call, g))), flush=True)
    except Exception as e: print(json.dumps(str(e)[:200]), flush=True)
`;

async function peerTimes(wanted: readonly Case[]): Promise<readonly unknown[]> {
  const python = withPeer ? await findPeer() : null;
  if (python === null) return [];
  const child = new Deno.Command(python, { args: ["-c", PYTHON], stdin: "piped", stdout: "piped" }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(JSON.stringify(wanted.map((c) => c.python))));
  await writer.close();
  const { stdout } = await child.output();
  return new TextDecoder().decode(stdout).trim().split("\n").map((line): unknown => JSON.parse(line));
}

const wanted = cases.filter((c) => filter.split(",").some((part) => c.name.includes(part)));
const peers = await peerTimes(wanted);
const rows: string[][] = [];
for (const [i, c] of wanted.entries()) {
  const row = [c.name];
  try {
    const args = c.args();
    const fn = compile((...given: Tensor[]) => c.fn(...given), { mode: "reduce-overhead" });
    const error = Number(c.error(args, fn(...args as Tensor[])).cpu().item());
    const ms = time(() => fn(...args as Tensor[]));
    row.push(
      ms.toFixed(4),
      c.bytes !== undefined
        ? `${(c.bytes / ms / 1e6).toFixed(0)} GB/s`
        : c.flops === undefined
        ? ""
        : `${(c.flops / ms / 1e9).toFixed(0)} TFLOP/s`,
    );
    row.push(error <= c.tolerance ? error.toExponential(0) : `WRONG ${error}`);
    const peer = peers[i];
    if (peer !== undefined) {
      row.push(
        typeof peer === "number" ? peer.toFixed(4) : String(peer),
        typeof peer === "number" ? (peer / ms).toFixed(2) : "",
      );
    }
  } catch (problem) {
    row.push(`FAILED ${problem instanceof Error ? problem.stack?.slice(0, 500) : String(problem)}`);
  }
  print(row.join("  "));
  rows.push(row);
}
printTable(["case", "ms", "", "error", ...(withPeer ? ["PyTorch", "ratio"] : [])], rows);
