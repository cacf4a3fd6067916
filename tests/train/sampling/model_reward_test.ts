import assert from "node:assert/strict";
import type { Tensor } from "../../../core/mod.ts";
import { type DecoderParams, sequenceClassifier } from "../../../nn/mod.ts";
import { classifierLabels, openClassifier } from "../../../train/files/classifier_directory.ts";
import { modelReward } from "../../../train/sampling/model_reward.ts";
import { assertClose } from "../../core/compare.ts";
import { fixture, readFixture } from "../../data/fixture_files.ts";
import { eachDevice } from "../../devices.ts";

interface Expected {
  readonly prompts: readonly string[];
  readonly answers: readonly string[];
  /** As TRL's trainers compute them. */
  readonly without_special_tokens: readonly (readonly number[])[];
  /** As transformers' pipeline does, without a softmax. */
  readonly pipeline: readonly Readonly<Record<string, number>>[];
  /** The same with PEFT's adapter over it. */
  readonly adapter: readonly Readonly<Record<string, number>>[];
}

const directory = fixture("models/distilbert");

/** The fixture with a head of its first label alone. */
async function firstLabelAlone() {
  const opened = await openClassifier({ directory, seed: 0 });
  const { classifier, ...rest } = opened.params as DecoderParams & {
    readonly classifier: { readonly weight: Tensor; readonly bias: Tensor };
  };
  const head = { weight: classifier.weight.slice(0, 1), bias: classifier.bias.slice(0, 1) };
  return {
    ...opened,
    model: sequenceClassifier(opened.config, 1),
    params: { ...rest, classifier: head },
    labels: ["NEGATIVE"],
  };
}

eachDevice(
  "a DistilBERT's rewards are the logits that TRL and transformers' pipeline find",
  async () => {
    const expected = await readFixture<Expected>("distilbert_rewards.json");
    const texts = { prompts: expected.prompts, completions: expected.answers };
    const opened = await openClassifier({ directory, seed: 0 });
    for (const label of ["POSITIVE", "NEGATIVE"]) {
      const named = await modelReward({ opened, label, batchSize: 2 })(texts);
      assertClose(named, expected.pipeline.map((scores) => scores[label]!), 5e-6, label);
    }
    const only = await modelReward({ opened: await firstLabelAlone() })(texts);
    assertClose(
      only,
      expected.without_special_tokens.map(([first]) => first!),
      5e-6,
      "the only label",
    );
  },
);

Deno.test("an adapter over a DistilBERT, with a head of its own, is a reward as PEFT has it", async () => {
  const { prompts, answers, adapter } = await readFixture<Expected>("distilbert_rewards.json");
  const opened = await openClassifier({ directory: fixture("adapters/distilbert_lora"), seed: 0 });
  assert.deepEqual(opened.labels, ["NEGATIVE", "POSITIVE"]);
  const reward = modelReward({ opened, label: "POSITIVE" });
  const rewards = await reward({ prompts, completions: answers });
  assertClose(rewards, adapter.map((scores) => scores["POSITIVE"]!), 5e-6, "rewards");
});

eachDevice("a decoder's rewards are the scores that transformers finds", async () => {
  const { texts, scores } = await readFixture<
    { readonly texts: readonly string[]; readonly scores: readonly number[] }
  >("golden/llama_reward.json");
  const opened = await openClassifier({ directory: fixture("models/llama_reward"), seed: 0 });
  assert.deepEqual(opened.labels, ["LABEL_0"]);
  const prompts = texts.map((text) => text.slice(0, 9));
  const completions = texts.map((text) => text.slice(9));
  const rewards = await modelReward({ opened })({ prompts, completions });
  assertClose(rewards, scores, 5e-6, "scores");
});

Deno.test("a reward of several labels has to be named, and be there", async () => {
  assert.deepEqual(await classifierLabels(directory), ["NEGATIVE", "POSITIVE"]);
  const opened = await openClassifier({ directory, seed: 0 });
  assert.throws(() => modelReward({ opened }), {
    name: "UserError",
    message: /distilbert tells 2 labels apart: NEGATIVE, POSITIVE\..*distilbert:POSITIVE/,
  });
  assert.throws(() => modelReward({ opened, label: "positive" }), {
    name: "UserError",
    message: /distilbert has no label "positive".*NEGATIVE, POSITIVE/,
  });
});

Deno.test("texts without tokens, and with more than there are positions, are refused by row", async () => {
  const opened = await openClassifier({ directory, seed: 0 });
  const reward = modelReward({ opened, label: "POSITIVE" });
  const fits = "a ".repeat(62);
  assert.equal((await reward({ prompts: ["a"], completions: [" a".repeat(61)] })).length, 1);
  await assert.rejects(
    async () => await reward({ prompts: ["a", fits], completions: ["b", "a"] }),
    {
      name: "UserError",
      message: /answer 2 are 65 tokens.*models\/distilbert.*64 positions.*--max_completion_length/,
    },
  );
  const bare = modelReward({ opened: await firstLabelAlone() });
  await assert.rejects(async () => await bare({ prompts: ["a", ""], completions: ["b", " "] }), {
    name: "UserError",
    message: /answer 2 have no tokens/,
  });
});
