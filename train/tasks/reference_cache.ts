/** Reference log-probs in a file beside the dataset. @module */

import { leavesOf, Tensor } from "../../core/mod.ts";
import { writeFileAtomically } from "../../data/files/atomic.ts";
import { basePath, joinPath, parentPath, statIfPresent } from "../../data/files/local_paths.ts";
import { openSafetensors, writeSafetensors } from "../../data/weights/safetensors.ts";
import { toFloat32Array } from "../../data/weights/safetensors_dtypes.ts";
import type { PromptedAnswer } from "./completion_task.ts";
import type { OpenModel } from "../files/model_directory.ts";
import type { ReferenceLogProbs } from "./reference.ts";

/** A name that differs for another model (its config, its weights as they are in memory) or other tokens. */
export async function referenceKey(
  { config, reference }: Pick<OpenModel, "config" | "reference">,
  answers: readonly (readonly PromptedAnswer[])[],
): Promise<string> {
  const parts = [JSON.stringify(config)];
  for (const [path, leaf] of leavesOf(reference)) {
    if (!(leaf instanceof Tensor)) parts.push(`${path}=${String(leaf)}`);
    else {
      const { buffer, byteOffset, byteLength } = await leaf.data();
      parts.push(
        `${path}:${await digest(
          new Uint8Array(buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer),
        )}`,
      );
    }
  }
  const tokens = answers.flatMap((list) =>
    list.flatMap((a) => [a.promptIds.join(), a.completionIds.join()])
  );
  const text = [...parts, ...tokens].join("\n");
  return (await digest(new TextEncoder().encode(text))).slice(0, 16);
}

async function digest(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", bytes);
  return Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The log-probs kept under a key beside a local dataset, or those computed now, which are kept there. */
export async function cachedReference(
  dataset: string,
  key: string,
  compute: () => Promise<ReferenceLogProbs>,
  say: (text: string) => void,
): Promise<ReferenceLogProbs> {
  if (await statIfPresent(dataset) === undefined) {
    const computed = await compute();
    say(
      `Reference log-probs are not kept for later runs: ${dataset} is no local file or directory.`,
    );
    return computed;
  }
  const path = joinPath(parentPath(dataset), `${basePath(dataset)}.ref-${key}.safetensors`);
  if (await statIfPresent(path)) {
    say(`Reference log-probs are read from ${path}.`);
    return await read(path);
  }
  const found = await compute();
  await writeFileAtomically(path, async (temporary) => {
    const tensors = [...found].flatMap(([example, answers]) =>
      answers.map((values, k) => ({
        name: `${example}.${k}`,
        dtype: "F32" as const,
        shape: [values.length],
        data: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
      }))
    );
    await writeSafetensors(temporary, tensors);
  });
  say(`Reference log-probs are kept in ${path}.`);
  return found;
}

async function read(path: string): Promise<ReferenceLogProbs> {
  const file = await openSafetensors(path);
  try {
    const found = new Map<number, Float32Array[]>();
    for (const [name, stored] of file.tensors) {
      const [example, k] = name.split(".").map(Number) as [number, number];
      const answers = found.get(example) ?? [];
      answers[k] = toFloat32Array({ dtype: stored.dtype, bytes: await stored.bytes(), name });
      found.set(example, answers);
    }
    return found;
  } finally {
    file.close();
  }
}
