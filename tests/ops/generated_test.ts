/** Every operator of the table, on the reference executor. */
import { dispatchComplete } from "../../src/tensor/mod.ts";
import { runOperatorTests } from "./harness.ts";

runOperatorTests("reference", dispatchComplete);
