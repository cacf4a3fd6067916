import assert from "node:assert/strict";
import { UserError } from "../../../core/errors.ts";
import type { DatasetRow } from "../../../data/prepare/formats.ts";
import { prepareGkd } from "../../../data/prepare/prepare_gkd.ts";
import { prepareCpo, prepareDpo, prepareTpo } from "../../../data/prepare/prepare_pairs.ts";
import { preparePrm } from "../../../data/prepare/prepare_prm.ts";
import { preparePrompts } from "../../../data/prepare/prepare_prompts.ts";
import { prepareReward } from "../../../data/prepare/prepare_reward.ts";
import { prepareSft } from "../../../data/prepare/prepare_sft.ts";
import { prepareBco, prepareKto } from "../../../data/prepare/prepare_unpaired.ts";
import { loadTokenizer } from "../../../data/tokenizer/tokenizer.ts";
import { fixture } from "../fixture_files.ts";

const tokenizer = await loadTokenizer(fixture("models/llama"));
const user = { role: "user", content: "Hi" };
const assistant = { role: "assistant", content: "Hello!" };

const text = { text: "a" };
const pair = { prompt: "1+1=", completion: " 2" };
const chatPair = { prompt: [user], completion: [assistant] };
const messages = { messages: [user, assistant] };
const sharegpt = {
  conversations: [{ from: "user", value: "a" }, { from: "assistant", value: "b" }],
};
const alpaca = { instruction: "a", output: "b" };
const tokens = { input_ids: [1, 2] };
const preference = { prompt: "1+1=", chosen: " 2", rejected: " 3" };
const implicit = { chosen: [user, assistant], rejected: [user, { ...assistant, content: "No" }] };
const triple = { ...preference, reference: " 4" };
const judged = { prompt: "1+1=", completion: " 2", label: true };
const unpaired = [judged, { ...judged, label: false }, judged, { ...judged, label: false }];
const steps = { prompt: "1+1", completions: ["2"], labels: [true] };

/** Readers of rows, each with rows that it takes. */
const cases:
  readonly (readonly [string, (rows: readonly DatasetRow[]) => unknown, readonly DatasetRow[]])[] =
    [
      ...[text, pair, chatPair, messages, sharegpt, alpaca, tokens].map((row) =>
        ["sft", (rows: readonly DatasetRow[]) => prepareSft(rows, tokenizer), [row, row]] as const
      ),
      ...[preference, implicit].flatMap((row) => [
        ["dpo", (rows: readonly DatasetRow[]) => prepareDpo(rows, tokenizer), [row, row]] as const,
        ["cpo", (rows: readonly DatasetRow[]) => prepareCpo(rows, tokenizer), [row, row]] as const,
        ["reward", (rows: readonly DatasetRow[]) => prepareReward(rows, tokenizer), [
          row,
          row,
        ]] as const,
      ]),
      [
        "reward",
        (rows) => prepareReward(rows, tokenizer),
        [0, 1].map(() => ({ ...preference, margin: 1 })),
      ],
      ["tpo", (rows) => prepareTpo(rows, tokenizer), [triple, triple]],
      ["kto", (rows) => prepareKto(rows, tokenizer, { klBatchSize: 2 }), unpaired],
      ["bco", (rows) => prepareBco(rows, tokenizer), unpaired],
      ["prm", (rows) => preparePrm(rows, tokenizer), [steps, steps]],
      ["grpo", (rows) => preparePrompts(rows, tokenizer), [pair, pair]],
      ["grpo", (rows) => preparePrompts(rows, tokenizer), [chatPair, chatPair]],
      ["gkd", (rows) => prepareGkd(rows, tokenizer), [messages, messages]],
      ["gkd", (rows) => prepareGkd(rows, tokenizer), [chatPair, chatPair]],
    ];

/** Columns that a command does without. */
const unread: Readonly<Record<string, readonly string[]>> = { grpo: ["completion"] };

Deno.test("a field that is null, an empty list or of another type is named with its row and column", () => {
  for (const [command, prepare, rows] of cases) {
    prepare(rows);
    for (const column of Object.keys(rows[0]!)) {
      if (unread[command]?.includes(column)) continue;
      // A row without tokens teaches nothing, as a row cut to nothing.
      const other = column === "margin" ? "high" : 7;
      for (const value of column === "input_ids" ? [null, other] : [null, [], other]) {
        for (const at of [0, 1]) {
          const what = `${command}: ${JSON.stringify(value)} as ${column} in row ${at + 1}`;
          const broken = rows.map((row, i) => i === at ? { ...row, [column]: value } : row);
          assert.throws(() => prepare(broken), (error) => {
            assert.ok(error instanceof UserError, `${what}: ${error}`);
            const { message } = error;
            assert.match(message, new RegExp(`^Row ${at + 1} of`), what);
            assert.match(message, new RegExp(`\\b${column}\\b`), what);
            assert.doesNotMatch(message, /no format/, what);
            if (value === null) assert.match(message, /null|missing/, what);
            return true;
          }, what);
        }
      }
    }
  }
});

Deno.test("a message that is null or has no role is named with its place", () => {
  for (
    const [message, pattern] of [
      [null, /Row 2 .*null as message 2 in its column "messages"/],
      ["Hi", /Row 2 .*a text as message 2/],
      [{ content: "Hi" }, /Row 2 .*missing for its role, as message 2/],
      [{ role: null, content: "Hi" }, /Row 2 .*null for its role, as message 2/],
    ] as const
  ) {
    const rows = [messages, { messages: [user, message] }];
    assert.throws(() => prepareSft(rows, tokenizer), pattern);
  }
});

Deno.test("half a pair in the first row does not make the rows another format", () => {
  const rows = [{ prompt: "a", completion: null, text: "b" }, { ...pair, text: "b" }];
  assert.throws(() => prepareSft(rows, tokenizer), /^.*Row 1 .*"completion" is null/);
  prepareSft([{ prompt: null, completion: null, text: "b" }, { ...pair, text: "b" }], tokenizer);
});
