/** Models as directories in the Hugging Face layout: reading one, writing one. @module */

import { type Key, randomKey, realize, UserError } from "../core/mod.ts";
import { openCheckpointFiles } from "../data/checkpoint_files.ts";
import { isRecord, readJsonFile } from "../data/json_files.ts";
import { missingPathError, parentPath, statIfPresent } from "../data/local_paths.ts";
import { loadTokenizer, type Tokenizer, type TokenizerOverrides } from "../data/tokenizer.ts";
import { saveTokenizer } from "../data/tokenizer_files.ts";
import {
  type CausalModel,
  causalModel,
  type DecoderParams,
  freshParameter,
  headClasses,
  type HuggingFaceConfig,
  initParameters,
  type ModelHead,
  type ParameterShape,
  parameterShapes,
} from "../nn/mod.ts";
import { writeParameters } from "./checkpoint.ts";
import { loadParameters } from "./model_files.ts";

/** A model, its parameters and its tokenizer. */
export interface OpenModel {
  readonly model: CausalModel;
  readonly head: ModelHead;
  readonly params: DecoderParams;
  readonly tokenizer: Tokenizer;
  /** `config.json` and, if there is one, `generation_config.json`. */
  readonly config: HuggingFaceConfig;
  readonly generationConfig: HuggingFaceConfig | undefined;
}

/** Where a model comes from: a directory, or a config to begin from scratch. */
export interface ModelSource {
  readonly directory?: string | undefined;
  readonly initFromConfig?: string | undefined;
  /** The model's last layer; logits over the vocabulary by default. A missing score head begins fresh. */
  readonly head?: ModelHead | undefined;
  /** Seed of fresh parameters. */
  readonly seed: number;
  /** Directory of the tokenizer, if it is another. */
  readonly tokenizer?: string | undefined;
  readonly overrides?: TokenizerOverrides;
}

/**
 * Opens a model.
 *
 * @throws UserError naming the file, if something is missing, broken or not supported.
 */
export async function openModel(source: ModelSource): Promise<OpenModel> {
  const configPath = source.initFromConfig ??
    `${await modelDirectory(source.directory!)}/config.json`;
  const home = source.initFromConfig ? parentPath(configPath) : source.directory!;
  const config = await readConfig(configPath);
  const model = causalModel(config);
  const head = source.head ?? { kind: "language" };
  const tokenizer = await loadTokenizer(source.tokenizer ?? home, source.overrides);
  if (tokenizer.vocabSize > model.config.vocabularySize) {
    throw new UserError(
      `The tokenizer in ${tokenizer.directory} knows ${tokenizer.vocabSize} tokens, but the model of ${configPath} has ` +
        `only ${model.config.vocabularySize} (vocab_size). They do not belong together.`,
    );
  }
  const params = source.initFromConfig
    ? await realize(initParameters(model.config, randomKey(source.seed), head))
    : await readParameters(model, source.directory!, head, randomKey(source.seed));
  const generationConfig = await readJsonFile(`${home}/generation_config.json`);
  return { model, head, params, tokenizer, config, generationConfig };
}

/**
 * Reads a model's parameters from a directory.
 *
 * @param fresh With a key, a score head that the files lack begins fresh instead of being an error.
 */
export async function readParameters(
  model: CausalModel,
  directory: string,
  head: ModelHead = { kind: "language" },
  fresh?: Key,
): Promise<DecoderParams> {
  const files = await openCheckpointFiles(directory);
  const shapes = parameterShapes(model.config, head);
  const begin = (path: string, { shape }: ParameterShape) =>
    fresh && path.startsWith("score.") ? freshParameter(path, shape, model.config, fresh) : null;
  try {
    return await realize(await loadParameters<DecoderParams>(shapes, files, begin));
  } finally {
    files.close();
  }
}

async function modelDirectory(path: string): Promise<string> {
  const found = await statIfPresent(path);
  if (!found) throw await missingPathError(path, "model");
  if (!found.isDirectory) {
    throw new UserError(`${path} is a file; a model is a directory with config.json and weights.`);
  }
  return path;
}

async function readConfig(path: string): Promise<HuggingFaceConfig> {
  const config = await readJsonFile(path);
  if (config !== undefined) return config;
  throw new UserError(
    `There is no ${path}. A model directory has a config.json beside its weights (*.safetensors) and tokenizer files.`,
  );
}

/** Writes a model as transformers would: weights in f32, config, generation config, tokenizer. */
export async function writeModel(
  directory: string,
  opened: OpenModel,
  params: unknown,
): Promise<void> {
  await Deno.mkdir(directory, { recursive: true });
  await writeParameters(directory, params);
  const { config, generationConfig, tokenizer, head } = opened;
  const special = {
    ...(tokenizer.eosTokenId === undefined ? {} : { eos_token_id: tokenizer.eosTokenId }),
    ...(tokenizer.padTokenId === undefined ? {} : { pad_token_id: tokenizer.padTokenId }),
  };
  const dtype = "torch_dtype" in config ? { torch_dtype: "float32" } : { dtype: "float32" };
  await writeJson(`${directory}/config.json`, {
    ...config,
    ...headFields(config, head),
    ...dtype,
    ...alignedTo(config, special),
  });
  if (isRecord(generationConfig)) {
    await writeJson(`${directory}/generation_config.json`, {
      ...generationConfig,
      ...alignedTo(generationConfig, special),
    });
  }
  await saveTokenizer(tokenizer, directory);
}

/** What a config says of its head, as transformers writes it. */
function headFields(config: HuggingFaceConfig, head: ModelHead): Record<string, unknown> {
  const given = Array.isArray(config["architectures"]) ? String(config["architectures"][0]) : "";
  const stem = given.replace(/For[A-Z]\w*$/, "");
  if (stem === "") return {};
  const architectures = [stem + headClasses[head.kind]];
  // Two labels are transformers' default, which it does not write.
  if (head.kind === "language" || head.labels === 2) return { architectures };
  const names = Array.from({ length: head.labels }, (_, i) => `LABEL_${i}`);
  return {
    architectures,
    id2label: Object.fromEntries(names.map((name, i) => [String(i), name])),
    label2id: Object.fromEntries(names.map((name, i) => [name, i])),
  };
}

/** The tokenizer's special ids where a config says something else; one of several EOS ids stays as it is. */
function alignedTo(
  config: HuggingFaceConfig,
  special: Record<string, number>,
): Record<string, number> {
  return Object.fromEntries(
    Object.entries(special).filter(([name, id]) => {
      const has = config[name];
      return Array.isArray(has) ? !has.includes(id) : has !== id;
    }),
  );
}

async function writeJson(path: string, value: unknown): Promise<void> {
  await Deno.writeTextFile(path, `${JSON.stringify(value, null, 2)}\n`);
}
