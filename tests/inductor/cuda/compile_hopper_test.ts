/** Kernels compile for Hopper: see `compile_suite.ts`. */
import { testKernels } from "./compile_suite.ts";

testKernels("sm_90a");
