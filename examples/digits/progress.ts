/**
 * Progress of training: a bar on a terminal, a line an epoch elsewhere.
 */
// @ts-types="npm:@types/cli-progress@^3.11.6"
import cliProgress from "cli-progress";

const encoder = new TextEncoder();

/** Writes a line to standard output. */
export function print(text = ""): void {
  const bytes = encoder.encode(`${text}\n`);
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}

/** What training tells. */
export interface Progress {
  /** A batch is done. */
  step(loss: number, imagesPerSecond: number): void;
  /** All is done, or was given up. */
  stop(): void;
}

/** A bar over `total` batches; silent if standard output is no terminal. */
export function makeProgress(total: number): Progress {
  if (!Deno.stdout.isTerminal()) return { step: () => {}, stop: () => {} };
  const bar = new cliProgress.SingleBar({
    format: "training {bar} {percentage}% | loss {loss} | {rate} images/s | {eta} s left",
    hideCursor: true,
    fps: 10,
  }, cliProgress.Presets.shades_classic);
  bar.start(total, 0, { loss: "…", rate: "…" });
  return {
    step: (loss, rate) => bar.increment(1, { loss: loss.toFixed(4), rate: rate.toFixed(0) }),
    stop: () => bar.stop(),
  };
}
