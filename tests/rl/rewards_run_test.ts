import assert from "node:assert/strict";
import { UserError } from "../../core/errors.ts";
import {
  builtInReward,
  builtInRewardNames,
  groupAdvantages,
  type NamedReward,
  type RewardFunction,
  runRewards,
} from "../../rl/mod.ts";

const batch = {
  prompts: ["a", "a", "b", "b"],
  completions: ["w", "xx", "yyy", "zzzz"],
  completionIds: [[1], [1, 2], [1, 2, 3], [1, 2, 3, 4]],
  columns: { factor: [1, 1, 10, 10] },
};

const length: NamedReward = {
  name: "length",
  reward: ({ completionIds }) => completionIds.map((ids) => ids.length),
};

function named(name: string, reward: RewardFunction): NamedReward {
  return { name, reward };
}

/** The error of a run of one function. */
async function errorOf(name: string, reward: RewardFunction): Promise<string> {
  try {
    await runRewards([length, named(name, reward)], batch);
  } catch (error) {
    assert.ok(error instanceof UserError);
    return error.message;
  }
  throw new assert.AssertionError({ message: "no error" });
}

Deno.test("several rewards make a table whose NaN advantages leave out", async () => {
  const scores = await runRewards([
    { ...length, weight: 2 },
    named("scaled", ({ columns: { factor } }) => factor!.map((x) => x === 10 ? null : Number(x))),
  ], batch);
  assert.deepEqual(scores.table, [[1, 1], [2, 1], [3, NaN], [4, NaN]]);
  assert.deepEqual([scores.names, scores.weights], [["length", "scaled"], [2, 1]]);
  assert.deepEqual(scores.unscored, []);
  const { rewards } = groupAdvantages(scores.table, {
    numGenerations: 2,
    rewardWeights: scores.weights,
  });
  assert.deepEqual(rewards, [3, 5, 6, 8]);
});

Deno.test("rows to which no reward applies are told", async () => {
  const odd = named(
    "odd",
    ({ completionIds }) => completionIds.map(({ length }) => length % 2 === 1 ? 1 : null),
  );
  assert.deepEqual((await runRewards([odd], batch)).unscored, [1, 3]);
});

Deno.test("asynchronous rewards wait together", async () => {
  const first = Promise.withResolvers<void>();
  const waits = named("waits", async ({ completions }) => {
    await first.promise;
    return completions.map(() => 1);
  });
  const releases = named("releases", ({ completions }) => {
    first.resolve();
    return Promise.resolve(completions.map(() => 2));
  });
  const { table } = await runRewards([waits, releases], batch);
  assert.deepEqual(table[0], [1, 2]);
});

Deno.test("rewards are told of training and add columns and metrics", async () => {
  const scores = await runRewards([
    named("logs", ({ completions, trainerState, logExtra, logMetric }) => {
      logExtra("shout", completions.map((text) => String(text).toUpperCase()));
      logMetric("step", trainerState?.global_step ?? -1);
      logMetric("step", 9);
      return completions.map(() => 0);
    }),
  ], { ...batch, trainerState: { global_step: 7, max_steps: 10, epoch: 0.5 } });
  assert.deepEqual(scores.extras, { shout: ["W", "XX", "YYY", "ZZZZ"] });
  assert.deepEqual(scores.metrics, { step: 8 });
});

Deno.test("a reward that throws is named with the row it throws at", async () => {
  const message = await errorOf("picky", ({ completions, logMetric }) => {
    logMetric("calls", 1);
    return completions.map((text) => {
      if (text === "yyy") throw new Error("cannot score this");
      return 1;
    });
  });
  assert.equal(message, 'The reward function "picky" failed at row 3: cannot score this');
});

Deno.test("a reward that rejects is named", async () => {
  const message = await errorOf("judge", () => Promise.reject(new Error("no connection")));
  assert.equal(message, 'The reward function "judge" failed: no connection');
});

Deno.test("a reward that returns too few or too many values is named with the first row amiss", async () => {
  assert.match(await errorOf("short", () => [1, 2]), /"short" returned 2 .* 4 .*row 3 has a comp/);
  assert.match(await errorOf("long", () => [1, 2, 3, 4, 5]), /"long" returned 5 .*row 5 has a rew/);
});

Deno.test("a reward that is not a finite number is named with its row", async () => {
  assert.match(await errorOf("bad", () => [1, 2, NaN, 4]), /"bad" returned NaN at row 3.*"yyy"/);
  assert.match(await errorOf("bad", () => [1, Infinity, 3, 4]), /returned Infinity at row 2/);
  const foreign: unknown[] = [1, undefined, 3, 4];
  const reward = (): Promise<never> => Promise.resolve(foreign as never);
  assert.match(await errorOf("foreign", reward), /"foreign" returned undefined at row 2/);
  const nothing = (): Promise<never> => Promise.resolve(undefined as never);
  assert.match(await errorOf("nothing", nothing), /"nothing" returned undefined instead of a list/);
});

Deno.test("booleans, typed arrays and promises of rewards are numbers", async () => {
  const read = async (reward: RewardFunction) =>
    (await runRewards([{ name: "own", reward }], batch)).table.map(([value]) => value);
  const booleans = [true, false, null, true];
  assert.deepEqual(await read(() => booleans), [1, 0, NaN, 1]);
  assert.deepEqual(await read(() => Promise.resolve(booleans)), [1, 0, NaN, 1]);
  assert.deepEqual(await read(() => booleans.map((x) => Promise.resolve(x))), [1, 0, NaN, 1]);
  for (const kind of [Float32Array, Float64Array, Int32Array, Uint8Array]) {
    assert.deepEqual(await read(() => kind.of(1, 2, 3, 4)), [1, 2, 3, 4]);
  }
  const refused = [["1.0", /returned "1.0" at row 1/], [
    { score: 1 },
    /an object \(\{ score \}\)/,
  ]] as const;
  for (const [value, message] of refused) {
    assert.match(await errorOf("own", () => [value, 1, 1, 1] as never), message);
  }
  assert.match(await errorOf("own", () => new Float32Array(1)), /returned 1 rewards for 4/);
  const late = [1, 2, Promise.reject(new Error("no connection")), 4];
  assert.match(await errorOf("own", () => late), /failed at row 3: no connection/);
});

Deno.test("columns of another length than the completions are refused", async () => {
  await assert.rejects(
    runRewards([length], { ...batch, columns: { factor: [1] } }),
    /4 completions but 1 values of "factor"/,
  );
  const extra: RewardFunction = ({ completions, logExtra }) => {
    logExtra("note", ["one"]);
    return completions.map(() => 0);
  };
  assert.match(await errorOf("notes", extra), /logExtra\("note"\) was given 1 values for 4/);
  await assert.rejects(runRewards([], batch), /no reward function/);
});

Deno.test("built-in rewards are found by TRL's names and called as TRL calls them", async () => {
  const rewards = builtInRewardNames.map((name) => builtInReward(name, { maxCompletionLength: 4 }));
  const { table, names } = await runRewards(rewards, {
    prompts: ["?", "?"],
    completions: ["<think>hm</think>\\boxed{4}", "\\boxed{5}"],
    completionIds: [[1, 1, 1, 1], Array.from({ length: 1152 }, (_, i) => i)],
    columns: { solution: ["4", "4"] },
  });
  assert.deepEqual(names, [
    "accuracy_reward",
    "reasoning_accuracy_reward",
    "think_format_reward",
    "soft_overlong_punishment_reward",
    "repetition_penalty_reward",
    "cosine_scaled_reward",
  ]);
  assert.deepEqual(table, [[1, 1, 1, 0, -0.5, 0.5], [0, 0, 0, -0.5, 0, -0.5]]);
  assert.throws(() => builtInReward("acuracy"), /reward_funcs is "acuracy"; it can be accuracy_/);
});
