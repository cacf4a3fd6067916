/** Sums of two numbers below 100: problems, files, and an exam. @module */

import { standardOutput } from "../../core/terminal.ts";
import type { Tokenizer } from "../../data/mod.ts";
import { type CausalModel, type DecoderParams, generator } from "../../nn/mod.ts";

/** Problems that are kept for the exam. */
export const heldOut = 500;

/** A problem with its answer. */
export interface Sum {
  readonly a: number;
  readonly b: number;
  readonly prompt: string;
  readonly answer: string;
}

/** All sums of two numbers below 100, in an order that looks random and never changes. */
export function sums(): Sum[] {
  return Array.from({ length: 10_000 }, (_, i) => {
    const shuffled = (i * 7_919 + 4_243) % 10_000;
    const [a, b] = [Math.floor(shuffled / 100), shuffled % 100];
    return { a, b, prompt: `${a}+${b}=`, answer: String(a + b) };
  });
}

/** Writes rows as JSONL. */
export async function writeRows(path: string, rows: readonly unknown[]): Promise<void> {
  await Deno.writeTextFile(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
}

/** What came of an exam. */
export interface Result {
  /** The share of right answers, the most probable token at each place taken. */
  readonly score: number;
  /** The first few problems with what was answered. */
  readonly shown: readonly string[];
}

/** Has the model answer problems. */
export async function exam(
  model: CausalModel,
  params: DecoderParams,
  tokenizer: Tokenizer,
  test: readonly Sum[],
): Promise<Result> {
  const generate = generator(model, { maxNewTokens: 4, eosTokenIds: [tokenizer.eosTokenId!] });
  const ids = await generate(params, test.map(({ prompt }) => tokenizer.encode(prompt)));
  const answers = ids.map((row) => tokenizer.decode(row, { skipSpecialTokens: true }).trim());
  const right = answers.filter((answer, i) => answer === test[i]!.answer).length;
  return {
    score: right / test.length,
    shown: test.slice(0, 5).map(({ prompt }, i) => `${prompt}${answers[i]}`),
  };
}

/** A share as people write it. */
export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

/** Prints a line. */
export function say(text: string): void {
  standardOutput.write(`${text}\n`);
}
