import assert from "node:assert/strict";
import { UserError } from "../../core/errors.ts";
import type { DatasetRow } from "../../data/prepare/formats.ts";
import {
  detectPreferenceFormat,
  type PreferenceCommand,
} from "../../data/prepare/preference_formats.ts";
import { prepareGkd } from "../../data/prepare/prepare_gkd.ts";
import {
  prepareCpo,
  prepareDpo,
  prepareOrpo,
  prepareTpo,
} from "../../data/prepare/prepare_pairs.ts";
import { preparePrm } from "../../data/prepare/prepare_prm.ts";
import { prepareReward } from "../../data/prepare/prepare_reward.ts";
import { prepareBco, prepareKto } from "../../data/prepare/prepare_unpaired.ts";
import { loadTokenizer } from "../../data/tokenizer/tokenizer.ts";
import { fixture } from "./fixture_files.ts";

const tokenizer = await loadTokenizer(fixture("models/llama"));
const pair = { prompt: "1+1=", chosen: "2", rejected: "3" };
const good = { prompt: "1+1=", completion: "2", label: true };
const bad = { prompt: "1+1=", completion: "3", label: false };
const steps = { prompt: "1+1", completions: ["2"], labels: [true] };
const user = (content: string) => ({ role: "user", content });
const assistant = (content: string) => ({ role: "assistant", content });

/** Asserts that an action is refused in words for people that match all patterns. */
function refused(action: () => unknown, ...patterns: readonly RegExp[]): void {
  assert.throws(action, (error: unknown) => {
    assert.ok(error instanceof UserError, String(error));
    for (const pattern of patterns) assert.match(error.message, pattern);
    return true;
  });
}

const describe = (row: DatasetRow, command: PreferenceCommand) =>
  detectPreferenceFormat(row, command).description;

Deno.test("every format describes itself in a line", () => {
  const messages = { chosen: [user("a"), assistant("b")], rejected: [user("a"), assistant("c")] };
  assert.equal(describe(pair, "dpo"), "preference pairs (prompt, chosen, rejected)");
  assert.equal(
    describe(messages, "orpo"),
    "preference pairs of messages (chosen, rejected; the prompt is their common start)",
  );
  assert.equal(
    describe({ ...pair, reference: "2" }, "tpo"),
    "preference triples (prompt, chosen, rejected, reference)",
  );
  assert.equal(
    describe(pair, "kto"),
    "preference pairs (prompt, chosen, rejected; taken apart into single answers)",
  );
  assert.equal(describe(good, "bco"), "unpaired preferences (prompt, completion, label)");
  assert.equal(
    describe({ ...pair, margin: 1 }, "reward"),
    "preference pairs (prompt, chosen, rejected, margin)",
  );
  assert.equal(
    describe(steps, "prm"),
    "stepwise supervision (prompt, completions, labels)",
  );
});

Deno.test("a text beside conversations is no prompt of theirs", () => {
  const row = {
    prompt: "a",
    chosen: [user("a"), assistant("b")],
    rejected: [user("a"), assistant("c")],
  };
  assert.equal(detectPreferenceFormat(row, "dpo").prompt, "implicit");
  const { prompt: _, ...bare } = row;
  assert.deepEqual(prepareDpo([row], tokenizer).examples, prepareDpo([bare], tokenizer).examples);
  assert.deepEqual(
    prepareReward([row], tokenizer).examples,
    prepareReward([bare], tokenizer).examples,
  );
});

Deno.test("ShareGPT's from and value are read as role and content", () => {
  const say = (from: string, value: string) => ({ from, value });
  const row = {
    prompt: [say("user", "a")],
    chosen: [say("assistant", "b")],
    rejected: [say("assistant", "c")],
  };
  const same = { prompt: [user("a")], chosen: [assistant("b")], rejected: [assistant("c")] };
  assert.deepEqual(prepareDpo([row], tokenizer).examples, prepareDpo([same], tokenizer).examples);
});

Deno.test("unpaired rows are refused by commands for pairs, which name those that take them", () => {
  for (const prepare of [prepareDpo, prepareOrpo, prepareCpo, prepareReward]) {
    refused(
      () => prepare([good, bad], tokenizer),
      /prompt, completion, label: unpaired preference rows/,
      /It accepts: "chosen" and "rejected"/,
      /there is kto or bco/,
    );
  }
});

Deno.test("columns of no format are refused with those that are accepted", () => {
  const rows = [{ question: "a", answer: "b" }];
  const columns = /columns question, answer, which is no format that/;
  refused(() => prepareDpo(rows, tokenizer), columns, /"chosen" and "rejected"/);
  refused(() => prepareKto(rows, tokenizer, { klBatchSize: 2 }), columns, /"label"/, /"chosen"/);
  refused(() => prepareBco(rows, tokenizer), columns, /"label" \(true or false\)/);
  refused(() => preparePrm(rows, tokenizer), columns, /"completions" \(a list of steps\)/);
  refused(() => prepareGkd(rows, tokenizer), /question \(a text\)/, /"messages"/);
  refused(() => prepareTpo([pair], tokenizer), /pairs without the third, "reference" answer/);
  refused(() => prepareTpo(rows, tokenizer), columns, /"chosen", "rejected" and "reference"/);
  refused(() => prepareDpo([steps], tokenizer), /stepwise rows/, /there is prm/);
  refused(() => prepareDpo([], tokenizer), /no rows/);
});

Deno.test("rows of only good or only bad answers are refused for training, not for evaluation", () => {
  const kto = (rows: DatasetRow[], evaluation = false) =>
    prepareKto(rows, tokenizer, { klBatchSize: 2, evaluation });
  refused(() => kto([good, good]), /All 2 rows .* have the label true/, /bad ones \(false\)/);
  refused(() => kto([bad, bad]), /have the label false/, /Add good answers/);
  refused(() => prepareBco([good], tokenizer), /label true/);
  assert.equal(kto([good, good], true).examples.length, 2);
});

Deno.test("KTO refuses batches of one if it has a KL term", () => {
  refused(
    () => prepareKto([good, bad], tokenizer, { klBatchSize: 1 }),
    /per_device_train_batch_size is 1/,
    /expected 2 or more/,
    /apo_zero_unpaired/,
  );
  const { examples } = prepareKto([good, bad], tokenizer, { klBatchSize: null });
  assert.ok(examples.every((example) => example.klCompletionIds === undefined));
});

Deno.test("labels that are not boolean are refused by their row", () => {
  const rows = [good, { ...bad, label: 0 }];
  refused(() => prepareKto(rows, tokenizer, { klBatchSize: 2 }), /^Row 2 .*label 0: expected true/);
  refused(() => prepareBco([good, { ...bad, label: "no" }], tokenizer), /^Row 2 .*label "no"/);
  refused(() => preparePrm([{ ...steps, labels: ["+"] }], tokenizer), /^Row 1 .*label "\+"/);
  refused(() => preparePrm([{ ...steps, labels: [] }], tokenizer), /1 steps but 0 labels/);
  refused(() => preparePrm([{ ...steps, completions: [], labels: [] }], tokenizer), /no steps/);
  refused(() => prepareReward([{ ...pair, margin: 1 }, pair], tokenizer), /^Row 2 .*margin/);
});

Deno.test("a row unlike the first one is refused by its number", () => {
  refused(
    () => prepareDpo([pair, { prompt: "a", chosen: "b" }], tokenizer),
    /^Row 2 .*"rejected" is missing \(its columns are prompt, chosen\)/,
  );
  const chat = { prompt: [user("a")], chosen: [assistant("b")], rejected: [assistant("c")] };
  refused(() => prepareDpo([chat, pair], tokenizer), /^Row 2 .*list of messages/);
  refused(() => prepareDpo([pair, chat], tokenizer), /^Row 2 .*a text was expected/);
});

Deno.test("columns of different kinds in one row are refused", () => {
  const mixed = { prompt: [user("a")], chosen: "b", rejected: "c" };
  refused(
    () => prepareDpo([mixed], tokenizer),
    /"prompt" is a list of messages/,
    /"chosen" is a text/,
  );
  const halves = { chosen: [user("a"), assistant("b")], rejected: "c" };
  refused(() => prepareOrpo([halves], tokenizer), /"chosen" is a list of messages/);
  const apart = { prompt: "a", completion: [assistant("b")], label: true };
  refused(() => prepareBco([apart], tokenizer), /"prompt" is a text and "completion" is a list/);
});

Deno.test("rows whose prompt fills max_length are left out and counted, by keep_start alone", () => {
  const long = { ...pair, prompt: "A prompt that is much longer than the limit. " };
  const options = { maxLength: 8 };
  const { examples, dropped } = prepareDpo([long, pair], tokenizer, options);
  assert.deepEqual([examples.map(({ row }) => row), dropped], [[1], 1]);
  assert.equal(
    prepareDpo([long], tokenizer, { ...options, truncationMode: "keep_end" }).examples.length,
    1,
  );
  refused(() => prepareDpo([long], tokenizer, options), /max_length = 8/, /larger --max_length/);
  refused(
    () => prepareReward([long], tokenizer, options),
    /longer than max_length = 8/,
    /never cut/,
  );
  refused(() => prepareDpo([pair], tokenizer, { maxLength: 0 }), /max_length is 0/);
  const warnings: string[] = [];
  const triples = [long, pair].map((row) => ({ ...row, reference: "2" }));
  const warn = (message: string) => warnings.push(message);
  assert.equal(prepareTpo(triples, tokenizer, { ...options, warn }).examples.length, 2);
  assert.match(warnings.join(), /fills max_length in 1 of 2 rows/);
});

Deno.test("ORPO leaves out rows with an answer cut to nothing, and says which sequences stay too long", () => {
  const long = { ...pair, chosen: "An answer that has more tokens than the limit of this test." };
  const far = { ...pair, prompt: "A prompt that has more tokens than the limit of this test." };
  const warnings: string[] = [];
  const { examples, dropped } = prepareOrpo([long, pair, far], tokenizer, {
    maxLength: 8,
    warn: (message) => warnings.push(message),
  });
  assert.deepEqual([examples.map(({ row }) => row), dropped], [[1, 2], 1]);
  assert.match(warnings.join(), /2 of 4 sequences are longer than max_length = 8/);
});

Deno.test("a prompt that merges with its answer to fewer tokens than it has is refused", () => {
  const row = { prompt: "<|im_", chosen: "start|>", rejected: "x" };
  refused(() => prepareOrpo([pair, row], tokenizer), /^Row 2 .*merges them over the border/);
});

Deno.test("weights that do not balance good and bad answers are warned of with better ones", () => {
  const warningsFor = (undesirableWeight: number) => {
    const warnings: string[] = [];
    prepareKto([good, good, good, bad], tokenizer, {
      klBatchSize: 2,
      undesirableWeight,
      warn: (message) => warnings.push(message),
    });
    return warnings.join();
  };
  assert.match(warningsFor(1), /3 good and 1 bad/);
  assert.match(warningsFor(1), /--desirable_weight between 0.33 and 0.44/);
  assert.match(warningsFor(1), /--undesirable_weight between 2.26 and 3/);
  assert.equal(warningsFor(2.5), "");
});

Deno.test("pairs for KTO say that the first batches hold good answers alone", () => {
  const warningsFor = (pairs: number, klBatchSize: number | null, evaluation = false) => {
    const warnings: string[] = [];
    const rows = Array.from({ length: pairs }, () => pair);
    prepareKto(rows, tokenizer, { klBatchSize, evaluation, warn: (w) => warnings.push(w) });
    return warnings.join();
  };
  assert.match(warningsFor(5, 2), /The first 2 batches hold good answers alone, for pairs/);
  assert.match(warningsFor(2, 2), /The first batch holds good answers alone/);
  assert.equal(warningsFor(2, 3), "");
  assert.equal(warningsFor(5, null), "");
  assert.equal(warningsFor(5, 2, true), "");
});

Deno.test("tools that a command does not pass to the template are warned of", () => {
  const row = {
    prompt: [user("a")],
    chosen: [assistant("b")],
    rejected: [assistant("c")],
    tools: [{ type: "function" }],
  };
  const warnings: string[] = [];
  prepareOrpo([row, row], tokenizer, { warn: (message) => warnings.push(message) });
  assert.equal(warnings.length, 1);
  assert.match(warnings[0]!, /tools, which orpo does not pass/);
});

Deno.test("gkd refuses conversations without a prompt, and answers that fill max_length", () => {
  refused(() => prepareGkd([{ messages: [assistant("a")] }], tokenizer), /one message/);
  const row = { messages: [user("a"), assistant("An answer that is too long for the limit.")] };
  refused(() => prepareGkd([row], tokenizer, { maxLength: 6 }), /^Row 1 .*No token of the prompt/);
});

Deno.test("gkd takes prompts and answers as messages, and conversations of from and value", () => {
  const expected = prepareGkd([{ messages: [user("a"), assistant("b")] }], tokenizer).examples;
  const pair = { prompt: [user("a")], completion: [assistant("b")] };
  assert.deepEqual(prepareGkd([pair], tokenizer).examples, expected);
  const conversations = [{ from: "user", value: "a" }, { from: "assistant", value: "b" }];
  assert.deepEqual(prepareGkd([{ conversations }], tokenizer).examples, expected);
});

Deno.test("rows that were tokenized before are taken as they are", () => {
  const scored = { chosen_ids: [1, 2], rejected_ids: [3], margin: 0.5 };
  assert.deepEqual(prepareReward([scored], tokenizer).examples, [{
    chosenIds: Int32Array.of(1, 2),
    rejectedIds: Int32Array.of(3),
    margin: 0.5,
    row: 0,
  }]);
  const older = { chosen_input_ids: [1, 2], rejected_input_ids: [3] };
  assert.deepEqual(prepareReward([older], tokenizer).examples, [{
    chosenIds: Int32Array.of(1, 2),
    rejectedIds: Int32Array.of(3),
    row: 0,
  }]);
  assert.deepEqual(
    preparePrm([{ input_ids: [1, 2], labels: [-100, 1] }], tokenizer).examples,
    [{ inputIds: Int32Array.of(1, 2), labels: Int32Array.of(-100, 1), row: 0 }],
  );
  refused(() => preparePrm([{ input_ids: [1, 2], labels: [1] }], tokenizer), /2 input_ids but 1/);
  refused(() => prepareReward([{ ...scored, chosen_ids: "x" }], tokenizer), /"chosen_ids"/);
});
