/** Computing nodes of the graph. @module */

import { anyDevice } from "./device/current.ts";
import type { Allocation, Device } from "./device/device.ts";
import { isDry } from "./device/dry.ts";
import { bytesPerElement } from "./dtype.ts";
import type { Node } from "./graph.ts";
import { fromBytes, type TensorData } from "./host.ts";
import { type ExternalBinding, planGraph } from "./lower/plan.ts";
import { sizeOf } from "./shape.ts";
import { Storage } from "./storage.ts";

/** Memory in whole 32-bit words, at least one. */
function bytesOf(node: Node): number {
  return Math.max(4, Math.ceil(sizeOf(node.shape) * bytesPerElement[node.dtype] / 4) * 4);
}

/** Puts host data on the device, once. A `lasting` upload belongs to no scope. */
export function upload(node: Node, device: Device, lasting = false): void {
  if (node.storage !== null || node.operation.name !== "host") return;
  const { bytes } = node.operation;
  const padded = bytes.length === bytesOf(node) ? bytes : new Uint8Array(bytesOf(node));
  if (padded !== bytes) padded.set(bytes);
  const allocation = device.allocate(padded.length);
  device.write(allocation, padded);
  becomeLeaf(node, new Storage(device, allocation, lasting ? null : node));
}

/** The node is from now on what the memory holds; what it was computed from can go. */
function becomeLeaf(node: Node, storage: Storage): void {
  node.storage = storage;
  node.operation = { name: "leaf" };
  node.inputs = [];
}

/** The memory of something given to a program. */
export function givenAllocation(node: Node, device: Device): Allocation {
  upload(node, device);
  if (node.storage === null) {
    throw new Error(
      "An argument of a traced function was used outside of it: return it from the function instead",
    );
  }
  if (node.storage.device !== device) {
    throw new Error(
      `This tensor lives on another device (${node.storage.device.kind}) than the one that computes (${device.kind})`,
    );
  }
  return node.storage.allocation;
}

/** Memory for each external of a program; `placeholder` finds what stands for a placeholder. */
export function bindExternals(
  externals: readonly ExternalBinding[],
  device: Device,
  placeholder: (index: number) => Allocation,
): Allocation[] {
  return externals.map((external) => {
    if (external.kind === "result") return device.allocate(external.bytes);
    const { node } = external;
    const { operation } = node;
    return node.storage === null && operation.name === "placeholder"
      ? placeholder(operation.index)
      : givenAllocation(node, device);
  });
}

/** Computes nodes on the device that is open, or opens one. */
export async function realizeNodes(nodes: readonly Node[]): Promise<void> {
  computeNodes(nodes, await anyDevice());
}

/** Computes nodes; afterwards each has its memory. */
export function computeNodes(nodes: readonly Node[], device: Device): void {
  for (const node of nodes) upload(node, device);
  const pending = [...new Set(nodes.filter((node) => node.storage === null))];
  if (pending.length === 0) return;
  if (isDry(device)) return pending.forEach((node) => becomeLeaf(node, unfilled(node, device)));
  const planned = planGraph({
    roots: pending,
    maxArguments: device.maxKernelArguments,
    maxBufferBytes: device.maxBufferBytes,
  });
  const bound = bindExternals(planned.externals, device, () => {
    throw new Error(
      "An argument of a traced function was used outside of it: return it from the function instead",
    );
  });
  const program = device.compile(planned.plan);
  device.run(program, bound, new Float32Array(0));
  program.dispose();
  const storages = new Map<number, Storage>();
  pending.forEach((node, i) => {
    const external = planned.roots[i]!;
    const binding = planned.externals[external]!;
    let storage = binding.kind === "given" ? binding.node.storage! : storages.get(external);
    if (!storage) storages.set(external, storage = new Storage(device, bound[external]!, node));
    becomeLeaf(node, storage);
  });
}

/** Memory for a node that nobody computes: its own, or what it is another shape of. */
function unfilled(node: Node, device: Device): Storage {
  let source = node;
  while (source.storage === null && ["reshape", "stopGradient"].includes(source.operation.name)) {
    source = source.inputs[0]!;
  }
  return source.storage ?? new Storage(device, device.allocate(bytesOf(node)), node);
}

/** Elements of a computed node. */
export async function readNode(node: Node): Promise<TensorData> {
  const { device, allocation } = node.storage!;
  const bytes = await device.read(allocation, bytesOf(node));
  return fromBytes(bytes, node.dtype, sizeOf(node.shape));
}
