/** The tiers that this machine can run. */
import { JS_TIER, type Tier } from "./harness.ts";

export interface TestedTier extends Tier {
  readonly ignore: boolean;
}

export const TIERS: readonly TestedTier[] = [{ ...JS_TIER, ignore: false }];
