/** Answers from a file, in place of sampled ones. @module */

import { UserError } from "../../../core/errors.ts";
import { isRecord, readJsonFile } from "../../../data/files/json_files.ts";
import type { GivenAnswer, RolloutFunction } from "../../sampling/rollout.ts";

/**
 * Reads `{ "generations": [[[{ "ids": […], "rewards": […] }, …], …], …] }`: by generation, by the data set's row, the
 * answers. `log_probs` beside `ids` are those of the sampler.
 *
 * @throws UserError if the file has another form, or is asked for a generation that it lacks.
 */
export async function rolloutsFile(path: string): Promise<RolloutFunction> {
  const content = await readJsonFile(path);
  const generations = isRecord(content) ? content["generations"] : undefined;
  if (!Array.isArray(generations)) {
    throw new UserError(
      `${path} has no list "generations". Expected {"generations": [[[{"ids": [...], "rewards": [...]}]]]}: by ` +
        "generation, by row, the answers.",
    );
  }
  return ({ rows, generation }) => {
    const byRow: unknown = generations[generation];
    if (!Array.isArray(byRow)) {
      throw new UserError(
        `${path} has ${generations.length} generations, but the run needs number ${
          generation + 1
        }. Lower --max_steps, or give more.`,
      );
    }
    return rows.map((row) => {
      const answers: unknown = byRow[row];
      if (!Array.isArray(answers)) {
        throw new UserError(
          `${path} has no answers to row ${row + 1} in generation ${generation + 1}.`,
        );
      }
      return answers.map((answer) => readAnswer(answer, path, row, generation));
    });
  };
}

function readAnswer(answer: unknown, path: string, row: number, generation: number): GivenAnswer {
  const numbers = (value: unknown): value is number[] =>
    Array.isArray(value) && value.every((x) => typeof x === "number");
  if (isRecord(answer)) {
    const { ids, rewards, log_probs: logProbs } = answer;
    const judged = Array.isArray(rewards) &&
      rewards.every((x) => x === null || typeof x === "number");
    if (numbers(ids) && judged && (logProbs === undefined || numbers(logProbs))) {
      return { ids, rewards, ...(logProbs ? { logProbs } : {}) };
    }
  }
  throw new UserError(
    `${path}, generation ${generation + 1}, row ${
      row + 1
    }: expected {"ids": [numbers], "rewards": [numbers or ` +
      `null]}, found ${JSON.stringify(answer)?.slice(0, 80)}.`,
  );
}
