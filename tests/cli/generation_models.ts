/** What tests of `chat` and `generate` share: golden models opened by flags, and their greedy continuations. @module */

import { textOf } from "../../train/generation/text_stream.ts";
import type { Tokenizer } from "../../data/tokenizer/tokenizer.ts";
import { fixture, readFixture } from "../data/fixture_files.ts";

/** A greedy continuation by transformers. */
export interface Greedy {
  readonly prompt: string;
  readonly repetition_penalty: number;
  readonly new_ids: readonly number[];
}

/** The greedy continuations of a golden model, without a repetition penalty. */
export async function greedyOf(name: string): Promise<readonly Greedy[]> {
  const { greedy } = await readFixture<{ readonly greedy: readonly Greedy[] }>(
    `golden/${name}.json`,
  );
  return greedy.filter(({ repetition_penalty }) => repetition_penalty === 1);
}

/** What the user says in a golden prompt. */
export function userWords({ prompt }: Greedy): string {
  return /<\|im_start\|>user\n([^]*)<\|im_end\|>/.exec(prompt)![1]!;
}

/** The text of a golden continuation. */
export function greedyText(tokenizer: Tokenizer, { new_ids }: Greedy): string {
  return textOf(tokenizer, new_ids);
}

/** A golden model's directory with other files in it; null leaves a file out. */
export function variantOf(
  name: string,
  directory: string,
  files: Readonly<Record<string, string | null>>,
): string {
  const source = fixture(`models/${name}`);
  for (const entry of Deno.readDirSync(source)) {
    if (Object.hasOwn(files, entry.name)) continue;
    Deno.copyFileSync(`${source}/${entry.name}`, `${directory}/${entry.name}`);
  }
  for (const [file, text] of Object.entries(files)) {
    if (text !== null) Deno.writeTextFileSync(`${directory}/${file}`, text);
  }
  return directory;
}

/** A golden model's config with other fields. */
export function configOf(name: string, fields: Readonly<Record<string, unknown>>): string {
  const text = Deno.readTextFileSync(fixture(`models/${name}/config.json`));
  return JSON.stringify({ ...JSON.parse(text), ...fields });
}
