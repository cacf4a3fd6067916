/** The same work for everybody: a model, and rows whose tokens are known. @module */

import { leavesOf, openDevice, randomKey, realize, type Tensor } from "../../core/mod.ts";
import { causalModel, initParameters } from "../../nn/mod.ts";
import { writeParameters } from "../../train/files/model_files.ts";
import { sftLengths } from "../sft_batch.ts";
import { large, small } from "../sft_step.ts";

/** Files on disk that every contestant reads. */
export interface Workload {
  /** A directory in the layout of Hugging Face: weights, configuration, tokenizer. */
  readonly model: string;
  /** Parameters of the model. */
  readonly parameters: number;
  /** Weights of its matrix products, the output head apart. */
  readonly bodyWeights: number;
  /** Weights of the output head. */
  readonly headWeights: number;
  /** Rows of `prompt` and `completion`, in steps of {@link sftRows} that are alike. */
  readonly sft: string;
  /** Rows of `prompt`, `chosen`, `rejected`, in steps of {@link dpoRows} that are alike. */
  readonly dpo: string;
  /** Rows of `prompt`, in steps of {@link grpoPrompts} that are alike. */
  readonly prompts: string;
  /** Steps of each. */
  readonly steps: number;
  /** Tokens of a step of each, the end-of-sequence tokens that trainers add included. */
  readonly counts: {
    readonly sft: Counts;
    readonly dpo: Counts;
    readonly prompts: Counts;
  };
}

/** Tokens of a step. */
export interface Counts {
  /** As TRL counts them: the prompt of a pair is in both of its answers. */
  readonly tokens: number;
  /** The same with each prompt once. */
  readonly shared: number;
  /** Tokens that are predicted. */
  readonly labels: number;
}

/** Rows of a step. */
export const [sftRows, dpoRows, grpoPrompts] = [8, 4, 8];

/** Completions of a prompt in GRPO, tokens of each, and sequences of sampling. */
export const [groupSize, newTokens, sampledRows] = [8, 64, 8];

/** Writes the model and the rows into a new directory. */
export async function writeWorkload(
  directory: string,
  { steps, quick }: { readonly steps: number; readonly quick: boolean },
): Promise<Workload> {
  const model = causalModel(quick ? small : large);
  const path = (name: string) => `${directory}/${name}`;
  const { words } = await writeRandomModel(path("model"), quick ? small : large);
  const device = await openDevice("cpu");
  const params = await realize(initParameters(model, randomKey(0)));
  await writeParameters(path("model"), params);
  device.destroy();
  const sizes = leavesOf(params).map(([name, leaf]) => [name, leaf as Tensor] as const);
  const sizeOf = (wanted: (name: string, tensor: Tensor) => boolean) =>
    sizes.reduce((sum, [name, tensor]) => sum + (wanted(name, tensor) ? tensor.size : 0), 0);
  const given = { text: textOf(words), steps };
  const total = (
    of: (lengths: readonly [prompt: number, completion: number]) => number,
    rows: number,
  ) => sftLengths.slice(0, rows).reduce((sum, lengths) => sum + of(lengths), 0);
  const prompts = (rows: number) => total(([prompt]) => prompt, rows);
  const answers = total(([, completion]) => completion + 1, sftRows);
  const pairAnswers = total(
    ([, completion]) => completion + rejectedLength(completion) + 2,
    dpoRows,
  );
  return {
    model: path("model"),
    parameters: sizeOf(() => true),
    bodyWeights: sizeOf((name, { shape }) => shape.length === 2 && !name.includes("embed_tokens")),
    headWeights: sizeOf((name) => name.includes("embed_tokens")),
    sft: await writeRowsFor("sft", path("sft.jsonl"), given),
    dpo: await writeRowsFor("dpo", path("dpo.jsonl"), given),
    prompts: await writeRowsFor("grpo", path("prompts.jsonl"), given),
    steps,
    counts: {
      sft: {
        tokens: prompts(sftRows) + answers,
        shared: prompts(sftRows) + answers,
        labels: answers,
      },
      dpo: {
        tokens: 2 * prompts(dpoRows) + pairAnswers,
        shared: prompts(dpoRows) + pairAnswers,
        labels: pairAnswers,
      },
      prompts: { tokens: prompts(sftRows), shared: prompts(sftRows), labels: 0 },
    },
  };
}

/** Writes the files of a model beside its weights, which are not there; gives how many words its tokenizer knows. */
export async function writeRandomModel(
  directory: string,
  config: Readonly<Record<string, unknown>> & { readonly vocab_size: number },
): Promise<{ readonly words: number }> {
  await Deno.mkdir(directory, { recursive: true });
  const words = config.vocab_size - specialTokens.length;
  await writeModelFiles(directory, config, words);
  return { words };
}

/** Writes the rows of so many steps of a method, which are alike; gives their path. */
export async function writeRowsFor(
  method: "sft" | "dpo" | "grpo",
  path: string,
  { text, steps }: { readonly text: (tokens: number) => string; readonly steps: number },
): Promise<string> {
  const lengths = sftLengths.slice(0, { sft: sftRows, dpo: dpoRows, grpo: grpoPrompts }[method]);
  const rowOf = ([prompt, completion]: readonly [number, number]) => {
    switch (method) {
      case "sft":
        return { prompt: text(prompt), completion: ` ${text(completion)}` };
      case "dpo":
        return {
          prompt: text(prompt),
          chosen: ` ${text(completion)}`,
          rejected: ` ${text(rejectedLength(completion))}`,
        };
      case "grpo":
        return { prompt: text(prompt) };
    }
  };
  await writeRows(path, Array.from({ length: steps }, () => lengths.map(rowOf)).flat());
  return path;
}

/** Rejected answers differ in length from chosen ones, as real ones do. */
function rejectedLength(completion: number): number {
  return Math.round(completion * 0.8);
}

const specialTokens = ["<|pad|>", "<|end|>", "<|unknown|>"] as const;

/** Text of so many tokens, one a word; the same every time. Words of low number are frequent. */
export function textOf(words: number): (tokens: number) => string {
  let state = 1;
  return (tokens) =>
    Array.from({ length: tokens }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return `w${Math.floor((state / 2 ** 32) ** 2 * words)}`;
    }).join(" ");
}

async function writeRows(path: string, rows: readonly unknown[]): Promise<void> {
  await Deno.writeTextFile(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
}

async function writeModelFiles(
  directory: string,
  config: Readonly<Record<string, unknown>>,
  words: number,
): Promise<void> {
  const write = (name: string, value: unknown) =>
    Deno.writeTextFile(`${directory}/${name}`, `${JSON.stringify(value, null, 2)}\n`);
  const [pad, end, unknown] = specialTokens;
  await write("config.json", {
    architectures: ["LlamaForCausalLM"],
    ...config,
    ...{ torch_dtype: "float32", pad_token_id: 0, eos_token_id: 1, bos_token_id: null },
  });
  await write("tokenizer_config.json", {
    tokenizer_class: "PreTrainedTokenizerFast",
    ...{ pad_token: pad, eos_token: end, unk_token: unknown, model_max_length: 1024 },
  });
  const names = [...specialTokens, ...Array.from({ length: words }, (_, i) => `w${i}`)];
  await write("tokenizer.json", {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: specialTokens.map((content, id) => ({
      ...{ id, content, single_word: false, lstrip: false, rstrip: false },
      ...{ normalized: false, special: true },
    })),
    normalizer: null,
    pre_tokenizer: { type: "WhitespaceSplit" },
    post_processor: null,
    decoder: { type: "WordPiece", prefix: "##", cleanup: false },
    model: {
      type: "WordPiece",
      unk_token: unknown,
      continuing_subword_prefix: "##",
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(names.map((name, id) => [name, id])),
    },
  });
}
