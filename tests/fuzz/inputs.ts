/** The mutated inputs: which files are mutated, how, and how often. Input n is the same wherever it is made. @module */

import { fixture } from "../data/fixture_files.ts";
import {
  dice,
  gzipped,
  jsonMutation,
  miswrittenWeights,
  mutateBytes,
  mutateConstant,
  mutateJsonLine,
  mutateSafetensorsHeader,
  mutateText,
  type Mutation,
  wrongValue,
} from "./mutations.ts";
import { writeDocument, writeLines, writeTable, writeYaml } from "./written.ts";

/** How an input is read. */
export type Kind = "tokenizer" | "model" | "adapter" | "rows" | "settings" | "state";

/** A file to be mutated. */
interface Subject {
  readonly kind: Kind;
  /** The directory whose files stand beside it; undefined where it stands alone. */
  readonly beside?: string;
  /** The file's name. */
  readonly file: string;
  /** What is mutated: by default the file in `beside`. */
  readonly seed?: string;
  readonly count: number;
  readonly mutations: readonly Mutation[];
  /** Whether the mutated bytes are compressed, and in how many members. */
  readonly gzip?: number;
}

/** A mutated file and what stands beside it. */
export interface Input {
  readonly number: number;
  readonly kind: Kind;
  readonly beside: string | undefined;
  readonly file: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

const json = [
  jsonMutation(2),
  jsonMutation(2),
  jsonMutation(2),
  jsonMutation(2),
  mutateConstant,
  mutateText,
];
const lines = [
  mutateJsonLine,
  mutateJsonLine,
  mutateJsonLine,
  mutateConstant,
  mutateText,
  mutateBytes,
];
const weights = [mutateSafetensorsHeader, mutateSafetensorsHeader, mutateBytes];
const text = [mutateText, mutateText, mutateBytes];

const models = (name: string) => fixture(`models/${name}`);

const subjects: readonly Subject[] = [
  ...["llama", "gemma3_text", "gpt2", "t5", "distilbert"].map((name): Subject => ({
    kind: "tokenizer",
    beside: models(name),
    file: "tokenizer.json",
    count: 90,
    mutations: json,
  })),
  ...["llama", "qwen2", "gemma3_text"].map((name): Subject => ({
    kind: "tokenizer",
    beside: models(name),
    file: "tokenizer_config.json",
    count: 60,
    mutations: json,
  })),
  {
    kind: "tokenizer",
    beside: models("llama"),
    file: "chat_template.jinja",
    count: 120,
    mutations: text,
  },
  ...[
    "llama",
    "qwen3",
    "gemma3_text",
    "gpt2",
    "gpt_neox",
    "gptj",
    "opt",
    "phi3",
    "mistral",
    "llama3_rope",
  ].map((
    name,
  ): Subject => ({
    kind: "model",
    beside: models(name),
    file: "config.json",
    count: 35,
    mutations: json,
  })),
  {
    kind: "model",
    beside: models("llama"),
    file: "model.safetensors",
    count: 130,
    mutations: weights,
  },
  {
    kind: "model",
    beside: models("llama_tied_bf16"),
    file: "model-00001-of-00002.safetensors",
    count: 40,
    mutations: weights,
  },
  {
    kind: "model",
    beside: models("llama_tied_bf16"),
    file: "model.safetensors.index.json",
    count: 50,
    mutations: json,
  },
  {
    kind: "adapter",
    beside: fixture("adapters/llama_lora"),
    file: "adapter_config.json",
    count: 100,
    mutations: json,
  },
  {
    kind: "adapter",
    beside: fixture("adapters/llama_lora"),
    file: "adapter_model.safetensors",
    count: 70,
    mutations: weights,
  },
  ...(["rows.jsonl", "chats.jsonl"] as const).map((file): Subject => ({
    kind: "rows",
    seed: `fuzz/${file}`,
    file,
    count: 110,
    mutations: lines,
  })),
  { kind: "rows", seed: "fuzz/rows.json", file: "rows.json", count: 70, mutations: json },
  { kind: "rows", seed: "fuzz/rows.csv", file: "rows.csv", count: 70, mutations: text },
  { kind: "rows", seed: "fuzz/rows.txt", file: "rows.txt", count: 30, mutations: text },
  {
    kind: "rows",
    seed: "fuzz/rows.jsonl",
    file: "rows.jsonl.gz",
    count: 30,
    mutations: lines,
    gzip: 2,
  },
  {
    kind: "settings",
    seed: "fuzz/settings.yaml",
    file: "settings.yaml",
    count: 100,
    mutations: text,
  },
  {
    kind: "state",
    seed: "fuzz/trainer_state.json",
    file: "trainer_state.json",
    count: 80,
    mutations: json,
  },
  ...["llama", "gemma3_text", "gpt2", "opt", "phi3", "llama3_rope"].map((name): Subject => ({
    kind: "model",
    beside: models(name),
    file: "config.json",
    count: 40,
    mutations: [wrongValue(2)],
  })),
  ...["llama", "gpt2"].map((name): Subject => ({
    kind: "model",
    beside: models(name),
    file: "model.safetensors",
    count: 60,
    mutations: [miswrittenWeights],
  })),
  {
    kind: "adapter",
    beside: fixture("adapters/llama_lora"),
    file: "adapter_config.json",
    count: 80,
    mutations: [wrongValue(2)],
  },
  {
    kind: "adapter",
    beside: fixture("adapters/llama_lora"),
    file: "adapter_model.safetensors",
    count: 60,
    mutations: [miswrittenWeights],
  },
  {
    kind: "rows",
    seed: "fuzz/rows.jsonl",
    file: "rows.jsonl",
    count: 250,
    mutations: [writeLines],
  },
  {
    kind: "rows",
    seed: "fuzz/rows.json",
    file: "rows.json",
    count: 150,
    mutations: [writeDocument],
  },
  { kind: "rows", seed: "fuzz/rows.csv", file: "rows.csv", count: 250, mutations: [writeTable] },
  {
    kind: "settings",
    seed: "fuzz/settings.yaml",
    file: "settings.yaml",
    count: 200,
    mutations: [writeYaml],
  },
];

/** How many inputs a round has. The verdicts of the first round are kept; there are as many rounds as anyone wants. */
export const inputCount: number = subjects.reduce((sum, { count }) => sum + count, 0);

/** Makes input number n, which is of round ⌊n / {@linkcode inputCount}⌋. */
export async function inputOf(n: number): Promise<Input> {
  let first = 0;
  const subject = subjects.find(({ count }) => (first += count) > n % inputCount)!;
  const random = dice(n);
  const seed = subject.seed ? fixture(subject.seed) : `${subject.beside}/${subject.file}`;
  const mutated = random.of(subject.mutations)(await Deno.readFile(seed), random);
  const bytes = subject.gzip ? await gzipped(mutated, subject.gzip) : mutated;
  return { number: n, kind: subject.kind, beside: subject.beside, file: subject.file, bytes };
}

/** Lays an input out in a directory, its neighbours beside it; gives the path that is to be read. */
export async function layOutInput(input: Input, directory: string): Promise<string> {
  if (input.beside !== undefined) {
    for await (const { name } of Deno.readDir(input.beside)) {
      await Deno.copyFile(`${input.beside}/${name}`, `${directory}/${name}`);
      await Deno.chmod(`${directory}/${name}`, 0o644);
    }
  }
  await Deno.writeFile(`${directory}/${input.file}`, input.bytes);
  return input.beside === undefined ? `${directory}/${input.file}` : directory;
}
