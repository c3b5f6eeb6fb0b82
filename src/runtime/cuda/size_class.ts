/**
 * Size classes of device memory: few, so that freed blocks are found again, and near enough that little is wasted.
 */

/**
 * Rounds up to what the allocator reserves: multiples of 512 bytes, from 4 KiB on eight steps between powers of two, from
 * 32 MiB on sixteen.
 *
 * @example
 * ```ts
 * import { sizeClass } from "./size_class.ts";
 * console.assert(sizeClass(1) === 512 && sizeClass(5000) === 5120 && sizeClass(0) === 512);
 * ```
 */
export function sizeClass(byteLength: number): number {
  if (byteLength <= 512) return 512;
  const steps = byteLength <= 0x200_0000 ? 8 : 16;
  const power = 2 ** Math.floor(Math.log2(byteLength - 1));
  return Math.ceil(byteLength / Math.max(512, power / steps)) * Math.max(512, power / steps);
}
