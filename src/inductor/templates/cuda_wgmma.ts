/**
 * What Hopper's tensor cores multiply, and the instruction for it as text.
 *
 * Halves may lie along k or along their rows; tf32, int8 and fp8 along k only. Sums are float32, of int8 int32. The sums that the tensor cores keep of fp8 have fewer bits than
 * float32, so each step of 128 is added up apart (`promoted`), as libraries do unless they are asked not to.
 */
import { bfloat16, type DType, float16, float32, float8_e4m3fn, float8_e5m2, int32, int8 } from "../../core/mod.ts";
import type { TensorMapSpec } from "../codegen/cuda/launch.ts";

/** What the tensor cores may multiply: its name in an instruction, and how many of k one takes. */
export interface Element {
  readonly name: "bf16" | "f16" | "tf32" | "s8" | "e4m3" | "e5m2";
  readonly dtype: DType;
  readonly sum: DType;
  readonly k: number;
  readonly map: TensorMapSpec["type"];
  /** Sums of a step are made apart, and added. */
  readonly promoted?: boolean;
}

const ELEMENTS: readonly Element[] = [
  { name: "bf16", dtype: bfloat16, sum: float32, k: 16, map: "bfloat16" },
  { name: "f16", dtype: float16, sum: float32, k: 16, map: "float16" },
  { name: "s8", dtype: int8, sum: int32, k: 32, map: "uint8" },
  { name: "e4m3", dtype: float8_e4m3fn, sum: float32, k: 32, map: "uint8", promoted: true },
  { name: "e5m2", dtype: float8_e5m2, sum: float32, k: 32, map: "uint8", promoted: true },
];
/** The copy engine rounds to tf32; the tensor cores would cut off. */
const TF32: Element = { name: "tf32", dtype: float32, sum: float32, k: 8, map: "tfloat32" };

/** How elements of a dtype are multiplied and summed; null where they are not. `tf32`: whether float32 may be rounded. */
export function elementOf(dtype: DType | null, sum: DType, tf32: boolean): Element | null {
  const found = dtype === null ? (tf32 ? TF32 : undefined) : ELEMENTS.find((e) => e.dtype === dtype);
  return found?.sum === sum ? found : null;
}

/** The type of sums. */
export function sumText({ sum }: Element): "float" | "int" {
  return sum === int32 ? "int" : "float";
}

/** The name of the instruction's function for 64 × n sums. */
export function wgmmaName(n: number, a: Element, b: Element): string {
  return `tsr_wgmma_${n}_${a.name}_${b.name}`;
}

/** The instruction as a function. */
export function wgmmaText(n: number, a: Element, b: Element): string {
  const count = n / 2;
  const list = Array.from({ length: count }, (_, i) => `%${i}`).join(", ");
  const type = sumText(a);
  const operands = Array.from({ length: count }, (_, i) => `"+${type === "int" ? "r" : "f"}"(d[${i}])`).join(", ");
  const turns = a.k === 16;
  const flags = turns ? `, 1, 1, %${count + 3}, %${count + 4}` : type === "int" ? "" : ", 1, 1";
  const inputs = `"l"(a), "l"(b), "r"(keep)${turns ? `, "n"(TA), "n"(TB)` : ""}`;
  const head = `template <int TA, int TB>
TSR void ${wgmmaName(n, a, b)}(${type} (&d)[${count}], unsigned long a, unsigned long b, int keep) {`;
  const shape = `m64n${n}k${a.k}.${type === "int" ? "s32" : "f32"}.${a.name}.${b.name}`;
  // On the emulated device it is a function.
  return `#ifdef TSR_EMULATED
${head}
  tsr_wgmma_ss<TA, TB, ${a.k}>(d, a, b, keep, (${STORED[a.name]}*)0, (${STORED[b.name]}*)0);
}
#else
${head}
  asm volatile("{\\n.reg .pred p;\\nsetp.ne.b32 p, %${count + 2}, 0;\\n"
    "wgmma.mma_async.sync.aligned.${shape} {${list}}, %${count}, %${count + 1}, p${flags};\\n}"
    : ${operands} : ${inputs});
}
#endif`;
}

/** Types of elements in memory. */
const STORED: Readonly<Record<Element["name"], string>> = {
  bf16: "bf16",
  f16: "f16",
  tf32: "float",
  s8: "signed char",
  e4m3: "e4m3",
  e5m2: "e5m2",
};
