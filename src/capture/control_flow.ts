/**
 * Control flow on data, written so that capture can follow it. The parts are in `control/`; here they become part of the library.
 */
import { associativeScan } from "./control/associative_scan.ts";
import { checkpoint, cond } from "./control/branches.ts";
import { forLoop, map, scan, whileLoop } from "./control/loops.ts";
import { registerLibrary } from "./library.ts";

export { associativeScan } from "./control/associative_scan.ts";
export { checkpoint, cond } from "./control/branches.ts";
export { type Body, makeBody, runBody } from "./control/body.ts";
export { forLoop, map, scan, type ScanOptions, whileLoop, type WhileOptions } from "./control/loops.ts";
export {
  type ControlOperator,
  controlOperator,
  type GraphRunner,
  isControlOperator,
  withBodies,
} from "./control/operator.ts";
export { type FollowedGraph, isOfLibrary, restoreGraph, type StoredGraph, storeGraph } from "./control/stored_graph.ts";
export type { Tree } from "./control/trees.ts";

registerLibrary({ associativeScan, checkpoint, cond, forLoop, map, scan, whileLoop }, "control");
