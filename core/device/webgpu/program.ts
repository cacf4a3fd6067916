/** Plans compiled for a WebGPU device: dispatches with their pipelines, numbers and bind groups. @module */

import { UserError } from "../../errors.ts";
import { type BufferRef, isLaunchOf, type Kernel, type Launch, type Plan } from "../../launch.ts";
import { sizesText } from "../../print.ts";
import type { Program } from "../device.ts";
import { lowerFused } from "./fused.ts";
import { lowerMatmul } from "./matmul.ts";
import { lowerAttention } from "./attention.ts";
import { lowerAttentionGrad } from "./attention_grad.ts";
import { lowerScatter } from "./scatter.ts";
import type { Block } from "./memory.ts";
import type { Dispatch, Shader, Traits } from "./shader.ts";

/** A binding: `bytes` bytes (or what there is) from `start` on, within a buffer of the launch. */
export interface BoundRange {
  readonly ref: BufferRef;
  readonly start: number;
  readonly bytes: number;
}

/** A dispatch ready to be encoded. */
export interface Step {
  /** Which launch of the plan it is part of. */
  readonly launch: number;
  readonly shader: Shader;
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  /** One per storage binding. */
  readonly refs: readonly BoundRange[];
  /** Where its numbers lie in the program's buffer of numbers, and how many bytes they take. */
  readonly numbersOffset: number;
  readonly numbersBytes: number;
  readonly x: number;
  readonly y: number;
  /** For error messages: kernel and sizes. */
  readonly label: string;
  /** Bind groups by the ids of the buffers they bind, oldest first. */
  readonly groups: Map<string, GPUBindGroup>;
}

/** A compiled plan. */
export interface WebGpuProgram extends Program {
  readonly id: number;
  readonly arenaBytes: number;
  readonly launches: readonly Launch[];
  /** Arithmetic of the products. */
  readonly flops: number;
  readonly steps: readonly Step[];
  /** Undefined when no step has numbers. */
  readonly numbers: Block | undefined;
  /** Undefined when no step reads scalars. */
  readonly scalars: Block | undefined;
  /** Bind groups of all steps for the buffers of recent runs. */
  readonly recent: { readonly ids: readonly number[]; readonly groups: readonly GPUBindGroup[] }[];
}

/** A kernel on this device: from a launch to its dispatches, in order. */
type Lowering<Op extends Kernel["op"]> = (
  launch: Extract<Launch, { readonly kernel: { readonly op: Op } }>,
  traits: Traits,
) => Dispatch[];

const lowerings: { readonly [Op in Kernel["op"]]: Lowering<Op> } = {
  attention: lowerAttention,
  attentionGrad: lowerAttentionGrad,
  fused: lowerFused,
  matmul: lowerMatmul,
  scatter: lowerScatter,
};

/** Dispatches of a launch, in order. */
export function lower(launch: Launch, traits: Traits): Dispatch[] {
  const lowering: (launch: never, traits: Traits) => Dispatch[] = lowerings[launch.kernel.op];
  return lowering(launch as never, traits);
}

/** Workgroups folded over two dimensions: `x·y ≥ count`, each at most `limit`. */
export function foldWorkgroups(count: number, limit: number): { x: number; y: number } {
  if (count <= limit) return { x: count, y: 1 };
  const y = Math.ceil(count / limit);
  if (y > limit) {
    throw new UserError(
      `A launch of ${count} workgroups is beyond this GPU's ${limit}². Use a smaller batch.`,
    );
  }
  return { x: Math.ceil(count / y), y };
}

/** Kernel and sizes of a launch, for error messages. */
export function describeLaunch(shader: Shader, launch: Launch): string {
  return isLaunchOf(launch, "fused")
    ? `${shader.name} [${launch.ints.slice(0, launch.kernel.rank).join(", ")}]`
    : `${shader.name} (${sizesText(launch)})`;
}

/** Refuses references to what the plan does not have. */
export function checkRefs(launch: Launch, plan: Plan, label: string): void {
  launch.args.forEach((ref, i) => {
    if ("external" in ref) {
      if (ref.external >= plan.externals) throw new Error(`${label}: no external ${ref.external}.`);
      return;
    }
    if (ref.arena % 256 !== 0 || ref.arena + ref.bytes > plan.arenaBytes) {
      throw new Error(
        `${label}: argument ${i} lies at ${ref.arena} + ${ref.bytes} of an arena of ` +
          `${plan.arenaBytes} bytes; offsets must be multiples of 256 inside it.`,
      );
    }
  });
}
