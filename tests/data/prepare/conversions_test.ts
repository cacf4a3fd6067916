import assert from "node:assert/strict";
import { UserError } from "../../../core/errors.ts";
import {
  applyChatTemplate,
  extractPrompt,
  extractTriplePrompt,
  isConversational,
  isConversationalFromValue,
  maybeApplyChatTemplate,
  maybeConvertToChatml,
  maybeExtractPrompt,
  maybeUnpairPreference,
  unpairPreference,
} from "../../../data/prepare/conversions.ts";
import {
  convertDataset,
  type DatasetType,
  datasetTypeOf,
} from "../../../data/prepare/dataset_types.ts";
import type { DatasetRow } from "../../../data/prepare/formats.ts";
import { loadTokenizer } from "../../../data/tokenizer/tokenizer.ts";
import { fixture, readFixture } from "../fixture_files.ts";

interface Output {
  readonly output: DatasetRow;
}

interface Golden {
  readonly tokenizer: string;
  readonly unpair: { readonly rows: DatasetRow[]; readonly unpaired: DatasetRow[] };
  readonly rows: readonly {
    readonly example: DatasetRow;
    readonly is_conversational: boolean;
    readonly maybe_apply_chat_template: Output;
    readonly maybe_convert_to_chatml: Output;
    readonly maybe_extract_prompt?: Output;
    readonly extract_prompt?: Output;
  }[];
}

const user = (content: string) => ({ role: "user", content });
const assistant = (content: string) => ({ role: "assistant", content });

Deno.test("conversions give what TRL's functions give", async () => {
  const golden = await readFixture<Golden>("golden/conversions.json");
  const tokenizer = await loadTokenizer(fixture(golden.tokenizer));
  for (const expected of golden.rows) {
    const { example } = expected;
    const title = JSON.stringify(example).slice(0, 80);
    assert.equal(isConversational(example), expected.is_conversational, title);
    assert.deepEqual(
      maybeApplyChatTemplate(example, tokenizer),
      expected.maybe_apply_chat_template.output,
      title,
    );
    assert.deepEqual(maybeConvertToChatml(example), expected.maybe_convert_to_chatml.output, title);
    if (expected.maybe_extract_prompt) {
      assert.deepEqual(maybeExtractPrompt(example), expected.maybe_extract_prompt.output, title);
    }
    if (expected.extract_prompt) {
      assert.deepEqual(extractPrompt(example), expected.extract_prompt.output, title);
    }
  }
  assert.ok(golden.rows.some(({ extract_prompt }) => extract_prompt));
  assert.deepEqual(unpairPreference(golden.unpair.rows), golden.unpair.unpaired);
});

Deno.test("conversions leave their argument as it was", () => {
  const row = { conversations: [{ from: "human", value: "Hi" }], chosen: [{ from: "a" }] };
  const copy = structuredClone(row);
  assert.notDeepEqual(maybeConvertToChatml(row), row);
  assert.deepEqual(row, copy);
});

Deno.test("ShareGPT conversations are told by from and value", () => {
  assert.ok(isConversationalFromValue({ conversations: [{ from: "human", value: "Hi" }] }));
  assert.ok(!isConversationalFromValue({ conversations: [user("Hi")] }));
  assert.ok(!isConversationalFromValue({ conversations: "Hi" }));
});

Deno.test("a prompt never ends inside a character", () => {
  const { prompt, chosen, rejected } = extractPrompt({ chosen: "a😀", rejected: "a😁" });
  assert.deepEqual([prompt, chosen, rejected], ["a", "😀", "😁"]);
});

Deno.test("a prompt gives its last blank to the answers, and is empty if nothing is shared", () => {
  const of = (chosen: string, rejected: string) => extractPrompt({ chosen, rejected })["prompt"];
  assert.equal(of("It is blue", "It is red"), "It is");
  assert.equal(of("blue ", "red"), "");
  assert.equal(of("", "red"), "");
});

Deno.test("where one answer is the start of the other, its last part is still an answer", () => {
  assert.deepEqual(extractPrompt({ chosen: "ab", rejected: "abc" }), {
    prompt: "a",
    chosen: "b",
    rejected: "bc",
  });
  const turns = [user("a"), assistant("b")];
  assert.deepEqual(extractPrompt({ chosen: turns, rejected: [...turns, user("c")] }), {
    prompt: [user("a")],
    chosen: [assistant("b")],
    rejected: [assistant("b"), user("c")],
  });
});

Deno.test("messages are the same whatever the order of their fields, and with fields that are null", () => {
  const chosen = [{ role: "user", content: "a", name: null }, assistant("b")];
  const rejected = [{ content: "a", role: "user" }, assistant("c")];
  assert.deepEqual(extractPrompt({ chosen, rejected })["prompt"], chosen.slice(0, 1));
});

Deno.test("a prompt cannot be found where a text stands beside messages", () => {
  assert.throws(() => extractPrompt({ chosen: "a", rejected: [user("a")] }), UserError);
});

Deno.test("a text beside conversations does not count as their prompt", () => {
  const pair = { chosen: [user("a"), assistant("b")], rejected: [user("a"), assistant("c")] };
  assert.deepEqual(maybeExtractPrompt({ prompt: "a", ...pair })["prompt"], [user("a")]);
  const explicit = { prompt: "a", chosen: "b", rejected: "c" };
  assert.equal(maybeExtractPrompt(explicit), explicit);
});

Deno.test("the prompt of a triple is taken off the gold answer, which must begin with it", () => {
  const pair = { chosen: "It is blue", rejected: "It is red" };
  assert.deepEqual(extractTriplePrompt({ ...pair, reference: "It is up" }), {
    prompt: "It is",
    chosen: " blue",
    rejected: " red",
    reference: " up",
  });
  assert.throws(
    () => extractTriplePrompt({ ...pair, reference: "Up" }),
    (error: Error) => error instanceof UserError && /"It is"/.test(error.message),
  );
});

Deno.test("pairs are taken apart in batches, and further columns stay", () => {
  const rows = [1, 2, 3].map((n) => ({ prompt: `p${n}`, chosen: `c${n}`, rejected: `r${n}`, n }));
  const halves = unpairPreference(rows, { batchRows: 2 });
  assert.deepEqual(halves.map(({ completion }) => completion), [
    "c1",
    "c2",
    "r1",
    "r2",
    "c3",
    "r3",
  ]);
  assert.deepEqual(halves[3], { prompt: "p2", completion: "r2", label: false, n: 2 });
  const answers = [{ prompt: "a", completion: "b", label: true }];
  assert.equal(maybeUnpairPreference(answers), answers);
  assert.equal(maybeUnpairPreference(rows).length, 6);
});

Deno.test("a chat template refuses other columns, and prompts that end with the system", async () => {
  const tokenizer = await loadTokenizer(fixture("models/llama"));
  const refuses = (row: DatasetRow, pattern: RegExp) =>
    assert.throws(
      () => applyChatTemplate(row, tokenizer),
      (error: Error) => error instanceof UserError && pattern.test(error.message),
    );
  refuses({ completion: [assistant("a")] }, /columns completion/);
  refuses(
    { prompt: [{ role: "system", content: "a" }], completion: [assistant("b")] },
    /role "system"/,
  );
  refuses({ prompt: "a", completion: [assistant("b")] }, /column "prompt"/);
});

Deno.test("a chat template gets the tools and variables there are, and further columns stay", async () => {
  const tokenizer = await loadTokenizer(fixture("models/llama"));
  const row = {
    prompt: [user("a")],
    completion: [assistant("b")],
    chat_template_kwargs: { default_system: "Be brief." },
    n: 1,
  };
  const plain = applyChatTemplate(row, tokenizer);
  assert.match(String(plain["prompt"]), /^<\|im_start\|>system\nBe brief/);
  assert.equal(plain["n"], 1);
  assert.deepEqual(applyChatTemplate(row, tokenizer, { tools: [] }), plain);
  const tools = applyChatTemplate(row, tokenizer, { tools: [{ name: "add" }] });
  assert.match(String(tools["prompt"]), /"name": ?"add"/);
});

/** The examples of TRL's guide to dataset formats. */
const examples: Readonly<Partial<Record<DatasetType, DatasetRow[]>>> = {
  "prompt-completion": [{ prompt: "The sky is", completion: " blue." }],
  "preference with implicit prompt": [
    { chosen: "The sky is blue.", rejected: "The sky is green." },
  ],
  "preference": [{ prompt: "The sky is", chosen: " blue.", rejected: " green." }],
  "unpaired preference": [
    { prompt: "The sky is", completion: " blue.", label: true },
    { prompt: "The sky is", completion: " green.", label: false },
  ],
  "stepwise supervision": [
    {
      prompt: "Blue light",
      completions: [" scatters more,", " so: green."],
      labels: [true, false],
    },
    { prompt: "The sky", completions: [" is", " blue."], labels: [true, true] },
  ],
};

const isBlue = { text: "The sky is blue." };
const blue = { prompt: "The sky is", completion: " blue." };
const prompt = { prompt: "The sky is" };
const halves = [{ ...blue, label: true }, { ...prompt, completion: " green.", label: false }];

const table: readonly [DatasetType, DatasetType, DatasetRow[]][] = [
  ["prompt-completion", "language modeling", [isBlue]],
  ["prompt-completion", "prompt-only", [prompt]],
  ["preference with implicit prompt", "language modeling", [isBlue]],
  ["preference with implicit prompt", "prompt-completion", [blue]],
  ["preference with implicit prompt", "prompt-only", [prompt]],
  [
    "preference with implicit prompt",
    "preference",
    [{ ...prompt, chosen: " blue.", rejected: " green." }],
  ],
  ["preference with implicit prompt", "unpaired preference", halves],
  ["preference", "language modeling", [isBlue]],
  ["preference", "prompt-completion", [blue]],
  ["preference", "prompt-only", [prompt]],
  [
    "preference",
    "preference with implicit prompt",
    [{ chosen: "The sky is blue.", rejected: "The sky is green." }],
  ],
  ["preference", "unpaired preference", halves],
  ["unpaired preference", "language modeling", [isBlue]],
  ["unpaired preference", "prompt-completion", [blue]],
  ["unpaired preference", "prompt-only", [prompt, prompt]],
  ["stepwise supervision", "language modeling", [isBlue]],
  ["stepwise supervision", "prompt-completion", [{ prompt: "The sky", completion: " is blue." }]],
  ["stepwise supervision", "prompt-only", [{ prompt: "Blue light" }, { prompt: "The sky" }]],
  ["stepwise supervision", "unpaired preference", [
    { prompt: "Blue light", completion: " scatters more, so: green.", label: false },
    { prompt: "The sky", completion: " is blue.", label: true },
  ]],
];

for (const [from, to, expected] of table) {
  Deno.test(`a data set of the type ${from} becomes one of the type ${to}`, () => {
    const rows = examples[from]!;
    assert.equal(datasetTypeOf(rows[0]!), from);
    assert.deepEqual(convertDataset(rows, to), expected);
    assert.equal(datasetTypeOf(expected[0]!), to);
  });
}

Deno.test("conversations are converted as texts are", () => {
  const [question, answer, other] = [[user("a")], [assistant("b")], [assistant("c")]];
  const rows = [{ prompt: question, chosen: answer, rejected: other }];
  assert.deepEqual(convertDataset(rows, "language modeling"), [{
    messages: [...question, ...answer],
  }]);
  const implicit = convertDataset(rows, "preference with implicit prompt");
  assert.deepEqual(convertDataset(implicit, "preference"), rows);
});

Deno.test("a conversion there is none of is refused with those there are", () => {
  const rows = examples["prompt-completion"]!;
  assert.throws(
    () => convertDataset(rows, "preference"),
    (error: Error) =>
      error instanceof UserError && /language modeling; prompt-only/.test(error.message),
  );
  assert.throws(() => convertDataset([{ x: 1 }], "preference"), /columns x are no type/);
  const broken = [...examples["preference"]!, { prompt: "a", chosen: "b" }];
  assert.throws(
    () => convertDataset(broken, "prompt-completion"),
    /^UserError: Row 2 .*rejected too/,
  );
});
