/**
 * Where a compiled graph runs.
 *
 * A graph in which any tensor lives on a CUDA device runs there as a whole: what it reads from the CPU is uploaded at the call, and results that belong on
 * the CPU come back at its end. So moving a tensor inside a compiled function costs one copy and no break. Only one device takes part.
 */
import { CompileError, cpu, type Device } from "../core/mod.ts";
import { type Graph, isNode, isTensorMeta, type NodeValue } from "../graph/mod.ts";
import type { Donations } from "./donations.ts";

function* metasIn(value: NodeValue): Iterable<Device> {
  if (isTensorMeta(value)) yield value.device;
  else if (Array.isArray(value)) { for (const item of value as readonly NodeValue[]) yield* metasIn(item); }
}

/**
 * The device that a functional graph runs on.
 *
 * @throws {CompileError} if its tensors are on two devices that are not the CPU.
 */
export function graphDevice(graph: Graph): Device {
  let found: Device = cpu;
  for (const node of graph.nodes) {
    for (const device of metasIn(node.value)) {
      if (device === cpu || device === found || device.type === "meta") continue;
      if (found !== cpu) {
        throw new CompileError(
          `a compiled function uses tensors on ${found} and ${device}: compile a function for each, and move tensors between them`,
        );
      }
      found = device;
    }
  }
  return found;
}

/** What a graph that runs on `device` can write in place: memory there. */
export function donationsOn(device: Device, graph: Graph, donate: Donations | undefined): Donations | undefined {
  if (donate === undefined || device === cpu) return donate;
  const kept = [...donate].filter(([, target]) => {
    const node = (target.kind === "input" ? graph.placeholders : graph.attributes)[target.index];
    return node !== undefined && isTensorMeta(node.value) && node.value.device === device;
  });
  return new Map(kept);
}

/** The device of each result of a graph, as its nodes say; null for what is no tensor. */
export function resultDevices(graph: Graph): (Device | null)[] {
  return graph.output.results.map((result) => {
    const value = isNode(result) ? result.value : null;
    return isTensorMeta(value) ? value.device : null;
  });
}
