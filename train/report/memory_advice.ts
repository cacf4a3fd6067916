/** What to say about memory: whether a run fits, and which flags make it smaller. @module */

import { bytesPerElement, type Device, partition, Tensor } from "../../core/mod.ts";
import { isQuantizable, isQuantized, optimizerByName, parametersOf } from "../../nn/mod.ts";
import { bytesOf, type StepMemory, totalBytes } from "../loop/memory.ts";
import type { OpenModel } from "../files/model_directory.ts";
import { formatBytes } from "./progress.ts";
import type { ModelValues } from "../settings/model.ts";
import type { TrainingValues } from "../settings/training_checks.ts";

/** The most that WebAssembly addresses. */
const mostOnCpu = 16 * 2 ** 30;

/** Bytes a device has for a run, or null where that cannot be known. */
export function availableBytes(device: Device): number | null {
  if (device.kind !== "cpu") return null;
  // What the run has taken already is no longer free, but it is the run's.
  try {
    return Math.min(mostOnCpu, Deno.systemMemoryInfo().available + device.counters().bytes);
  } catch (error) {
    // Without --allow-sys there is no advice, and a run all the same.
    if (error instanceof Deno.errors.NotCapable) return null;
    throw error;
  }
}

/** What {@link memoryAdvice} looks at. */
export interface PlannedRun {
  readonly values: TrainingValues & ModelValues;
  readonly opened: OpenModel;
  readonly isTrainable: (path: string, leaf: unknown) => boolean;
  readonly memory: StepMemory;
}

/** A sentence with the flags that make a run smaller, and by how much where that follows from sizes alone. */
export function memoryAdvice(run: PlannedRun, available: number): string | null {
  const { values, memory } = run;
  if (totalBytes(memory) <= available) return null;
  const { per_device_train_batch_size: batch, gradient_accumulation_steps: windows } = values;
  const saves = (flags: string, bytes: number) => `${flags} (about ${formatBytes(bytes)} less)`;
  const ways = [
    values.gradient_checkpointing ? [] : ["--gradient_checkpointing true (fewer activations)"],
    batch > 1
      ? [
        `--per_device_train_batch_size ${Math.ceil(batch / 2)} --gradient_accumulation_steps ` +
        `${windows * 2} (about half the activations)`,
      ]
      : [],
    stateSaved(run) > 0 ? [saves("--optim adamw_8bit", stateSaved(run))] : [],
    run.opened.adapter ? [] : [saves("--use_peft true", memory.optimizer + gradientBytes(run))],
    codeSaved(run) > 0
      ? [
        saves(
          `${run.opened.adapter ? "" : "--use_peft true "}--load_in_4bit true`,
          codeSaved(run) + (run.opened.adapter ? 0 : memory.optimizer + gradientBytes(run)),
        ),
      ]
      : [],
  ].flat();
  return `That is more than the ${formatBytes(available)} there are. Less is needed with ` +
    `${ways.join("; ")}.`;
}

function gradientBytes({ opened, isTrainable }: PlannedRun): number {
  return bytesOf(partition(opened.params, isTrainable)[0]);
}

/** What 8-bit moments save. */
function stateSaved({ opened, isTrainable, memory, values }: PlannedRun): number {
  const optimizer = optimizerByName("adamw_8bit", {
    beta1: values.adam_beta1,
    beta2: values.adam_beta2,
    epsilon: values.adam_epsilon,
    weightDecay: values.weight_decay,
  });
  return memory.optimizer - bytesOf(optimizer.init(partition(opened.params, isTrainable)[0]));
}

/** What nf4 saves: half a byte a weight and four for each 64, of all linear layers. */
function codeSaved({ opened }: PlannedRun): number {
  return parametersOf(opened.params).reduce((sum, [path, weight]) => {
    const base = weight instanceof Tensor || isQuantized(weight) ? weight : weight.base;
    if (!(base instanceof Tensor) || !isQuantizable(path, base.shape)) return sum;
    return sum + base.size * (bytesPerElement[base.dtype] - (1 / 2 + 4 / 64));
  }, 0);
}
