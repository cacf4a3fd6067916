import assert from "node:assert/strict";
import { UserError } from "../../../core/errors.ts";
import { prepareSft, resolveCompletionOnlyLoss } from "../../../data/prepare/prepare_sft.ts";
import { loadTokenizer } from "../../../data/tokenizer/tokenizer.ts";
import { fixture, readFixture, readRows } from "../fixture_files.ts";

interface Flags {
  readonly flags: {
    readonly model_name_or_path: string;
    readonly dataset_name: string;
    readonly max_length?: number;
    readonly packing?: boolean;
    readonly assistant_only_loss?: boolean;
    readonly chat_template_path?: string;
  };
}

interface Expected {
  readonly prepared: readonly {
    readonly input_ids: number[];
    readonly labels: number[];
    readonly seq_lengths?: number[];
  }[];
}

const CASES = [
  "sft-cosine-accumulation",
  "sft-dft",
  "sft-eval",
  "sft-messages",
  "sft-messages-assistant-only",
  "sft-nll",
  "sft-packing-bfd",
  "sft-prompt-completion",
  "sft-shuffled",
  "sft-text",
];

for (const name of CASES) {
  Deno.test(`${name}: rows become the tokens and labels of TRL's own preparation`, async () => {
    const { flags } = await readFixture<Flags>(`trl/${name}/flags.json`);
    const expected = await readFixture<Expected>(`trl/${name}/expected.json`);
    const path = flags.dataset_name.endsWith(".jsonl")
      ? flags.dataset_name
      : `${flags.dataset_name}/train.jsonl`;
    const tokenizer = await loadTokenizer(
      fixture(flags.model_name_or_path),
      flags.chat_template_path ? { chatTemplatePath: fixture(flags.chat_template_path) } : {},
    );
    const { examples, dropped } = prepareSft(await readRows(path), tokenizer, {
      ...(flags.max_length && { maxLength: flags.max_length }),
      packing: flags.packing ?? false,
      assistantOnlyLoss: flags.assistant_only_loss ?? false,
      warn: (message) => assert.fail(message),
    });
    assert.equal(dropped, 0);
    assert.deepEqual(
      examples.map(({ inputIds, labels, segments }) => ({
        input_ids: Array.from(inputIds),
        labels: Array.from(labels),
        ...(segments && { seq_lengths: segments }),
      })),
      expected.prepared,
    );
  });
}

interface TrlRows {
  readonly cases: readonly {
    readonly name: string;
    readonly rows: Record<string, unknown>[];
    readonly training_template: boolean;
    readonly options: {
      readonly max_length?: number | null;
      readonly truncation_mode?: "keep_start" | "keep_end";
      readonly packing?: boolean;
      readonly packing_strategy?: "bfd" | "bfd_split" | "wrapped";
      readonly completion_only_loss?: boolean;
      readonly assistant_only_loss?: boolean;
      readonly shuffle_dataset?: boolean;
      readonly dataset_text_field?: string;
    };
    readonly prepared: Expected["prepared"];
  }[];
}

Deno.test("options and formats in many combinations prepare rows as TRL does", async () => {
  const { cases } = await readFixture<TrlRows>("trl/prepared-combinations.json");
  const plain = await loadTokenizer(fixture("models/llama"));
  const training = await loadTokenizer(fixture("models/llama"), {
    chatTemplatePath: fixture("models/llama/chat_template_training.jinja"),
  });
  for (const { name, rows, training_template, options, prepared } of cases) {
    const { examples } = prepareSft(rows, training_template ? training : plain, {
      ...(options.max_length !== undefined && { maxLength: options.max_length }),
      ...(options.truncation_mode && { truncationMode: options.truncation_mode }),
      ...(options.packing && { packing: options.packing }),
      ...(options.packing_strategy && { packingStrategy: options.packing_strategy }),
      completionOnlyLoss: options.completion_only_loss,
      assistantOnlyLoss: options.assistant_only_loss ?? false,
      ...(options.shuffle_dataset && { shuffleSeed: 42 }),
      ...(options.dataset_text_field && { datasetTextField: options.dataset_text_field }),
    });
    assert.deepEqual(
      examples.map(({ inputIds, labels, segments }) => ({
        input_ids: Array.from(inputIds),
        labels: Array.from(labels),
        ...(segments && { seq_lengths: segments }),
      })),
      prepared,
      name,
    );
  }
});

const llama = () => loadTokenizer(fixture("models/llama"));

Deno.test("rows whose labels truncation takes away are dropped and counted", async () => {
  const rows = [
    { prompt: "A long prompt without end. ", completion: "x" },
    { prompt: "a", completion: "b" },
  ];
  const prepared = prepareSft(rows, await llama(), { maxLength: 4 });
  assert.equal(prepared.dropped, 1);
  assert.deepEqual(prepared.examples.map((example) => example.rows), [[1]]);
});

Deno.test("if truncation leaves no label at all, the remedy is named", async () => {
  const rows = [{ prompt: "A long prompt without end. ", completion: "x" }];
  const tokenizer = await llama();
  assert.throws(
    () => prepareSft(rows, tokenizer, { maxLength: 4 }),
    (error: Error) => error instanceof UserError && /--max_length/.test(error.message),
  );
});

Deno.test("a prompt that tokenizes differently alone is reported once", async () => {
  const warnings: string[] = [];
  const rows = [{ prompt: "th", completion: "e cat" }, { prompt: "th", completion: "e dog" }];
  prepareSft(rows, await llama(), { warn: (message) => warnings.push(message) });
  assert.equal(warnings.length, 1);
  assert.match(warnings[0]!, /in 2 of 2 rows/);
});

Deno.test("the end-of-sequence token is not doubled", async () => {
  const tokenizer = await llama();
  const rows = [{ text: "Hi" }, { text: "Hi<|im_end|>" }];
  const [first, second] = prepareSft(rows, tokenizer).examples;
  assert.deepEqual(first!.inputIds, second!.inputIds);
  assert.equal(first!.inputIds.at(-1), tokenizer.eosTokenId);
});

Deno.test("assistant_only_loss refuses rows that are no conversations", async () => {
  const tokenizer = await llama();
  assert.throws(
    () => prepareSft([{ text: "Hi" }], tokenizer, { assistantOnlyLoss: true }),
    (error: Error) => error instanceof UserError && /not conversations/.test(error.message),
  );
});

Deno.test("assistant_only_loss refuses a template without generation markers", async () => {
  const tokenizer = await llama();
  const rows = [{ messages: [{ role: "user", content: "Hi" }] }];
  assert.throws(
    () => prepareSft(rows, tokenizer, { assistantOnlyLoss: true }),
    (error: Error) =>
      error instanceof UserError && /--chat_template_path/.test(error.message) &&
      /\{% generation %\}/.test(error.message),
  );
});

Deno.test("a conversation in which the assistant says nothing is refused by its row", async () => {
  const tokenizer = await loadTokenizer(fixture("models/llama"), {
    chatTemplatePath: fixture("models/llama/chat_template_training.jinja"),
  });
  const rows = [
    { messages: [{ role: "user", content: "Hi" }, { role: "assistant", content: "Ho" }] },
    { messages: [{ role: "user", content: "Hi" }] },
  ];
  assert.throws(
    () => prepareSft(rows, tokenizer, { assistantOnlyLoss: true }),
    (error: Error) => error instanceof UserError && /^Row 2 /.test(error.message),
  );
});

Deno.test("an empty data set and a packing without length are refused", async () => {
  const tokenizer = await llama();
  assert.throws(() => prepareSft([], tokenizer), /no rows/);
  const rows = [{ text: "Hi" }];
  assert.throws(() => prepareSft(rows, tokenizer, { packing: true, maxLength: null }), UserError);
});

Deno.test("the loss is on completions alone by default only where there are completions", () => {
  const pair = [{ prompt: "a", completion: "b" }];
  assert.equal(resolveCompletionOnlyLoss(pair, undefined), true);
  assert.equal(resolveCompletionOnlyLoss(pair, false), false);
  assert.equal(resolveCompletionOnlyLoss([{ text: "a" }], undefined), false);
  assert.equal(resolveCompletionOnlyLoss([{ instruction: "a", output: "b" }], undefined), true);
});

Deno.test("what cannot be as the user may expect is said in a warning", async () => {
  const tokenizer = await llama();
  const warningsFor = (row: Record<string, unknown>, options = {}) => {
    const warnings: string[] = [];
    prepareSft([row], tokenizer, { ...options, warn: (message) => warnings.push(message) });
    return warnings.join("\n");
  };
  assert.match(warningsFor({ story: "Hi" }, { datasetTextField: "story" }), /No end-of-sequence/);
  assert.match(warningsFor({ text: "Hi" }, { completionOnlyLoss: true }), /has no effect/);
  const turns = [{ from: "human", value: "Hi" }, { from: "gpt", value: "Ho" }];
  assert.match(warningsFor({ conversations: turns }), /human and gpt/);
  assert.match(warningsFor({ input_ids: [1, 2], completion_mask: [0, 1] }), /completion_mask/);
});
