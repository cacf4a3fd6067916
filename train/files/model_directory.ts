/** Models as directories in the Hugging Face layout: reading one. @module */

import {
  computesNothing,
  type Path,
  randomKey,
  realize,
  Tensor,
  UserError,
} from "../../core/mod.ts";
import { readJsonFile } from "../../data/files/json_files.ts";
import { parentPath, statIfPresent } from "../../data/files/local_paths.ts";
import { localModel, type ModelPart } from "../../data/hub/local_model.ts";
import { parseRepository } from "../../data/hub/repository.ts";
import {
  loadTokenizer,
  type Tokenizer,
  type TokenizerOverrides,
} from "../../data/tokenizer/tokenizer.ts";
import {
  type Adapted,
  adapterParameters,
  applyLora,
  type Architecture,
  type CausalModel,
  causalModel,
  configPath,
  type DecoderParams,
  type HuggingFaceConfig,
  initParameters,
  isQuantized,
  type LoraConfig,
  type ModelHead,
  parametersOf,
  transposedIn,
  withoutAdapters,
  withoutValueHead,
  writtenAsFloats,
} from "../../nn/mod.ts";
import {
  type AdapterDescription,
  fillAdapter,
  isAdapterDirectory,
  loadAdapter,
  readAdapterConfig,
  resolveBaseModel,
  updatesTransposed,
} from "./adapter_files.ts";
import { adapterVocabulary, withVocabulary } from "./adapter_vocabulary.ts";
import { checkQuantizationConfig, type WeightStorage } from "./quantized_files.ts";
import { readParameters } from "./read_parameters.ts";
import { fillValueHead } from "./value_head_files.ts";
import { eitherModel, joinValueModel, policyOf, valueModelDirectory } from "./value_model.ts";

/** A model of any kind M, its parameters and its tokenizer. */
export interface OpenNetwork<M> {
  /** The architecture. */
  readonly model: M;
  /** Its last layer. */
  readonly head: ModelHead;
  /** Its parameters, with adapters over them if there are any. */
  readonly params: DecoderParams;
  /**
   * What an objective's reference model is: the parameters as they begin, or without a fresh adapter. It has no
   * value head.
   */
  readonly reference: DecoderParams;
  /** The adapter's options and its base, if there is one. */
  readonly adapter: AdapterDescription | null;
  /** The tokenizer. */
  readonly tokenizer: Tokenizer;
  /** `config.json`. */
  readonly config: HuggingFaceConfig;
  /** `generation_config.json`, if there is one. */
  readonly generationConfig: HuggingFaceConfig | undefined;
  /** Where the weights came from (under an adapter, its base's), if they are not fresh. */
  readonly origin?: string | undefined;
}

/** A language model, its parameters and its tokenizer. */
export interface OpenModel extends OpenNetwork<CausalModel> {
  /** A value model that is trained along, if there is one; its parameters are among `params` too. */
  readonly valueModel?: OpenModel;
}

/** Where a model comes from: a directory or a name (of a model or an adapter), or a config to begin from scratch. */
export interface ModelSource {
  /** A model's or an adapter's directory, or its name on the Hub, from where it is downloaded. */
  readonly directory?: string | undefined;
  /** Its branch, tag or commit on the Hub. */
  readonly revision?: string | undefined;
  /** A `config.json`, instead. */
  readonly initFromConfig?: string | undefined;
  /** The model's last layer; logits over the vocabulary by default. A missing score or value head begins fresh. */
  readonly head?: ModelHead | undefined;
  /** Seed of fresh parameters. */
  readonly seed: number;
  /** Directory or name of the model that has the tokenizer, if it is another. */
  readonly tokenizer?: string | undefined;
  /** Special tokens and template in place of the tokenizer's. */
  readonly overrides?: TokenizerOverrides;
  /** What chat templates take for the present moment; that of the call by default. */
  readonly now?: Date | undefined;
  /** How the base's weights are stored in memory. */
  readonly storage?: WeightStorage | undefined;
  /** Options of a fresh adapter to be put over the parameters. */
  readonly lora?: Partial<LoraConfig> | undefined;
  /** An adapter's directory or name, whose weights the fresh adapter takes. */
  readonly initialAdapter?: string | undefined;
  /** Told what a user should know of the files. */
  readonly notice?: ((text: string) => void) | undefined;
}

/**
 * Opens a language model.
 *
 * @throws UserError naming the file, if something is missing, broken or not supported.
 */
export async function openModel(source: ModelSource): Promise<OpenModel> {
  return await openNetwork(source, causalModel);
}

/**
 * Opens a model of any kind.
 *
 * @param architecture The model of its config.
 * @throws UserError naming the file, if something is missing, broken or not supported.
 */
export async function openNetwork<M extends Architecture>(
  source: ModelSource,
  architecture: (config: HuggingFaceConfig) => M,
): Promise<OpenNetwork<M>> {
  const given = source.initFromConfig ? null : await modelDirectory(source);
  const saved = given !== null && await isAdapterDirectory(given)
    ? await readAdapterConfig(given)
    : null;
  const found = given !== null && saved
    ? await resolveBaseModel(given, saved, { part: neededPart() })
    : null;
  const base = found?.directory ?? given ?? parentPath(source.initFromConfig!);
  if (saved && (source.lora || source.initialAdapter !== undefined)) {
    throw new UserError(
      `${given} has an adapter to go on with, but a fresh one was asked for (--use_peft or --initial_adapter). Leave ` +
        "the flag out, or name the base model.",
    );
  }
  const ownConfig = await readModelConfig(source.initFromConfig ?? `${base}/config.json`);
  checkQuantizationConfig(ownConfig);
  const ownModel = architecture(ownConfig);
  const brought = saved && await adapterVocabulary(given!);
  const grown = brought?.tokens === ownModel.config.vocabularySize ? null : brought;
  const config = grown ? { ...ownConfig, vocab_size: grown.tokens } : ownConfig;
  const model = grown ? architecture(config) : ownModel;
  const head = source.head ?? { kind: "language" };
  const tokenizer = await openTokenizer(source, saved ? given! : base, { base, model, config });
  if (source.initFromConfig && source.storage?.quantize) {
    throw new UserError(
      `${source.initFromConfig} begins a model at random, which is not quantised: only the weights of a checkpoint ` +
        "are. Train it in full precision first, and quantise what was saved.",
    );
  }
  const read = source.initFromConfig
    ? await realize(initParameters(model, randomKey(source.seed), head))
    : await readParameters(ownModel, base, head, {
      fresh: randomKey(source.seed),
      // What is trained whole stays in f32; only what is frozen under an adapter may be narrow.
      storage: saved || source.lora
        ? source.storage
        : source.storage?.quantize && { quantize: source.storage.quantize },
      notice: source.notice,
    });
  const whole = grown ? await withVocabulary(read, grown) : read;
  const generationConfig = await readJsonFile(`${base}/generation_config.json`);
  const { adapter, ...adapted } = await withAdapter(source, whole, {
    given,
    base: found?.name ?? null,
    saved,
    modelType: String(config["model_type"]),
  });
  const fanInFanOut = updatesTransposed(adapted.params, transposedIn(model.shapes(head)));
  return {
    model,
    head,
    ...adapted,
    adapter: adapter && { ...adapter, fanInFanOut },
    tokenizer,
    config,
    generationConfig,
    origin: source.initFromConfig ? undefined : base,
  };
}

async function openTokenizer(
  source: ModelSource,
  home: string,
  { base, model, config }: {
    readonly base: string;
    readonly model: Architecture;
    readonly config: HuggingFaceConfig;
  },
): Promise<Tokenizer> {
  const own = await statIfPresent(`${home}/tokenizer.json`) !== undefined;
  const directory = source.tokenizer === undefined
    ? own ? home : base
    : await localModel(source.tokenizer, { part: "tokenizer", what: "tokenizer" });
  const given = await loadTokenizer(directory, source.overrides, source.now);
  // GPT-2's files on the Hub leave it to transformers' class to know the end of a text; its config knows it too.
  const end = given.eosToken === undefined && typeof config["eos_token_id"] === "number"
    ? given.tokenOf(config["eos_token_id"])
    : undefined;
  const tokenizer = end === undefined
    ? given
    : await loadTokenizer(directory, { ...source.overrides, eosToken: end }, source.now);
  tokenizer.notices.forEach((text) => source.notice?.(text));
  const { vocabularySize } = model.config;
  const beyond = tokenizer.addedTokens.filter(({ id }) => id >= vocabularySize);
  if (tokenizer.vocabSize - beyond.length > vocabularySize) {
    throw new UserError(
      `The tokenizer in ${tokenizer.directory} knows ${tokenizer.vocabSize} tokens, but the model in ${base} has ` +
        `only ${vocabularySize} (vocab_size). They do not belong together.`,
    );
  }
  return beyond.length === 0 ? tokenizer : withinVocabulary(tokenizer, vocabularySize);
}

/** A tokenizer that refuses texts with tokens the model has no embedding of, as Gemma 3's for images. */
function withinVocabulary(tokenizer: Tokenizer, vocabularySize: number): Tokenizer {
  const checked = <Ids extends readonly number[] | Int32Array>(ids: Ids): Ids => {
    const unknown = ids.find((id) => id >= vocabularySize);
    if (unknown === undefined) return ids;
    throw new UserError(
      `A text has the token ${tokenizer.tokenOf(unknown)} (${unknown}), which the tokenizer in ` +
        `${tokenizer.directory} knows and the model does not: it has ${vocabularySize} (vocab_size). Leave it out.`,
    );
  };
  return {
    ...tokenizer,
    encode: (text, options) => checked(tokenizer.encode(text, options)),
    encodeAll: (texts, options) => tokenizer.encodeAll(texts, options).map(checked),
  };
}

/** Parameters with the adapter that was saved, or a fresh one, over them. */
export async function withAdapter(
  source: Omit<ModelSource, "storage" | "overrides">,
  whole: DecoderParams,
  { given, base, saved, modelType }: {
    readonly given: string | null;
    readonly base: string | null;
    readonly saved: AdapterDescription | null;
    readonly modelType: string;
  },
): Promise<Pick<OpenModel, "params" | "reference" | "adapter">> {
  if (saved) {
    const { params: adapted, ...loaded } = await loadAdapter(whole, given!, { modelType });
    const params = await fillValueHead(adapted, given!, { required: false });
    // The base as it was found: a path relative to this adapter need not lead there from the next one.
    return {
      params,
      reference: withoutValueHead(params),
      adapter: { ...loaded, base, revision: saved.revision ?? null },
    };
  }
  if (!source.lora) return { params: whole, reference: withoutValueHead(whole), adapter: null };
  const fresh = await applyLora(whole, plannable(source.lora), randomKey(source.seed), {
    modelType,
  });
  const params = source.initialAdapter === undefined
    ? fresh.params
    : await initialised(fresh, source.initialAdapter);
  const reference = withoutValueHead(withoutAdapters(params));
  return {
    params: await realize(params),
    reference,
    adapter: { config: fresh.config, ...await namedBase(source) },
  };
}

async function initialised(
  { params, config }: Adapted<DecoderParams>,
  adapter: string,
): Promise<DecoderParams> {
  const directory = await localModel(adapter, { what: "adapter", part: neededPart() });
  const filled = await fillAdapter(params, directory, config);
  return await fillValueHead(filled, directory, { required: false });
}

/** A base as it was named, so that an adapter leads to it on other machines too. */
async function namedBase(
  { directory, initFromConfig, revision }: ModelSource,
): Promise<Pick<AdapterDescription, "base" | "revision">> {
  if (directory === undefined || initFromConfig) return { base: null };
  if (await statIfPresent(directory) !== undefined) return { base: directory };
  const repository = parseRepository(directory, { kind: "model", revision });
  return {
    base: repository.id,
    revision: repository.revision === "main" ? null : repository.revision,
  };
}

/** Where nothing is computed, there are no principal vectors to begin with; the shapes are the same. */
function plannable(lora: Partial<LoraConfig>): Partial<LoraConfig> {
  return computesNothing() && typeof lora.init_lora_weights === "string" &&
      /^(pissa|olora)/i.test(lora.init_lora_weights)
    ? { ...lora, init_lora_weights: true }
    : lora;
}

/** The parameters of a checkpoint of a run: all of them, or the run's with the checkpoint's adapter. */
export async function readCheckpoint(opened: OpenModel, directory: string): Promise<DecoderParams> {
  if (opened.valueModel) {
    const [policy, values] = [policyOf(opened), opened.valueModel];
    return joinValueModel(
      await readCheckpoint(policy, directory),
      await readCheckpoint(values, valueModelDirectory(directory)),
    );
  }
  const { model, head, params, adapter } = opened;
  if (!adapter) return await readParameters(model, directory, head);
  const filled = await fillAdapter(params, directory, adapter.config);
  return await fillValueHead(filled, directory, { required: true });
}

/** What is trained of a model: its adapters, or all of it. */
export function trainableOf(opened: OpenModel): (path: Path, leaf: unknown) => boolean {
  if (opened.valueModel) {
    return eitherModel(trainableOf(policyOf(opened)), trainableOf(opened.valueModel));
  }
  const { params, adapter } = opened;
  if (adapter) return adapterParameters(params, adapter.config.bias);
  if (parametersOf(params).some(([, weight]) => isQuantized(weight))) {
    throw new UserError(
      "Quantised weights cannot be trained themselves. Add --use_peft to train an adapter over them.",
    );
  }
  return (_, leaf) => leaf instanceof Tensor;
}

/** What is fetched of a model that is not here yet: where nothing is computed, no weights. */
export function neededPart(): ModelPart {
  return computesNothing() ? "shapes" : "whole";
}

async function modelDirectory({ directory, revision, notice }: ModelSource): Promise<string> {
  const path = directory!;
  const found = await statIfPresent(path);
  if (found === undefined) return await localModel(path, { revision, part: neededPart() });
  if (!found.isDirectory) {
    throw new UserError(`${path} is a file; a model is a directory with config.json and weights.`);
  }
  if (revision !== undefined) {
    notice?.(`${path} is a directory, which has no revisions: it is read as it is.`);
  }
  return path;
}

/** Reads a `config.json`. @throws UserError if it is missing or broken. */
export async function readModelConfig(path: string): Promise<HuggingFaceConfig> {
  const floats = new Set<string>();
  const config = await readJsonFile(path, (name, source) => {
    if (/[.e]/i.test(source)) floats.add(name);
  });
  if (config !== undefined) return { ...config, [configPath]: path, [writtenAsFloats]: floats };
  throw new UserError(
    `There is no ${path}. A model directory has a config.json beside its weights (*.safetensors) and tokenizer files.`,
  );
}
