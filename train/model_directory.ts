/** Models as directories in the Hugging Face layout: reading one, writing one. @module */

import { randomKey, realize, UserError } from "../core/mod.ts";
import { openCheckpointFiles } from "../data/checkpoint_files.ts";
import { isRecord, readJsonFile } from "../data/json_files.ts";
import { missingPathError, parentPath, statIfPresent } from "../data/local_paths.ts";
import { loadTokenizer, type Tokenizer, type TokenizerOverrides } from "../data/tokenizer.ts";
import { saveTokenizer } from "../data/tokenizer_files.ts";
import {
  type CausalModel,
  causalModel,
  type DecoderParams,
  type HuggingFaceConfig,
  initParameters,
  parameterShapes,
} from "../nn/mod.ts";
import { writeParameters } from "./checkpoint.ts";
import { loadParameters } from "./model_files.ts";

/** A model, its parameters and its tokenizer. */
export interface OpenModel {
  readonly model: CausalModel;
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
  const tokenizer = await loadTokenizer(source.tokenizer ?? home, source.overrides);
  if (tokenizer.vocabSize > model.config.vocabularySize) {
    throw new UserError(
      `The tokenizer in ${tokenizer.directory} knows ${tokenizer.vocabSize} tokens, but the model of ${configPath} has ` +
        `only ${model.config.vocabularySize} (vocab_size). They do not belong together.`,
    );
  }
  const params = source.initFromConfig
    ? await realize(initParameters(model.config, randomKey(source.seed)))
    : await readParameters(model, source.directory!);
  const generationConfig = await readJsonFile(`${home}/generation_config.json`);
  return { model, params, tokenizer, config, generationConfig };
}

/** Reads a model's parameters from a directory. */
export async function readParameters(
  model: CausalModel,
  directory: string,
): Promise<DecoderParams> {
  const files = await openCheckpointFiles(directory);
  try {
    return await realize(await loadParameters<DecoderParams>(parameterShapes(model.config), files));
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
  const { config, generationConfig, tokenizer } = opened;
  const special = {
    ...(tokenizer.eosTokenId === undefined ? {} : { eos_token_id: tokenizer.eosTokenId }),
    ...(tokenizer.padTokenId === undefined ? {} : { pad_token_id: tokenizer.padTokenId }),
  };
  const dtype = "torch_dtype" in config ? { torch_dtype: "float32" } : { dtype: "float32" };
  await writeJson(`${directory}/config.json`, {
    ...config,
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
