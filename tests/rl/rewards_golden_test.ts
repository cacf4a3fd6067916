import assert from "node:assert/strict";
import {
  repetitionPenaltyReward,
  type Rewards,
  softOverlongPunishment,
  thinkFormatReward,
} from "../../rl/mod.ts";

interface Row {
  readonly reward: string;
  readonly options?: Readonly<Record<string, number>>;
  readonly completions?: readonly string[];
  readonly completion_ids?: readonly (readonly number[])[];
  readonly lengths?: readonly number[];
  readonly values: readonly number[];
}

const path = new URL("../fixtures/golden/rewards.json", import.meta.url);
const { rows }: { readonly rows: readonly Row[] } = JSON.parse(Deno.readTextFileSync(path));

function scored({ reward, options = {}, completions = [], lengths, completion_ids }: Row): Rewards {
  const completionIds = completion_ids ??
    (lengths ?? []).map((length) => Array.from({ length }, () => 1));
  if (reward === "think_format_reward") return thinkFormatReward({ completions });
  if (reward === "get_repetition_penalty_reward") {
    const { ngram_size: ngramSize, max_penalty: maxPenalty } = options;
    return repetitionPenaltyReward({ ngramSize: ngramSize!, maxPenalty: maxPenalty! })({
      completionIds,
    });
  }
  assert.equal(reward, "get_soft_overlong_punishment");
  const { max_completion_len: maxCompletionLen, soft_punish_cache: softPunishCache } = options;
  return softOverlongPunishment({
    maxCompletionLen: maxCompletionLen!,
    softPunishCache: softPunishCache!,
  })({ completionIds });
}

Deno.test("golden/rewards.json: rewards equal TRL's to the last bit", () => {
  assert.equal(rows.length, 7);
  for (const row of rows) {
    assert.deepEqual(scored(row), row.values, `${row.reward} ${JSON.stringify(row.options)}`);
  }
});

Deno.test("a positive penalty, an n-gram of no tokens and a ramp beyond the limit are refused", () => {
  assert.throws(() => repetitionPenaltyReward({ maxPenalty: 0.5 }), /max_penalty is 0\.5/);
  assert.throws(() => repetitionPenaltyReward({ ngramSize: 0 }), /ngram_size is 0/);
  assert.throws(
    () => softOverlongPunishment({ maxCompletionLen: 10, softPunishCache: 20 }),
    /soft_punish_cache is 20/,
  );
});
