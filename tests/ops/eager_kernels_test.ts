/** Every operator of the table on JavaScript kernels made by the compiler, against the reference executor. */
import { InductorEagerBackend } from "../../src/inductor/eager_backend.ts";
import { dispatchComplete, withEagerBackend } from "../../src/tensor/mod.ts";
import { runOperatorTests } from "./harness.ts";

const backend = new InductorEagerBackend();
runOperatorTests("JavaScript kernels", (op, args) => withEagerBackend(backend, () => dispatchComplete(op, args)));
