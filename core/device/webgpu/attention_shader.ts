/** What the shaders of attention and of its gradient share: their frame, and what they refuse. @module */

import { UserError } from "../../errors.ts";
import { type HandMadeLaunch, kernelKey, recordOf } from "../../launch.ts";
import {
  attention,
  type AttentionGradKernel,
  type AttentionKernel,
  type AttentionVariant,
} from "../../operations/attention.ts";
import { sizesText } from "../../print.ts";
import {
  attentionPreamble,
  attentionShared,
  attentionSize,
  block,
  scoreFunction,
} from "./attention_text.ts";
import { mathText } from "./math.ts";
import {
  bindingText,
  cachedShader,
  type Dispatch,
  entryParameters,
  groupIndex,
  numberVectors,
  packNumbers,
  rawNumberText,
  refuseHuge,
  refuseLongLoops,
  type Shader,
  type Traits,
} from "./shader.ts";

/** The longest head. Accumulators of a row are registers, so it is part of the text in chunks. */
const maxHeadSize = 256;

/** A launch of attention or of its gradient. */
type AnyLaunch = HandMadeLaunch<AttentionKernel> | HandMadeLaunch<AttentionGradKernel>;

/** A shader that computes some of the outputs. */
export interface Part {
  /** Names of the outputs it writes; it reads all inputs. */
  readonly outputs: readonly string[];
  /** The text, made for heads of so many chunks of features. Arguments are named by `@`: `@q`. */
  readonly text: (chunks: number) => PartText;
  /** Workgroups along queries, keys or distances: `blocks` in the text. */
  readonly blocks: number;
  /** Workgroups for each of them: one per head. */
  readonly heads: number;
  /** Loop iterations an invocation may make, given the chunks of features. */
  readonly loops: (chunks: number) => number;
}

/** The text of a part. */
export interface PartText {
  /** Functions it needs of `math.ts`, besides those of scores. */
  readonly math?: readonly string[];
  /** Declarations of its own. */
  readonly globals?: string;
  /** The body, where `group` is the workgroup's number. */
  readonly body: string;
}

/**
 * Dispatches of the parts, in order.
 *
 * @throws UserError for sizes that the shaders cannot take.
 */
export function lowerParts(
  title: string,
  launch: AnyLaunch,
  traits: Traits,
  parts: readonly Part[],
): Dispatch[] {
  const { kernel, sizes: { queries, keys, queryHeads, keyHeads, width } } = launch;
  const name = `${title} (${optionsText(kernel)})`;
  if (width > maxHeadSize) {
    throw new UserError(
      `Attention on WebGPU takes heads of at most ${maxHeadSize} features, not ${width}. ` +
        `Compute this model on the device cpu.`,
    );
  }
  refuseHuge(
    `${name} (${sizesText(launch)})`,
    Math.max(queries * queryHeads * width, keys * keyHeads * width),
  );
  const chunks = Math.ceil(width / block);
  const names = recordOf(kernel).args(kernel);
  const outputs = new Set(parts.flatMap((part) => part.outputs));
  return parts.filter(({ blocks, heads }) => blocks * heads > 0).map((part) => {
    const own = parts.length === 1 ? name : `${name}: ${part.outputs.join(", ")}`;
    const bound = names.filter((arg) => part.outputs.includes(arg) || !outputs.has(arg));
    refuseLongLoops(own, part.loops(chunks), traits);
    const workgroups = part.blocks * part.heads;
    return {
      shader: cachedShader(
        `${kernelKey(kernel)}|${chunks}|${part.outputs}`,
        () => assemble(kernel, part.text(chunks), bound, own),
      ),
      args: bound.map((arg) => names.indexOf(arg)),
      numbers: packNumbers([workgroups, part.blocks], launch),
      workgroups,
    };
  });
}

/** A kernel's options, for people. */
function optionsText({ causal, softcap, bias }: AttentionVariant): string {
  return [
    causal ? "causal" : "both ways",
    ...(softcap ? ["soft cap"] : []),
    ...(bias ? ["bias"] : []),
  ].join(", ");
}

function assemble(
  kernel: AttentionVariant,
  { math = [], globals = "", body }: PartText,
  args: readonly string[],
  name: string,
): Shader {
  const numbers = numberVectors(attention);
  const arrays = args.map((arg) => arg.endsWith("Segments") ? "i32" : "f32");
  const text = `${mathText(["exp", ...math, ...(kernel.softcap ? ["tanh"] : [])])}
${attentionShared}
var<workgroup> weights: array<vec4<f32>, 256>;
${globals}
${scoreFunction(kernel)}
@compute @workgroup_size(${attentionSize})
fn main(${entryParameters}) {
${attentionPreamble()}
  let group = ${groupIndex};
  if (group >= u32(${rawNumberText(0)})) { return; }
  let blocks = u32(${rawNumberText(1)});
${body}
}`;
  const named = text.replaceAll(/@([a-zA-Z]+)\b/g, (all, arg: string) => {
    const binding = args.indexOf(arg);
    return binding < 0 ? all : `b${binding}`;
  });
  return {
    name,
    code: `${bindingText(arrays, numbers, 0)}\n${named}`,
    buffers: args.length,
    numbers,
    scalars: 0,
  };
}
