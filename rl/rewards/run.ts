/** Running reward functions over completions. @module */

import { UserError } from "../../core/errors.ts";
import type { RewardTable } from "../advantages.ts";
import type { RewardArguments, RewardFunction, Rewards } from "./types.ts";

/** A reward function and what it is called. */
export interface NamedReward {
  /** In metrics (`rewards/<name>/mean`), tables and errors. */
  readonly name: string;
  /** The function. */
  readonly reward: RewardFunction;
  /** Its share in the sum; 1 by default. */
  readonly weight?: number;
  /** What it means where it is null for all completions, and what to do: a sentence or two, for notices. */
  readonly nullMeans?: string;
}

/** Completions to score. */
export interface RewardBatch
  extends Pick<RewardArguments, "prompts" | "completions" | "completionIds"> {
  /** Every other column of the data set, N values each; none by default. */
  readonly columns?: Readonly<Record<string, readonly unknown[]>>;
  /** How far training is. */
  readonly trainerState?: RewardArguments["trainerState"];
}

/** What came of the functions. */
export interface RewardScores {
  /** N rows of K rewards for `groupAdvantages`; NaN where a function does not apply. */
  readonly table: RewardTable;
  /** Of the functions, K. */
  readonly names: readonly string[];
  /** Of the functions, K, for `rewardWeights`. */
  readonly weights: readonly number[];
  /** Columns that functions added to the table of completions, N values each. */
  readonly extras: Readonly<Record<string, readonly unknown[]>>;
  /** Numbers that functions logged; of several by one name, the mean. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Rows to which no function applies, from 0. */
  readonly unscored: readonly number[];
}

/**
 * Scores completions by several functions. All are started before any is awaited, so asynchronous ones wait together.
 *
 * @throws UserError that names function and row if one throws, or returns anything but a finite number or null for each
 * completion. Where an asynchronous function throws, which row it was is only known to the function.
 */
export async function runRewards(
  rewards: readonly NamedReward[],
  batch: RewardBatch,
): Promise<RewardScores> {
  checkBatch(rewards, batch);
  const extras: Record<string, readonly unknown[]> = {};
  const logged = new Map<string, number[]>();
  const columns = await Promise.all(rewards.map(async ({ name, reward }) => {
    const args = argumentsOf(name, batch, extras, logged);
    return await readRewards(name, await call(name, reward, args), batch);
  }));
  const table = batch.completions.map((_, row) => columns.map((column) => column[row] ?? NaN));
  return {
    table,
    names: rewards.map(({ name }) => name),
    weights: rewards.map(({ weight = 1 }) => weight),
    extras,
    metrics: Object.fromEntries(
      Array.from(logged, ([name, values]) => [
        name,
        values.reduce((sum, value) => sum + value, 0) / values.length,
      ]),
    ),
    unscored: table.flatMap((row, i) => row.every(Number.isNaN) ? [i] : []),
  };
}

function checkBatch(rewards: readonly NamedReward[], batch: RewardBatch): void {
  if (rewards.length === 0) {
    throw new UserError("There is no reward function. Name at least one in reward_funcs.");
  }
  const count = batch.completions.length;
  const { prompts, completionIds, columns = {} } = batch;
  for (const [name, values] of Object.entries({ ...columns, prompts, completionIds })) {
    if (values.length === count) continue;
    throw new UserError(
      `There are ${count} completions but ${values.length} values of "${name}". Give one for each completion; completions of one prompt repeat its values.`,
    );
  }
}

function argumentsOf(
  name: string,
  batch: RewardBatch,
  extras: Record<string, readonly unknown[]>,
  logged: Map<string, number[]>,
): RewardArguments {
  const { prompts, completions, completionIds, columns = {}, trainerState = null } = batch;
  return {
    prompts,
    completions,
    completionIds,
    columns,
    trainerState,
    logExtra: (column, values) => {
      if (values.length !== completions.length) {
        throw new UserError(
          `logExtra("${column}") was given ${values.length} values for ${completions.length} completions by the reward function "${name}". Give one for each.`,
        );
      }
      extras[column] = [...values];
    },
    logMetric: (metric, value) => {
      logged.set(metric, [...logged.get(metric) ?? [], value]);
    },
  };
}

async function call(name: string, reward: RewardFunction, args: RewardArguments): Promise<Rewards> {
  let pending: Rewards | Promise<Rewards>;
  try {
    pending = reward(args);
  } catch (error) {
    throw failure(name, args, await failingRow(reward, args), error);
  }
  try {
    return await pending;
  } catch (error) {
    throw failure(name, args, undefined, error);
  }
}

/** The first completion on which the function throws by itself; undefined if it takes several together to do so. */
async function failingRow(
  reward: RewardFunction,
  args: RewardArguments,
): Promise<number | undefined> {
  const quiet = { logExtra: () => {}, logMetric: () => {} };
  for (let row = 0; row < args.completions.length; row++) {
    try {
      await reward({ ...rowsOf(args, row), ...quiet });
    } catch {
      return row;
    }
  }
  return undefined;
}

function rowsOf(args: RewardArguments, row: number): RewardArguments {
  return {
    ...args,
    prompts: [args.prompts[row]!],
    completions: [args.completions[row]!],
    completionIds: [args.completionIds[row]!],
    columns: Object.fromEntries(
      Object.entries(args.columns).map(([name, values]) => [name, [values[row]]]),
    ),
  };
}

function failure(
  name: string,
  { columns }: RewardArguments,
  row: number | undefined,
  cause: unknown,
): UserError {
  const message = cause instanceof Error ? cause.message : String(cause);
  const where = row === undefined ? "" : ` at row ${row + 1}`;
  // What is undefined may be a column that was looked for in the wrong place.
  const hint = cause instanceof TypeError
    ? ` (A reward is given { prompts, completions, completionIds, columns, … }; columns has ${
      Object.keys(columns).join(", ") || "nothing"
    }.)`
    : "";
  return new UserError(`The reward function "${name}" failed${where}: ${message}${hint}`, {
    cause,
  });
}

/**
 * What a function returned, as numbers: an array or typed array of numbers and booleans (1 and 0), some of which may be
 * promises. It may come from JavaScript, so everything is checked.
 */
async function readRewards(
  name: string,
  returned: unknown,
  { completions }: RewardBatch,
): Promise<readonly (number | null)[]> {
  const count = completions.length;
  const rewards = listed(returned);
  if (rewards === undefined) {
    throw new UserError(
      `The reward function "${name}" returned ${
        describe(returned)
      } instead of a list of ${count} rewards, one for each completion.`,
    );
  }
  if (rewards.length !== count) {
    const first = Math.min(rewards.length, count) + 1;
    throw new UserError(
      `The reward function "${name}" returned ${rewards.length} rewards for ${count} completions: row ${first} has ${
        rewards.length < count ? "a completion but no reward" : "a reward but no completion"
      }. Return one for each completion, and null where the function does not apply.`,
    );
  }
  return await Promise.all(rewards.map(async (pending, row) => {
    let reward: unknown;
    try {
      reward = await pending;
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      throw new UserError(`The reward function "${name}" failed at row ${row + 1}: ${message}`, {
        cause: error,
      });
    }
    const value = numberOf(reward);
    if (value !== undefined) return value;
    throw new UserError(
      `The reward function "${name}" returned ${describe(reward)} at row ${
        row + 1
      }. A reward is a finite number, true or false, or null where the function does not apply. The completion ` +
        `begins ${JSON.stringify(completions[row])?.slice(0, 80)}.`,
    );
  }));
}

/** The items of an array or typed array. */
function listed(value: unknown): readonly unknown[] | undefined {
  if (Array.isArray(value)) return value;
  if (!ArrayBuffer.isView(value) || value instanceof DataView) return undefined;
  return Array.from(value as ArrayBufferView & ArrayLike<unknown>);
}

/** A reward as a number, null where there is none; undefined for what is neither. */
function numberOf(reward: unknown): number | null | undefined {
  if (reward === null) return null;
  const isNumber = ["number", "bigint", "boolean"].includes(typeof reward);
  return isNumber && Number.isFinite(Number(reward)) ? Number(reward) : undefined;
}

function describe(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.slice(0, 80));
  if (typeof value !== "object" || value === null) return String(value);
  return `an object ({ ${Object.keys(value).slice(0, 5).join(", ")} })`;
}
