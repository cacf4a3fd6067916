/**
 * Positive continuations, with a classifier as the reward: a small Llama learns to write film reviews, another learns
 * which of two reviews is the kinder one, and then the first is rewarded for what the second likes.
 *
 *     deno run -A examples/positive.ts
 *
 * It is the code of `cli/main.ts sft`, `reward` and `grpo`, on reviews that this file writes to `out/positive`. Options
 * given here, such as `--device webgpu`, go to all three.
 *
 * @module
 */

import { main } from "../cli/main.ts";
import { say, writeRows } from "./arithmetic/sums.ts";
import { loadTokenizer } from "../data/mod.ts";
import { currentDevice, openDevice } from "../core/mod.ts";
import { causalModel, generator } from "../nn/mod.ts";
import { readParameters } from "../train/mod.ts";

const output = "out/positive";

const kind = "wonderful charming clever moving splendid funny brilliant warm".split(" ");
const harsh = "dull tiresome clumsy hollow dreadful boring stale cold".split(" ");
const things = "film plot cast music ending dialogue camera story".split(" ");
const adverbs = "truly rather quite very".split(" ");
const openings = ["the film was", "i thought the plot was", "we found the cast", "the music felt"];
const words = [
  ...new Set([...openings.join(" ").split(" "), ...things, ...adverbs, ...kind, ...harsh]),
  ...[",", ".", "and", "is"],
];

/** The same numbers every time (a linear congruential generator). */
let state = 1;
function one<T>(list: readonly T[]): T {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return list[Math.floor(state / 2 ** 32 * list.length)]!;
}

/** A review of one mind. */
function review(
  adjectives: readonly string[],
): { readonly opening: string; readonly rest: string } {
  const judgement = () => `${one(adverbs)} ${one(adjectives)}`;
  const rest = ` ${judgement()} , the ${one(things)} is ${judgement()} and the ${one(things)} is ` +
    `${judgement()} .`;
  return { opening: one(openings), rest };
}

async function run(command: string, flags: string): Promise<void> {
  const standard = "--save_strategy no --gradient_checkpointing false --adam_beta2 0.98 " +
    "--lr_scheduler_type cosine";
  const code = await main([
    command,
    ...`${flags} ${standard}`.trim().split(/\s+/),
    ...Deno.args,
  ]);
  if (code !== 0) Deno.exit(code);
}

/** A model of words, each a token. */
async function writeModelFiles(directory: string): Promise<void> {
  const special = ["<pad>", "<end>", "<unknown>"];
  const vocabulary = [...special, ...words];
  const write = (name: string, value: unknown) =>
    Deno.writeTextFile(`${directory}/${name}`, `${JSON.stringify(value, null, 2)}\n`);
  await write("config.json", {
    ...{ architectures: ["LlamaForCausalLM"], model_type: "llama", vocab_size: vocabulary.length },
    ...{ hidden_size: 96, intermediate_size: 256, num_hidden_layers: 2, num_attention_heads: 4 },
    ...{ num_key_value_heads: 4, max_position_embeddings: 64, rms_norm_eps: 1e-5 },
    ...{ tie_word_embeddings: true, initializer_range: 0.04, hidden_act: "silu" },
    ...{ pad_token_id: 0, eos_token_id: 1, bos_token_id: null, torch_dtype: "float32" },
  });
  await write("tokenizer_config.json", {
    tokenizer_class: "PreTrainedTokenizerFast",
    ...{ pad_token: "<pad>", eos_token: "<end>", unk_token: "<unknown>", model_max_length: 64 },
  });
  await write("tokenizer.json", {
    ...{ version: "1.0", truncation: null, padding: null, normalizer: null, post_processor: null },
    added_tokens: special.map((content, id) => ({
      ...{ id, content, single_word: false, lstrip: false, rstrip: false },
      ...{ normalized: false, special: true },
    })),
    pre_tokenizer: { type: "WhitespaceSplit" },
    decoder: { type: "WordPiece", prefix: "##", cleanup: false },
    model: {
      ...{ type: "WordPiece", unk_token: "<unknown>", continuing_subword_prefix: "##" },
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(vocabulary.map((word, id) => [word, id])),
    },
  });
}

/** Samples continuations; how many of the judging words are kind, and a few of them. */
async function look(name: string): Promise<{ readonly share: number; readonly shown: string[] }> {
  await openDevice("auto");
  const model = causalModel(JSON.parse(await Deno.readTextFile(`${output}/model/config.json`)));
  const tokenizer = await loadTokenizer(`${output}/model`);
  const params = await readParameters(model, `${output}/${name}`);
  const sample = generator(model, {
    maxNewTokens: 24,
    doSample: true,
    eosTokenIds: [tokenizer.eosTokenId!],
  });
  const prompts = openings.map((text) => tokenizer.encode(text));
  const ids = await sample(params, prompts, { completions: 32 });
  currentDevice().destroy();
  const texts = ids.map((row) => tokenizer.decode(row, { skipSpecialTokens: true }));
  const said = texts.join(" ").split(" ");
  const count = (list: readonly string[]) => said.filter((word) => list.includes(word)).length;
  return {
    share: count(kind) / (count(kind) + count(harsh)),
    shown: openings.map((opening, i) => `${opening} ${texts[32 * i]!.trim()}`),
  };
}

await Deno.mkdir(`${output}/model`, { recursive: true });
await writeModelFiles(`${output}/model`);
const reviews = Array.from({ length: 4_000 }, () => review(one([kind, harsh])));
await writeRows(
  `${output}/reviews.jsonl`,
  reviews.map(({ opening, rest }) => ({ prompt: opening, completion: rest })),
);
await writeRows(
  `${output}/pairs.jsonl`,
  Array.from({ length: 1_000 }, () => {
    const [good, bad] = [review(kind), review(harsh)];
    return { prompt: good.opening, chosen: good.rest, rejected: bad.rest };
  }),
);
await writeRows(
  `${output}/openings.jsonl`,
  Array.from({ length: 400 }, () => ({ prompt: one(openings) })),
);

say("A small Llama, from scratch, learns to write reviews, as many kind as harsh ones.\n");
await run(
  "sft",
  `--init_from_config ${output}/model/config.json --dataset_name ${output}/reviews.jsonl
   --output_dir ${output}/writer --per_device_train_batch_size 64 --max_steps 200
   --learning_rate 2e-3 --warmup_steps 20 --logging_steps 50`,
);
say("\nA classifier learns which of two reviews is the kinder one.\n");
await run(
  "reward",
  `--model_name_or_path ${output}/writer --dataset_name ${output}/pairs.jsonl
   --output_dir ${output}/critic --per_device_train_batch_size 32 --max_steps 60
   --learning_rate 5e-4 --logging_steps 20`,
);
say("\nThe writer is rewarded for what the critic likes, and held near itself as it was.\n");
await run(
  "grpo",
  `--model_name_or_path ${output}/writer --dataset_name ${output}/openings.jsonl
   --output_dir ${output}/kind_writer --reward_funcs ${output}/critic
   --per_device_train_batch_size 64 --num_generations 8 --max_completion_length 24 --beta 0.1
   --max_steps 40 --learning_rate 3e-4 --logging_steps 10`,
);

const [before, after] = [await look("writer"), await look("kind_writer")];
const percent = (share: number) => `${(100 * share).toFixed(0)} %`;
say(
  `\nOf its judgements, ${percent(before.share)} were kind before, ${
    percent(after.share)
  } after:\n`,
);
before.shown.forEach((text, i) => say(`  before  ${text}\n  after   ${after.shown[i]}\n`));
Deno.exit(0);
