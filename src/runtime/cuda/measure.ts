/**
 * How long work takes on a device: by events around it, caches cold, the median of several runs.
 *
 * Before each run as many bytes are written as fill the second-level cache several times over, which also keeps the device busy until the host has sent the work;
 * then what the work would find in that cache is read again. So a weight comes from memory, as in a model, and what the kernel before has just written does not.
 */
import type { CudaContext } from "./context.ts";
import type { CudaStream } from "./stream.ts";

/** How to measure. */
export interface MeasureOptions {
  /** Milliseconds of the device that runs may take together. Default 30. */
  readonly budgetMs?: number;
  /** Runs at least, and at most. Default 5 and 25. */
  readonly least?: number;
  readonly most?: number;
  /** Ranges that are read before each run, so that they lie in the cache. */
  readonly warm?: readonly { readonly address: number; readonly byteLength: number }[];
}

/** Writing these takes a device about 0.1 ms. */
const FLUSH_BYTES = 256 * 2 ** 20;

/** The median of a list. */
export function median(list: readonly number[]): number {
  const sorted = [...list].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] ?? NaN : ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2;
}

/**
 * Milliseconds that what `run` sends to the stream takes.
 *
 * @throws what `run` throws, and {@linkcode CudaError} for faults of its kernels
 */
export function measureOnDevice(
  context: CudaContext,
  run: (stream: CudaStream) => void,
  options: MeasureOptions = {},
): number {
  const { budgetMs = 30, least = 5, most = 25, warm = [] } = options;
  const stream = context.currentStream;
  const largest = warm.reduce((n, range) => Math.max(n, range.byteLength), 0);
  using room = context.allocator.allocate(FLUSH_BYTES + largest, "room that flushes the cache", stream);
  const times: number[] = [];
  const round = (runs: number): void => {
    const marks = Array.from({ length: runs }, () => {
      context.fill(room.address, 0, FLUSH_BYTES, stream);
      for (const { address, byteLength } of warm) context.copy(room.address + FLUSH_BYTES, address, byteLength, stream);
      const start = stream.record({ timing: true });
      run(stream);
      return [start, stream.record({ timing: true })] as const;
    });
    stream.synchronize();
    for (const [start, end] of marks) {
      times.push(end.millisecondsSince(start));
      start.dispose();
      end.dispose();
    }
  };
  // The first run loads code.
  round(1);
  times.pop();
  round(2);
  const each = median(times) + 0.15;
  const rest = Math.min(most, Math.floor(budgetMs / each)) - times.length;
  round(Math.max(rest, least - times.length, 1));
  return median(times);
}
