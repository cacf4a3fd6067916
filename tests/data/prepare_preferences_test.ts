import assert from "node:assert/strict";
import type { DatasetRow } from "../../data/prepare/formats.ts";
import type { PromptedCompletion } from "../../data/prepare/preference_tokens.ts";
import { prepareGkd } from "../../data/prepare/prepare_gkd.ts";
import {
  type PreferenceExample,
  prepareCpo,
  prepareDpo,
  prepareOrpo,
  prepareTpo,
} from "../../data/prepare/prepare_pairs.ts";
import { preparePrm } from "../../data/prepare/prepare_prm.ts";
import { prepareReward } from "../../data/prepare/prepare_reward.ts";
import {
  prepareBco,
  prepareKto,
  type UnpairedExample,
} from "../../data/prepare/prepare_unpaired.ts";
import { loadTokenizer, type Tokenizer } from "../../data/tokenizer/tokenizer.ts";
import type { TruncationMode } from "../../data/prepare/prepare_sft.ts";
import { fixture, readFixture, readRows } from "./fixture_files.ts";

const ids = ({ promptIds, completionIds }: PromptedCompletion) => [
  Array.from(promptIds),
  Array.from(completionIds),
];
const whole = (answer: PromptedCompletion) => ids(answer).flat();

interface Flags {
  readonly command: string;
  readonly flags: {
    readonly model_name_or_path: string;
    readonly dataset_name: string;
    readonly per_device_train_batch_size: number;
    readonly loss_type?: string | string[];
    readonly max_length?: number;
  };
}

type Columns = Readonly<Record<string, number[]>>;

async function recorded(name: string) {
  const { flags } = await readFixture<Flags>(`trl/${name}/flags.json`);
  const { prepared } = await readFixture<{ prepared: Columns[] }>(`trl/${name}/expected.json`);
  const tokenizer = await loadTokenizer(fixture(flags.model_name_or_path));
  return { flags, prepared, tokenizer, rows: await readRows(flags.dataset_name) };
}

for (
  const name of [
    "dpo-accumulation",
    "dpo-ipo",
    "dpo-mpo",
    "dpo-sigmoid",
    "dpo-wpo-ld",
    "tpo",
  ]
) {
  Deno.test(`${name}: pairs become the tokens of TRL's own preparation`, async () => {
    const { flags, prepared, tokenizer, rows } = await recorded(name);
    const prepare = name === "tpo" ? prepareTpo : prepareDpo;
    const uncut = prepare(rows, tokenizer, { maxLength: null });
    assert.deepEqual(
      uncut.examples.map(({ chosen, rejected, reference }) => {
        assert.equal(chosen.promptIds, rejected.promptIds);
        return {
          prompt_ids: ids(chosen)[0],
          chosen_ids: ids(chosen)[1],
          rejected_ids: ids(rejected)[1],
          ...(reference && { reference_ids: ids(reference)[1] }),
        };
      }),
      prepared,
    );
    const limit = flags.max_length ?? 1024;
    const cut = prepare(rows, tokenizer, { maxLength: limit });
    assert.equal(cut.dropped, 0);
    assert.deepEqual(
      cut.examples.map(({ chosen, rejected }) => [whole(chosen), whole(rejected)]),
      prepared.map((row) =>
        ["chosen_ids", "rejected_ids"].map((column) =>
          [...row["prompt_ids"]!, ...row[column]!].slice(0, limit)
        )
      ),
    );
  });
}

for (const name of ["orpo", "cpo", "cpo-simpo"]) {
  Deno.test(`${name}: pairs become the tokens of TRL's own preparation`, async () => {
    const { prepared, tokenizer, rows } = await recorded(name);
    const { examples } = (name === "orpo" ? prepareOrpo : prepareCpo)(rows, tokenizer);
    const columns = (prefix: string, answer: PromptedCompletion) => ({
      [`${prefix}_input_ids`]: whole(answer),
      [`${prefix}_attention_mask`]: whole(answer).map(() => 1),
      [`${prefix}_labels`]: [...ids(answer)[0]!.map(() => -100), ...ids(answer)[1]!],
    });
    assert.deepEqual(
      examples.map(({ chosen, rejected }) => ({
        ...columns("chosen", chosen),
        ...columns("rejected", rejected),
        prompt_input_ids: ids(chosen)[0],
        prompt_attention_mask: ids(chosen)[0]!.map(() => 1),
      })),
      prepared,
    );
  });
}

for (const name of ["kto", "kto-apo"]) {
  Deno.test(`${name}: answers become the tokens of TRL's own preparation`, async () => {
    const { flags, prepared, tokenizer, rows } = await recorded(name);
    const hasKl = flags.loss_type !== "apo_zero_unpaired";
    const { examples } = prepareKto(rows, tokenizer, {
      klBatchSize: hasKl ? flags.per_device_train_batch_size : null,
    });
    assert.deepEqual(
      examples.map((example) => ({
        label: example.label,
        prompt_ids: ids(example)[0],
        completion_ids: ids(example)[1],
        ...(example.klCompletionIds && {
          KL_completion_ids: Array.from(example.klCompletionIds),
        }),
      })),
      prepared,
    );
  });
}

Deno.test("bco: answers become the tokens of TRL's own preparation", async () => {
  const { prepared, tokenizer, rows } = await recorded("bco");
  const { examples } = prepareBco(rows, tokenizer);
  assert.deepEqual(
    examples.map((example) => ({
      label: example.label,
      prompt_input_ids: ids(example)[0],
      completion_input_ids: whole(example),
      completion_labels: [...ids(example)[0]!.map(() => -100), ...ids(example)[1]!],
    })),
    prepared.map(({ label, prompt_input_ids, completion_input_ids, completion_labels }) => ({
      label,
      prompt_input_ids,
      completion_input_ids,
      completion_labels,
    })),
  );
});

Deno.test("reward: pairs become the tokens of TRL's own preparation", async () => {
  const { prepared, tokenizer, rows } = await recorded("reward");
  const { examples } = prepareReward(rows, tokenizer);
  assert.deepEqual(
    examples.map(({ chosenIds, rejectedIds }) => ({
      chosen_ids: Array.from(chosenIds),
      rejected_ids: Array.from(rejectedIds),
    })),
    prepared,
  );
});

Deno.test("prm: steps become the tokens and labels of TRL's own preparation", async () => {
  const { prepared, tokenizer, rows } = await recorded("prm");
  const { examples } = preparePrm(rows, tokenizer);
  assert.deepEqual(
    examples.map(({ inputIds, labels }) => ({
      labels: Array.from(labels),
      input_ids: Array.from(inputIds),
    })),
    prepared,
  );
});

interface Combinations {
  readonly tables: DatasetRow[][];
  readonly cases: readonly Combination[];
}

interface Combination {
  readonly name: string;
  readonly command: keyof typeof preparations;
  readonly tokenizer: { readonly model: string; readonly bos?: string };
  readonly options: Options;
  readonly rows: number;
  readonly prepared: readonly Record<string, number[][]>[];
}

interface Options {
  readonly max_length?: number | null;
  readonly truncation_mode?: TruncationMode;
  readonly batch_size?: number;
  readonly kl?: boolean;
  readonly step_separator?: string;
  readonly train_on_last_step_only?: boolean;
  readonly max_completion_length?: number;
}

const length = (options: Options) =>
  options.max_length === undefined ? {} : { maxLength: options.max_length };

const pair = ({ row, chosen, rejected, reference }: PreferenceExample) => ({
  row,
  chosen: ids(chosen),
  rejected: ids(rejected),
  ...(reference && { reference: ids(reference) }),
});

const unpaired = (example: UnpairedExample) => ({
  row: example.row,
  label: example.label,
  completion: ids(example),
  ...(example.klCompletionIds && {
    kl: [Array.from(example.promptIds), Array.from(example.klCompletionIds)],
  }),
});

/** Each command's rows in the form of the fixture. */
const preparations = {
  dpo: (rows: DatasetRow[], tokenizer: Tokenizer, options: Options) =>
    prepareDpo(rows, tokenizer, {
      ...length(options),
      ...(options.truncation_mode && { truncationMode: options.truncation_mode }),
    }).examples.map(pair),
  tpo: (rows: DatasetRow[], tokenizer: Tokenizer, options: Options) =>
    prepareTpo(rows, tokenizer, {
      ...length(options),
      ...(options.truncation_mode && { truncationMode: options.truncation_mode }),
    }).examples.map(pair),
  orpo: (rows: DatasetRow[], tokenizer: Tokenizer, options: Options) =>
    prepareOrpo(rows, tokenizer, length(options)).examples.map(pair),
  cpo: (rows: DatasetRow[], tokenizer: Tokenizer, options: Options) =>
    prepareCpo(rows, tokenizer, length(options)).examples.map(pair),
  kto: (rows: DatasetRow[], tokenizer: Tokenizer, options: Options) =>
    prepareKto(rows, tokenizer, {
      ...length(options),
      klBatchSize: options.kl === false ? null : options.batch_size ?? 2,
    }).examples.map(unpaired),
  bco: (rows: DatasetRow[], tokenizer: Tokenizer, options: Options) =>
    prepareBco(rows, tokenizer, length(options)).examples.map(unpaired),
  reward: (rows: DatasetRow[], tokenizer: Tokenizer, options: Options) =>
    prepareReward(rows, tokenizer, length(options)).examples.map((example) => ({
      row: example.row,
      chosen_ids: Array.from(example.chosenIds),
      rejected_ids: Array.from(example.rejectedIds),
      ...(example.margin !== undefined && { margin: example.margin }),
    })),
  prm: (rows: DatasetRow[], tokenizer: Tokenizer, options: Options) =>
    preparePrm(rows, tokenizer, {
      ...length(options),
      ...(options.step_separator && { stepSeparator: options.step_separator }),
      ...(options.train_on_last_step_only && { trainOnLastStepOnly: true }),
      ...(options.max_completion_length && {
        maxCompletionLength: options.max_completion_length,
      }),
    }).examples.map(({ inputIds, labels }) => ({
      input_ids: Array.from(inputIds),
      labels: Array.from(labels),
    })),
  gkd: (rows: DatasetRow[], tokenizer: Tokenizer, options: Options) =>
    prepareGkd(rows, tokenizer, length(options)).examples.map((example) => ({
      row: example.row,
      completion: ids(example),
    })),
};

/** ORPO and CPO leave out what TRL would divide by zero for: rows with an answer cut to nothing. */
const leavesOut = (command: string) => command === "orpo" || command === "cpo";
const hasAnswers = (row: Record<string, number[][]>) =>
  row["chosen"]![1]!.length > 0 && row["rejected"]![1]!.length > 0;

const combinations = await readFixture<Combinations>("trl/prepared-preferences.json");

for (const command of Object.keys(preparations)) {
  Deno.test(`${command}: options and formats in many combinations prepare rows as TRL does`, async () => {
    const cases = combinations.cases.filter((combination) => combination.command === command);
    assert.ok(cases.length > 3);
    for (const { name, tokenizer, options, rows, prepared } of cases) {
      const loaded = await loadTokenizer(fixture(tokenizer.model));
      const { bos } = tokenizer;
      const used = bos === undefined ? loaded : {
        ...loaded,
        bosToken: bos,
        bosTokenId: loaded.idOf(bos),
        specialTokens: { ...loaded.specialTokens, bos_token: bos },
      };
      const title = `${name}, ${JSON.stringify({ ...tokenizer, ...options })}`;
      const made = preparations[command as keyof typeof preparations](
        combinations.tables[rows]!,
        used,
        options,
      );
      assert.deepEqual(made, leavesOut(command) ? prepared.filter(hasAnswers) : prepared, title);
    }
  });
}
