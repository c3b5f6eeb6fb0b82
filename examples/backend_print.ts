// deno-lint-ignore-file no-console
/** A backend of one's own: it prints each graph that capture hands over, and runs it operator by operator. */
import { compile, type CompilerBackend, findBackend, randn, registerBackend, type Tensor } from "../mod.ts";
import { graphToText } from "../src/graph/mod.ts";

/** A backend gets a graph, the tensors that it holds, and those of the call; it gives back a function of the inputs. */
const print: CompilerBackend = (module, exampleInputs, context) => {
  console.log(`${module.graph.calls.length} operators on ${exampleInputs.length} inputs`);
  console.log(graphToText(module.graph));
  return findBackend("eager")(module, exampleInputs, context);
};

registerBackend("print", print);

if (import.meta.main) {
  const f = compile((x: Tensor, y: Tensor) => x.matmul(y).relu().sum(), { backend: "print" });
  console.log(`${f(randn([3, 4]), randn([4, 2]))}`);
  // The same graph serves again: nothing is printed but the result.
  console.log(`${f(randn([3, 4]), randn([4, 2]))}`);
}
