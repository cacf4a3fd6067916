/** The whole definition of a checkpoint's tokenizer: its files, and what transformers' classes make of them. @module */

import { UserError } from "../../core/errors.ts";
import { isRecord, type JsonRecord, readJsonFile, readTextFile } from "../files/json_files.ts";
import {
  type DeclaredToken,
  type JoinedTokens,
  joinTokens,
  type TokenFiles,
  vocabularyOf,
  withIds,
} from "./added_tokens.ts";
import { generic, tokenizerClassOf } from "./classes/class_of.ts";
import { otherClasses, tokenizerClasses } from "./classes/mod.ts";
import {
  type Pipeline,
  surrounded,
  type TokenizerClass,
  type Vocabulary,
} from "./classes/tokenizer_class.ts";
import { checkTokenizerConfig, findBadId, findFractionalId } from "./config_checks.ts";
import { findEndlessPattern } from "./patterns.ts";
import { type FoundVocabulary, readVocabularyFiles } from "./vocabulary_files.ts";

/** A tokenizer, ready to be opened. */
export interface Definition {
  /** In the form of `tokenizer.json`. */
  readonly definition: JsonRecord;
  /** The same as text: the file's own where nothing in it was changed. */
  readonly text: string;
  /** What of `tokenizer.json` is built anew: it must be right all the same. Undefined where the file is taken as it is. */
  readonly replaced: string | undefined;
  /** `tokenizer_config.json` with what wins over it. */
  readonly config: JsonRecord;
  /** Named special tokens. */
  readonly named: Readonly<Record<string, string>>;
  /** What a person should know about how the files were read. */
  readonly notices: readonly string[];
  /** Whether `tokenizer.json` is there. */
  readonly hasFile: boolean;
}

/** Reads a directory. @throws {UserError} where files are missing, or hold what cannot be */
export async function readDefinition(directory: string): Promise<Definition> {
  const read = (name: string) => readJsonFile(`${directory}/${name}.json`);
  const [file, config = {}, map = {}, added = {}, model = {}] = await Promise.all(
    ["tokenizer", "tokenizer_config", "special_tokens_map", "added_tokens", "config"].map(read),
  );
  checkTokenizerConfig(config, `${directory}/tokenizer_config.json`);
  checkTokenizerConfig(map, `${directory}/special_tokens_map.json`);
  const text = file && await readTextFile(`${directory}/tokenizer.json`);
  if (file) checkFile(directory, file, text!);

  const isKnown = (name: string) => Object.hasOwn(tokenizerClasses, name) || otherClasses.has(name);
  const name = tokenizerClassOf(config, model, isKnown);
  const { ofClass, notices } = classFor(directory, name, file);
  const found = file ? undefined : await readVocabularyFiles(directory, name, ofClass);
  const own = Array.isArray(file?.["added_tokens"]) ? file["added_tokens"].filter(isRecord) : [];
  const joined = join({ own, config, map, added }, ofClass, found);

  const settings = { config: joined.config, named: joined.named };
  const pipeline = ofClass !== undefined
    ? ofClass.pipeline(found?.vocabulary ?? vocabularyIn(file!), settings)
    : found?.own?.pipeline ?? pipelineIn(file!);
  const kept = ofClass === undefined ? own.map((token) => asDeclared(token)) : [];
  const tokens = withIds([...kept, ...joined.toAdd], vocabularyOf(pipeline.model));
  const idOf = idsOf(pipeline.model, tokens);
  const { truncation: _, padding: __, ...rest } = file ?? {};
  const definition = {
    version: "1.0",
    ...rest,
    truncation: null,
    padding: null,
    added_tokens: tokens,
    ...pipeline,
    post_processor: ofClass?.postProcessor?.(settings, idOf) ??
      surroundings(joined, file, ofClass, idOf),
  };
  const isFile = file !== undefined && ofClass === undefined && isSame(definition, file);
  return {
    definition,
    text: isFile ? text! : JSON.stringify(definition),
    replaced: isFile || file === undefined ? undefined : JSON.stringify(withoutVocabulary(file)),
    ...settings,
    notices,
    hasFile: file !== undefined,
  };
}

function pipelineIn({ model, normalizer, pre_tokenizer, decoder }: JsonRecord): Partial<Pipeline> {
  return { model, normalizer, pre_tokenizer, decoder } as Partial<Pipeline>;
}

/** The class that builds the pipeline; none where the file decides. */
function classFor(directory: string, name: string, file: JsonRecord | undefined) {
  const ofClass = Object.hasOwn(tokenizerClasses, name) ? tokenizerClasses[name] : undefined;
  if (file === undefined) return { ofClass, notices: [] };
  const said = (why: string) => [
    `The tokenizer in ${directory} is of the class ${name}, ${why}: its tokenizer.json is followed as it is.`,
  ];
  if (ofClass === undefined) {
    const builds = name !== generic && otherClasses.has(name);
    return {
      ofClass,
      notices: builds ? said("which transformers may build otherwise than the file says") : [],
    };
  }
  const spelling = spellingOf(file);
  const model = modelOf(file);
  if (model === ofClass.model && (spelling === "bytes") === (ofClass.spelling === "bytes")) {
    return { ofClass, notices: [] };
  }
  const kinds = { bytes: "bytes", blanks: "SentencePiece's blanks", words: "words" };
  return {
    ofClass: undefined,
    notices: said(
      `which is made for ${ofClass.model} over ${
        kinds[ofClass.spelling]
      }, and its file holds ${model} over ${
        spelling === "bytes" ? "bytes" : "text"
      }; transformers would break it`,
    ),
  };
}

function modelOf({ model }: JsonRecord): string {
  if (!isRecord(model)) return "no model";
  if (typeof model["type"] === "string") return model["type"];
  if (Array.isArray(model["merges"])) return "BPE";
  return Array.isArray(model["vocab"]) ? "Unigram" : "WordPiece";
}

function spellingOf({ pre_tokenizer, decoder }: JsonRecord): "bytes" | "text" {
  const spellsBytes = (part: unknown): boolean =>
    Array.isArray(part)
      ? part.some(spellsBytes)
      : isRecord(part) && (part["type"] === "ByteLevel" || Object.values(part).some(spellsBytes));
  return spellsBytes(pre_tokenizer) || spellsBytes(decoder) ? "bytes" : "text";
}

function join(
  files: TokenFiles,
  ofClass: TokenizerClass | undefined,
  found: FoundVocabulary | undefined,
): JoinedTokens {
  return joinTokens(files, {
    tokens: ofClass?.tokens ?? found?.own?.named ?? {},
    fromVocabulary: found?.tokens ?? [],
    listed: ofClass?.listed ?? (() => []),
    plainSpecials: ofClass?.plainSpecials === true,
  });
}

/** What the file puts around texts, or a template with the beginning and the end where the settings decide that. */
function surroundings(
  { config, named }: JoinedTokens,
  file: JsonRecord | undefined,
  ofClass: TokenizerClass | undefined,
  idOf: (token: string) => number | undefined,
): unknown {
  // A file's own post-processor counts for more than these keys.
  const says = (key: string) => file === undefined && config[key] === true;
  const decides = ofClass?.surrounds !== undefined || file === undefined;
  const own = file?.["post_processor"] ?? null;
  if (!decides) return own;
  const around = (name: "bos_token" | "eos_token", wanted: boolean) => {
    const token = named[name];
    const id = token === undefined ? undefined : idOf(token);
    return wanted && id !== undefined ? [[token!, id] as const] : [];
  };
  const bos = file === undefined && typeof config["add_bos_token"] === "boolean"
    ? config["add_bos_token"]
    : ofClass?.surrounds?.bos === true;
  return surrounded(around("bos_token", bos), around("eos_token", says("add_eos_token")));
}

function vocabularyIn(file: JsonRecord): Vocabulary {
  const model = file["model"] as JsonRecord;
  const charsmap = charsmapIn(file["normalizer"]);
  return {
    vocab: model["vocab"] as Vocabulary["vocab"],
    ...(Array.isArray(model["merges"]) && { merges: model["merges"] }),
    ...(charsmap !== undefined && { charsmap }),
  };
}

function charsmapIn(normalizer: unknown): string | undefined {
  const steps = isRecord(normalizer) && Array.isArray(normalizer["normalizers"])
    ? normalizer["normalizers"]
    : [normalizer];
  const found = steps.find((step) => isRecord(step) && step["type"] === "Precompiled");
  const table = found?.["precompiled_charsmap"];
  return typeof table === "string" ? table : undefined;
}

function asDeclared(token: JsonRecord): DeclaredToken {
  const is = (name: string) => token[name] === true;
  return {
    id: Number(token["id"]),
    content: String(token["content"]),
    special: is("special"),
    single_word: is("single_word"),
    lstrip: is("lstrip"),
    rstrip: is("rstrip"),
    normalized: is("normalized"),
  };
}

function idsOf(model: unknown, tokens: readonly DeclaredToken[]) {
  const vocabulary = vocabularyOf(model);
  const added = new Map(tokens.map(({ content, id }) => [content, id]));
  return (token: string) => added.get(token) ?? vocabulary.idOf(token);
}

/** Whether nothing was changed: every part but the vocabulary is compared. */
function isSame(definition: JsonRecord, file: JsonRecord): boolean {
  const parts = (whole: JsonRecord) =>
    JSON.stringify([
      whole["truncation"] ?? null,
      whole["padding"] ?? null,
      whole["post_processor"] ?? null,
      (Array.isArray(whole["added_tokens"]) ? whole["added_tokens"] : [])
        .map((token) => Object.entries(token).sort(([a], [b]) => a < b ? -1 : 1)),
    ]);
  return definition["model"] === file["model"] && parts(definition) === parts(file);
}

/** A file whose vocabulary is as small as can be: that of the definition is checked with it. */
function withoutVocabulary(file: JsonRecord): JsonRecord {
  const { model } = file;
  if (!isRecord(model)) return file;
  const { vocab, merges } = model;
  return {
    ...file,
    model: {
      ...model,
      ...(Array.isArray(vocab) && { vocab: vocab.slice(0, Number(model["unk_id"] ?? 0) + 1) }),
      ...(isRecord(vocab) && { vocab: {} }),
      ...(Array.isArray(merges) && { merges: [] }),
    },
  };
}

function checkFile(directory: string, file: JsonRecord, text: string): void {
  const { model: _, ...pipeline } = file;
  const endless = findEndlessPattern(pipeline);
  const bad = findBadId(file) ?? findFractionalId(file, text) ??
    (endless === undefined
      ? undefined
      : `the pattern ${
        JSON.stringify(endless)
      } repeats a repetition, which takes exponential time on some texts`);
  if (bad === undefined) return;
  throw new UserError(`The tokenizer in ${directory}/tokenizer.json cannot be used: ${bad}.`);
}
