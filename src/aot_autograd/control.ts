/**
 * Control flow in functional form: the graphs of a call write nothing, not even to what they made themselves.
 *
 * Enters: a higher-order operator as it was captured. Leaves: one over functional graphs, in which the same calls count as recorded by the tape. Operators stay whole:
 * they are taken apart where the graphs are run or differentiated.
 */
import { type Body, type ControlOperator, withBodies } from "../capture/mod.ts";
import type { Node } from "../graph/mod.ts";
import { isControl, isMutating } from "../graph/mod.ts";
import type { NamedArgs, Operator } from "../ops/mod.ts";
import { isGradEnabled, noGrad, type OpResult, Tensor, withMode } from "../tensor/mod.ts";
import { Functionalizer, Place } from "./functionalize.ts";
import { GraphRecorder } from "./recorder.ts";

/** Notes which calls were made with the tape on. */
class BodyRecorder extends GraphRecorder {
  readonly recorded = new Set<Node>();

  override dispatch(op: Operator, args: NamedArgs<Tensor>): OpResult {
    const result = super.dispatch(op, args);
    const first = result instanceof Tensor ? result : result[0];
    const node = first?.node ?? null;
    if (isGradEnabled() && node !== null) this.recorded.add(node.op === "getItem" ? node.source : node);
    return result;
  }
}

function isFunctional(body: Body): boolean {
  return body.graph.calls.every(({ target }) =>
    !isMutating(target) && (!isControl(target) || (target as ControlOperator).bodies.every(isFunctional))
  );
}

function functionalBody(body: Body): Body {
  if (isFunctional(body)) return body;
  const recorder = new BodyRecorder(() => true);
  const { graph, recorded } = body;
  const module = { graph, attributes: new Map<string, Tensor>(), recorded, differentiable: [] };
  withMode(recorder, () =>
    noGrad(() => {
      const run = new Functionalizer(module, recorder, true).run(() => false);
      recorder.graph.setOutput(run.results.map((r) => {
        const value = r instanceof Place ? r.read() : null;
        return value === null ? null : recorder.nodeOf(value);
      }));
    }));
  return { graph: recorder.graph, recorded: recorder.recorded };
}

const known = new WeakMap<ControlOperator, ControlOperator>();

/** The operator over functional graphs. */
export function functionalControl(op: ControlOperator): ControlOperator {
  if (op.bodies.every(isFunctional)) return op;
  let made = known.get(op);
  if (made === undefined) known.set(op, made = withBodies(op, op.bodies.map(functionalBody)));
  return made;
}
