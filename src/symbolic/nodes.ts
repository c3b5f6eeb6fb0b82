/**
 * The nodes of the symbolic integer algebra and the table that interns them.
 *
 * What enters is a kind with already canonical children; what leaves is the one live node of that structure, so that
 * `===` is structural equality and every node carries its interval and hash. Only the constructors in `expr.ts`,
 * `divide.ts` and `relations.ts` call the `intern*` functions; they alone know what is canonical.
 *
 * Memory: new nodes stand in a strong table, which keeps creation cheap. When that table is full, its entries move to a
 * table of `WeakRef`s, which is swept whenever it has doubled. So a node that somebody holds is always found again
 * (identity never splits), and what nobody holds is collectable once the table ages: at most `STRONG_LIMIT` (some tens of
 * megabytes) of dead nodes stay reachable. A `WeakRef` for every new node would cost four times the node itself (measured).
 */

/** What a symbol stands for: a tensor size, a loop index, a value loaded from memory, or a size known only at run time. */
export type SymKind = "size" | "index" | "indirect" | "unbacked";

/** A symbol. Identity is the object; the name exists for printing only. Its range never changes after creation. */
export interface Sym {
  readonly id: number;
  readonly name: string;
  readonly kind: SymKind;
  /** Least value (inclusive), possibly -Infinity. */
  readonly lower: number;
  /** Greatest value (inclusive), possibly Infinity. */
  readonly upper: number;
  /** For an index symbol: its values are 0 … extent-1. */
  readonly extent?: Expr;
  readonly payload?: unknown;
}

interface NodeBase {
  /** Unique among all nodes ever made; never reused. */
  readonly id: number;
  readonly hash: number;
  /** A 32-bit Bloom filter of the symbols below; a clear bit proves absence. */
  readonly mask: number;
}

interface IntegerBase extends NodeBase {
  /** The interval of the value, see `bounds()`. */
  readonly lower: number;
  readonly upper: number;
}

export interface ConstExpr extends IntegerBase {
  readonly kind: "const";
  readonly value: number;
}
export interface SymbolExpr extends IntegerBase {
  readonly kind: "symbol";
  readonly symbol: Sym;
}
/** One summand: `coefficient * factor`, where the factor is neither a constant nor a sum. */
export interface Term {
  readonly coefficient: number;
  readonly factor: Expr;
}
/** `Σ coefficient·factor + constant`; also the form of `4*x`: one term. Terms are sorted by `compareExpr`. */
export interface AddExpr extends IntegerBase {
  readonly kind: "add";
  readonly terms: readonly Term[];
  readonly constant: number;
}
/** A product of at least two factors without a constant; powers repeat the factor. Sorted by `compareExpr`. */
export interface MulExpr extends IntegerBase {
  readonly kind: "mul";
  readonly factors: readonly Expr[];
}
/** Python's `a // b`: rounds towards minus infinity. */
export interface FloorDivExpr extends IntegerBase {
  readonly kind: "floorDiv";
  readonly a: Expr;
  readonly b: Expr;
}
/** Python's `a % b`: the result takes the divisor's sign. */
export interface ModExpr extends IntegerBase {
  readonly kind: "mod";
  readonly a: Expr;
  readonly b: Expr;
}
export interface MinExpr extends IntegerBase {
  readonly kind: "min";
  readonly args: readonly Expr[];
}
export interface MaxExpr extends IntegerBase {
  readonly kind: "max";
  readonly args: readonly Expr[];
}
/** `cond ? a : b`; the branch that is not taken is not evaluated. */
export interface WhereExpr extends IntegerBase {
  readonly kind: "where";
  readonly cond: BoolExpr;
  readonly a: Expr;
  readonly b: Expr;
}

/** An interned, immutable integer expression: `===` is structural equality. */
export type Expr =
  | ConstExpr
  | SymbolExpr
  | AddExpr
  | MulExpr
  | FloorDivExpr
  | ModExpr
  | MinExpr
  | MaxExpr
  | WhereExpr;

export interface BoolConst extends NodeBase {
  readonly kind: "bool";
  readonly value: boolean;
}
export interface RelationExpr extends NodeBase {
  readonly kind: "eq" | "ne" | "lt" | "le";
  readonly a: Expr;
  readonly b: Expr;
}
export interface JunctionExpr extends NodeBase {
  readonly kind: "and" | "or";
  readonly args: readonly BoolExpr[];
}

/** An interned condition. Negation is always pushed inwards, so there is no node for it. */
export type BoolExpr = BoolConst | RelationExpr | JunctionExpr;

type Node = Expr | BoolExpr;
type Draft<T> = { -readonly [K in keyof T]: T[K] };

const STRONG_LIMIT = 1 << 18;

let nextId = 0;
let strongCount = 0;
let strong = new Map<number, Node | Node[]>();
let weak = new Map<number, WeakRef<Node> | WeakRef<Node>[]>();
let weakCount = 0;
let sweepAt = STRONG_LIMIT;

/** How many nodes the interning tables hold, for tests and diagnostics. */
export function internedCount(): number {
  return strongCount + weakCount;
}

function addWeak(table: typeof weak, hash: number, ref: WeakRef<Node>): void {
  const bucket = table.get(hash);
  if (bucket === undefined) table.set(hash, ref);
  else if (Array.isArray(bucket)) bucket.push(ref);
  else table.set(hash, [bucket, ref]);
  weakCount++;
}

/** Moves all entries to the weak table. Called when the strong table is full; exported for tests of memory. */
export function ageInternTable(): void {
  for (const bucket of strong.values()) {
    if (!Array.isArray(bucket)) addWeak(weak, bucket.hash, new WeakRef(bucket));
    else for (const node of bucket) addWeak(weak, node.hash, new WeakRef(node));
  }
  strong = new Map();
  strongCount = 0;
  if (weakCount >= sweepAt) sweepInternTable();
}

/** Drops entries of collected nodes. */
export function sweepInternTable(): void {
  const live: typeof weak = new Map();
  weakCount = 0;
  for (const [hash, bucket] of weak) {
    for (const ref of Array.isArray(bucket) ? bucket : [bucket]) {
      if (ref.deref() !== undefined) addWeak(live, hash, ref);
    }
  }
  weak = live;
  sweepAt = Math.max(STRONG_LIMIT, weakCount * 2);
}

function sameList(a: readonly Node[], b: readonly Node[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

function sameTerms(a: readonly Term[], b: readonly Term[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) {
    const x = a[i], y = b[i];
    if (x?.factor !== y?.factor || x?.coefficient !== y?.coefficient) return false;
  }
  return true;
}

function sameNode(x: Node, y: Node): boolean {
  switch (x.kind) {
    case "const":
      return y.kind === "const" && x.value === y.value;
    case "bool":
      return y.kind === "bool" && x.value === y.value;
    case "symbol":
      return y.kind === "symbol" && x.symbol === y.symbol;
    case "add":
      return y.kind === "add" && x.constant === y.constant && sameTerms(x.terms, y.terms);
    case "mul":
      return y.kind === "mul" && sameList(x.factors, y.factors);
    case "floorDiv":
    case "mod":
    case "eq":
    case "ne":
    case "lt":
    case "le":
      return y.kind === x.kind && x.a === y.a && x.b === y.b;
    case "min":
    case "max":
    case "and":
    case "or":
      return y.kind === x.kind && sameList(x.args, y.args);
    case "where":
      return y.kind === "where" && x.cond === y.cond && x.a === y.a && x.b === y.b;
    default:
      return x satisfies never;
  }
}

function findWeak(draft: Node): Node | undefined {
  const bucket = weak.get(draft.hash);
  if (bucket === undefined) return undefined;
  if (!Array.isArray(bucket)) {
    const node = bucket.deref();
    return node !== undefined && sameNode(draft, node) ? node : undefined;
  }
  for (const ref of bucket) {
    const node = ref.deref();
    if (node !== undefined && sameNode(draft, node)) return node;
  }
  return undefined;
}

/** Returns the live node equal to the draft, or makes the draft that node after `finish` has completed it. */
function intern<T extends Node>(candidate: T, finish: (draft: Draft<T>) => void): T {
  const bucket = strong.get(candidate.hash);
  if (bucket !== undefined) {
    if (Array.isArray(bucket)) {
      for (const node of bucket) if (sameNode(candidate, node)) return node as T;
    } else if (sameNode(candidate, bucket)) return bucket as T;
  }
  if (weakCount > 0) {
    const old = findWeak(candidate);
    if (old !== undefined) return old as T;
  }
  const draft: Draft<T> = candidate;
  finish(draft);
  (draft as Draft<NodeBase>).id = nextId++;
  if (bucket === undefined) strong.set(candidate.hash, candidate);
  else if (Array.isArray(bucket)) bucket.push(candidate);
  else strong.set(candidate.hash, [bucket, candidate]);
  if (++strongCount >= STRONG_LIMIT) ageInternTable();
  return candidate;
}

/** Mixes a number into a hash; 30 bits, so that the keys of the table stay small integers. */
function mix(hash: number, value: number): number {
  let h = Math.imul(hash ^ value, 0x9e3779b1);
  h ^= h >>> 15;
  return h & 0x3fffffff;
}

function mixNumber(hash: number, value: number): number {
  return mix(mix(hash, value | 0), Math.floor(value / 4294967296));
}

/** An interval end beyond the safe integers is not trusted: it becomes infinite. */
function end(value: number): number {
  if (value > Number.MAX_SAFE_INTEGER) return Infinity;
  if (value < Number.MIN_SAFE_INTEGER) return -Infinity;
  return value;
}

function times(a: number, b: number): number {
  return a === 0 || b === 0 ? 0 : a * b;
}

/** Interns a constant. Throws RangeError unless the value is a safe integer. */
export function internConst(value: number): ConstExpr {
  if (!Number.isSafeInteger(value)) {
    throw new RangeError(
      `symbolic: ${value} is not an exact integer (|value| must stay below 2^53); check the sizes that are multiplied`,
    );
  }
  const v = value + 0;
  return intern<ConstExpr>(
    { kind: "const", id: 0, hash: mixNumber(1, v), mask: 0, lower: v, upper: v, value: v },
    () => {},
  );
}

export function internSymbol(symbol: Sym): SymbolExpr {
  const draft: SymbolExpr = {
    kind: "symbol",
    id: 0,
    hash: mix(2, symbol.id),
    mask: 1 << (symbol.id & 31),
    lower: end(symbol.lower),
    upper: end(symbol.upper),
    symbol,
  };
  return intern<SymbolExpr>(draft, () => {});
}

export function internAdd(terms: readonly Term[], constant: number): AddExpr {
  let hash = mixNumber(3, constant);
  for (const term of terms) hash = mixNumber(mix(hash, term.factor.id), term.coefficient);
  return intern<AddExpr>({ kind: "add", id: 0, hash, mask: 0, lower: 0, upper: 0, terms, constant }, finishAdd);
}

function finishAdd(draft: Draft<AddExpr>): void {
  let lower = draft.constant, upper = draft.constant, mask = 0;
  for (const { coefficient: c, factor } of draft.terms) {
    mask |= factor.mask;
    lower += times(c, c > 0 ? factor.lower : factor.upper);
    upper += times(c, c > 0 ? factor.upper : factor.lower);
  }
  draft.mask = mask;
  draft.lower = end(lower);
  draft.upper = end(upper);
}

export function internMul(factors: readonly Expr[]): MulExpr {
  let hash = 4;
  for (const factor of factors) hash = mix(hash, factor.id);
  return intern<MulExpr>({ kind: "mul", id: 0, hash, mask: 0, lower: 0, upper: 0, factors }, finishMul);
}

function finishMul(draft: Draft<MulExpr>): void {
  let lower = 1, upper = 1, mask = 0;
  for (let i = 0; i < draft.factors.length; i++) {
    const factor = draft.factors[i] as Expr;
    mask |= factor.mask;
    let lo = factor.lower, hi = factor.upper;
    if (draft.factors[i + 1] === factor) { // a square is never negative
      i++;
      const l = times(lo, lo), h = times(hi, hi);
      [lo, hi] = [lo <= 0 && hi >= 0 ? 0 : Math.min(l, h), Math.max(l, h)];
    }
    const a = times(lower, lo), b = times(lower, hi), c = times(upper, lo), d = times(upper, hi);
    lower = Math.min(a, b, c, d);
    upper = Math.max(a, b, c, d);
  }
  draft.mask = mask;
  draft.lower = end(lower);
  draft.upper = end(upper);
}

export function internFloorDiv(a: Expr, b: Expr): FloorDivExpr {
  const hash = mix(mix(5, a.id), b.id);
  return intern<FloorDivExpr>(
    { kind: "floorDiv", id: 0, hash, mask: a.mask | b.mask, lower: 0, upper: 0, a, b },
    finishFloorDiv,
  );
}

function quotientEnd(a: number, b: number): number {
  if (Number.isFinite(b)) return Math.floor(a / b);
  return a === 0 || (a > 0) === (b > 0) ? 0 : -1;
}

function finishFloorDiv(draft: Draft<FloorDivExpr>): void {
  const { a, b } = draft;
  let lo = b.lower, hi = b.upper;
  if (lo >= 0) lo = Math.max(lo, 1);
  if (hi <= 0) hi = Math.min(hi, -1);
  if (lo > hi || (lo < 0 && hi > 0)) {
    const most = Math.max(Math.abs(a.lower), Math.abs(a.upper));
    draft.lower = -most;
    draft.upper = most;
    return;
  }
  const w = quotientEnd(a.lower, lo), x = quotientEnd(a.lower, hi);
  const y = quotientEnd(a.upper, lo), z = quotientEnd(a.upper, hi);
  draft.lower = end(Math.min(w, x, y, z)) + 0;
  draft.upper = end(Math.max(w, x, y, z)) + 0;
}

export function internMod(a: Expr, b: Expr): ModExpr {
  const hash = mix(mix(6, a.id), b.id);
  return intern<ModExpr>({ kind: "mod", id: 0, hash, mask: a.mask | b.mask, lower: 0, upper: 0, a, b }, finishMod);
}

function finishMod(draft: Draft<ModExpr>): void {
  const { a, b } = draft;
  draft.lower = b.lower >= 0 ? 0 : Math.min(b.lower + 1, 0);
  draft.upper = b.upper <= 0 ? 0 : Math.max(b.upper - 1, 0);
  if (b.lower >= 0 && a.lower >= 0) draft.upper = Math.min(draft.upper, a.upper);
}

export function internMin(args: readonly Expr[]): MinExpr {
  let hash = 7;
  for (const arg of args) hash = mix(hash, arg.id);
  return intern<MinExpr>({ kind: "min", id: 0, hash, mask: 0, lower: 0, upper: 0, args }, (draft) => {
    draft.lower = Math.min(...args.map((arg) => arg.lower));
    draft.upper = Math.min(...args.map((arg) => arg.upper));
    draft.mask = args.reduce((mask, arg) => mask | arg.mask, 0);
  });
}

export function internMax(args: readonly Expr[]): MaxExpr {
  let hash = 8;
  for (const arg of args) hash = mix(hash, arg.id);
  return intern<MaxExpr>({ kind: "max", id: 0, hash, mask: 0, lower: 0, upper: 0, args }, (draft) => {
    draft.lower = Math.max(...args.map((arg) => arg.lower));
    draft.upper = Math.max(...args.map((arg) => arg.upper));
    draft.mask = args.reduce((mask, arg) => mask | arg.mask, 0);
  });
}

export function internWhere(cond: BoolExpr, a: Expr, b: Expr): WhereExpr {
  const hash = mix(mix(mix(9, cond.id), a.id), b.id);
  return intern<WhereExpr>({
    kind: "where",
    id: 0,
    hash,
    mask: cond.mask | a.mask | b.mask,
    lower: Math.min(a.lower, b.lower),
    upper: Math.max(a.upper, b.upper),
    cond,
    a,
    b,
  }, () => {});
}

export function internBool(value: boolean): BoolConst {
  return intern<BoolConst>({ kind: "bool", id: 0, hash: mix(10, value ? 1 : 0), mask: 0, value }, () => {});
}

const relationSeed = { eq: 11, ne: 12, lt: 13, le: 14 } as const;

export function internRelation(kind: RelationExpr["kind"], a: Expr, b: Expr): RelationExpr {
  const hash = mix(mix(relationSeed[kind], a.id), b.id);
  return intern<RelationExpr>({ kind, id: 0, hash, mask: a.mask | b.mask, a, b }, () => {});
}

export function internJunction(kind: JunctionExpr["kind"], args: readonly BoolExpr[]): JunctionExpr {
  let hash = kind === "and" ? 15 : 16;
  for (const arg of args) hash = mix(hash, arg.id);
  const mask = args.reduce((all, arg) => all | arg.mask, 0);
  return intern<JunctionExpr>({ kind, id: 0, hash, mask, args }, () => {});
}
