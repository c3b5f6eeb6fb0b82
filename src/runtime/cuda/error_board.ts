/**
 * Where kernels say that they met a wrong index, or data that an algorithm cannot take, and the host reads it.
 *
 * The words lie in pinned host memory, which kernels reach by its address: the host sees them without a copy as soon as it has waited for the device
 * anyway. So a wrong index costs nothing until somebody reads data, and unlike an assertion it does not end the context. Each executable has
 * four int64 words of its own: a wrong index, the size that it broke, what kind of error it is (0: none), one in reserve. They are another's when it is gone.
 */

import { indexErrorText, operatorErrorText } from "../../core/mod.ts";
import type { CudaContext } from "./context.ts";
import { handleFrom } from "./driver.ts";

const WORDS = 4;
const FLAG = 2;
const SLOTS = 128;
const PAGE_BYTES = 8 * WORDS * SLOTS;
const PORTABLE = 1;

/** What each kind says; the words of kernels are numbers alone. */
const MESSAGES: readonly ((value: bigint, size: bigint) => string)[] = [
  () => "",
  indexErrorText,
  (matrix, pivot) => `matrix ${matrix} is singular: pivot ${pivot} is 0; use linalg_pinv or linalg_lstsq`,
  (matrix, minor) => `matrix ${matrix} is not positive definite: its leading minor of order ${minor} is not positive`,
  () => "histc: the range of the elements is not finite",
  (element) => `element ${element} is negative; rates and counts must not be negative`,
  (degree) => `special polynomial: degree n = ${degree} is too high: at most 1048576`,
];

/** The words of one executable. */
export interface ErrorSlot {
  /** What a kernel gets. */
  readonly address: number;
  /** Throws what was written since the last look. @throws {RangeError} */
  check(): void;
}

/** All words of one context. */
export class ErrorBoard {
  readonly #context: CudaContext;
  readonly #pages: { readonly address: number; readonly words: BigInt64Array<ArrayBuffer> }[] = [];
  readonly #labels: string[] = [];
  /** Words whose executables are gone. */
  #free: number[] = [];
  readonly #collected = new FinalizationRegistry<number>((number) => void this.#free.push(number));

  constructor(context: CudaContext) {
    this.#context = context;
  }

  /** Words for an executable; `label` begins the message of its errors. */
  allocate(label: string): ErrorSlot {
    const number = this.#next();
    this.#labels[number] = label;
    const page = this.#pages[Math.floor(number / SLOTS)];
    if (page === undefined) throw new RangeError("the error board has no such page");
    const at = WORDS * (number % SLOTS);
    const slot: ErrorSlot = { address: page.address + 8 * at, check: () => this.#check(number) };
    this.#collected.register(slot, number);
    return slot;
  }

  /** Words that nobody has: those of an executable that is gone, unless they say something that nobody has read. */
  #next(): number {
    const isRead = (n: number): boolean => this.#pages[Math.floor(n / SLOTS)]?.words[WORDS * (n % SLOTS) + FLAG] === 0n;
    const at = this.#free.findIndex(isRead);
    if (at >= 0) return this.#free.splice(at, 1)[0] ?? 0;
    const number = this.#labels.length;
    if (number % SLOTS === 0) this.#addPage();
    return number;
  }

  /** Throws the first error that was written. Call it after waiting for the device. @throws {RangeError} */
  check(): void {
    for (let number = 0; number < this.#labels.length; number++) this.#check(number);
  }

  #check(number: number): void {
    const page = this.#pages[Math.floor(number / SLOTS)];
    const at = WORDS * (number % SLOTS);
    if (page === undefined || page.words[at + FLAG] === 0n) return;
    const [value = 0n, size = 0n, kind = 0n] = page.words.subarray(at, at + WORDS);
    page.words.fill(0n, at, at + WORDS);
    const label = this.#labels[number] ?? "";
    throw new RangeError(
      Number(kind) === 1 ? operatorErrorText(label, value, size) : `${label}: ${MESSAGES[Number(kind)]?.(value, size)}`,
    );
  }

  #addPage(): void {
    const context = this.#context;
    context.activate();
    const pointer = handleFrom(
      (out) => context.api.cuMemHostAlloc(out, BigInt(PAGE_BYTES), PORTABLE),
      (status) => context.check(status, "cuMemHostAlloc", `${PAGE_BYTES} bytes of pinned host memory`),
    );
    const words = new BigInt64Array(Deno.UnsafePointerView.getArrayBuffer(pointer, PAGE_BYTES));
    words.fill(0n);
    this.#pages.push({ address: Number(Deno.UnsafePointer.value(pointer)), words });
  }
}
