/** A recipe as a function of a script. */

import assert from "node:assert/strict";
import { core, dpo, grpo, loadModel, reward, type Run, sft, type SftOptions } from "@plumb/plumb";
import { fixture } from "../../data/fixture_files.ts";
import { smallRun, temporary, trained } from "../../cli/run_command.ts";

const model = fixture("models/qwen3");

const rows = Array.from({ length: 12 }, (_, i) => ({
  prompt: `Say ${i}.`,
  completion: ` It is ${i}.`,
}));

const pairs = rows.map(({ prompt, completion }) => ({
  prompt,
  chosen: completion,
  rejected: " No.",
}));

const quiet = { maxSteps: 3, loggingSteps: 1, saveStrategy: "no", reporters: [] } as const;

const losses = async (run: Run) =>
  (await run).state!.log_history.flatMap((row) => row["loss"] ?? []);

Deno.test("a script's run logs what the command logs of the same rows", async () => {
  using place = temporary();
  const file = `${place.path}/rows.jsonl`;
  await Deno.writeTextFile(file, rows.map((row) => JSON.stringify(row) + "\n").join(""));
  const command = await trained(smallRun(`${place.path}/command`, {
    model_name_or_path: model,
    dataset_name: file,
    max_steps: 3,
    learning_rate: 1e-3,
  }));
  const expected = command.log_history.flatMap((row) => row["loss"] ?? []);
  const options = { ...quiet, learningRate: 1e-3, model };
  const settings = { perDeviceTrainBatchSize: 4 };
  assert.equal(expected.length, 3);
  async function* stream() {
    yield* rows;
  }
  for (const dataset of [rows, file, stream()]) {
    const outputDir = `${place.path}/script`;
    assert.deepEqual(await losses(sft({ ...options, ...settings, dataset, outputDir })), expected);
  }
});

Deno.test("a run is iterated for its records, and a break stops it with a checkpoint", async () => {
  using place = temporary();
  const run = sft({ ...quiet, maxSteps: 50, model, dataset: rows, outputDir: place.path });
  const kinds: string[] = [];
  for await (const record of run) {
    kinds.push(record.kind);
    if (record.kind === "train" && record.step === 2) break;
  }
  assert.ok(kinds.includes("begin") && kinds.includes("memory"), kinds.join(" "));
  using stopped = await run;
  assert.equal(stopped.interrupted, true);
  const [entry] = [...Deno.readDirSync(place.path)].filter(({ name }) => /^checkpoint-/.test(name));
  assert.equal(stopped.directory, `${place.path}/${entry!.name}`);
  assert.throws(() => run[Symbol.asyncIterator](), /once/);
});

Deno.test("a finished run hands its weights over, and says so when it is used again", async () => {
  using place = temporary();
  const first = sft({ ...quiet, model, dataset: rows, outputDir: `${place.path}/sft` });
  const next = { ...quiet, dataset: pairs, outputDir: `${place.path}/dpo` };
  const handed = await losses(dpo({ ...next, model: first }));
  const read = await losses(dpo({ ...next, model: `${place.path}/sft` }));
  assert.deepEqual(handed, read);
  const trainedModel = await first;
  await assert.rejects(trainedModel.generate("x"), /in memory no longer: a run of dpo.*loadModel/);
});

Deno.test("a reward model begins from a run, with a last layer of its own", async () => {
  using place = temporary();
  const first = sft({ ...quiet, model, dataset: rows, outputDir: `${place.path}/sft` });
  const next = { ...quiet, dataset: pairs, outputDir: `${place.path}/reward` };
  const handed = await losses(reward({ ...next, model: first }));
  assert.deepEqual(handed, await losses(reward({ ...next, model: `${place.path}/sft` })));
});

Deno.test("losses and rewards are functions", async () => {
  using place = temporary();
  let called = 0;
  const dataset = rows.map(({ prompt }) => ({ prompt }));
  using found = await grpo({
    ...quiet,
    model,
    dataset,
    outputDir: `${place.path}/grpo`,
    perDeviceTrainBatchSize: 4,
    numGenerations: 4,
    maxCompletionLength: 4,
    rewards: [function long({ completions }) {
      called++;
      return completions.map((_, i) => i);
    }],
  });
  assert.equal(called, 3);
  assert.equal(found.state!.log_history[0]!["rewards/long/mean"], 1.5);
  using own = await dpo({
    ...quiet,
    model,
    dataset: pairs,
    outputDir: `${place.path}/dpo`,
    loss: (p) => ({ losses: core.logSigmoid(p.chosen.sub(p.rejected)).neg() }),
  });
  assert.ok(own.state!.log_history[0]!["loss"]! > 0);
});

Deno.test("a trained adapter generates, scores, is saved and merged", async () => {
  using place = temporary();
  using run = await sft({
    ...quiet,
    model,
    dataset: rows,
    outputDir: `${place.path}/sft`,
    lora: { r: 4, targetModules: "all-linear" },
  });
  const options = { maxNewTokens: 4, doSample: false };
  const [one, two] = await run.generate(["Say 1.", "Say 2."], options);
  assert.deepEqual(await run.generate("Say 1.", options), [one]);
  assert.equal(typeof two, "string");
  const texts = [{ prompt: "Say 1.", completion: " It is 1." }];
  const [scored] = await run.logProbs(texts);
  assert.equal(scored!.ids.length, scored!.logProbs.length);
  assert.ok(scored!.logProbs.every((x) => x < 0));
  await run.save(`${place.path}/copy`);
  assert.ok(await Deno.stat(`${place.path}/copy/adapter_config.json`));
  using merged = await run.merge();
  const [again] = await merged.logProbs(texts);
  again!.logProbs.forEach((x, i) => assert.ok(Math.abs(x - scored!.logProbs[i]!) < 1e-4));
  await merged.save(`${place.path}/whole`);
  using opened = await loadModel(`${place.path}/whole`);
  assert.deepEqual((await opened.logProbs(texts))[0]!.logProbs, again!.logProbs);
});

Deno.test("two runs at once are the runs that each is alone", async () => {
  using place = temporary();
  const options = (name: string, learningRate: number) => ({
    ...quiet,
    model,
    dataset: rows,
    learningRate,
    outputDir: `${place.path}/${name}`,
  });
  const alone = [await losses(sft(options("a", 1e-3))), await losses(sft(options("b", 1e-2)))];
  const both = await Promise.all([
    losses(sft(options("c", 1e-3))),
    losses(sft(options("d", 1e-2))),
  ]);
  assert.deepEqual(both, alone);
});

Deno.test("wrong options are thrown at once, by the names that a script has for them", () => {
  const wrong = (options: object) => () => sft(options as SftOptions);
  assert.throws(
    wrong({ model, dataset: rows, learningrate: 1 }),
    /no option learningrate\. The nearest is learningRate/,
  );
  assert.throws(
    wrong({ model, dataset: rows, learningRate: "fast" }),
    /learningRate: "fast"\. Expected a number/,
  );
  assert.throws(wrong({ model }), /Missing dataset/);
  assert.throws(wrong({ model, dataset: rows, lora: { rank: 3 } }), /no option lora\.rank/);
});

Deno.test("an error of a run is thrown where it is awaited or iterated", async () => {
  using place = temporary();
  const options = { ...quiet, dataset: rows, outputDir: place.path, model: `${place.path}/none` };
  await assert.rejects(sft(options).then(), /none/);
  await assert.rejects(async () => {
    for await (const _ of sft(options));
  }, /none/);
});
