/**
 * Control flow on data, written so that capture can follow it. The parts are in `control/`; here they become part of the library.
 */
import { checkpoint, cond } from "./control/branches.ts";
import { associativeScan, forLoop, map, scan, whileLoop } from "./control/loops.ts";
import { registerLibrary } from "./library.ts";

export { checkpoint, cond } from "./control/branches.ts";
export { type Body, makeBody, runBody } from "./control/body.ts";
export { associativeScan, forLoop, map, scan, type ScanOptions, whileLoop } from "./control/loops.ts";
export { type ControlOperator, controlOperator, type GraphRunner, isControlOperator, withBodies } from "./control/operator.ts";
export type { Tree } from "./control/trees.ts";

registerLibrary({ associativeScan, checkpoint, cond, forLoop, map, scan, whileLoop }, "control");
