/** Kernels compile for Ampere: see `compile_suite.ts`. */
import { testKernels } from "./compile_suite.ts";

testKernels("sm_80");
