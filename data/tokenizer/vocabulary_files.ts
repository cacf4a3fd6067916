/** Vocabularies of checkpoints that have no `tokenizer.json`. @module */

import { Buffer } from "node:buffer";
import { UserError } from "../../core/errors.ts";
import { filesIn } from "../chat/chat_template_files.ts";
import { readJsonFile, readTextFile } from "../files/json_files.ts";
import type { TokenProperties } from "./added_tokens.ts";
import { sequence, type TokenizerClass } from "./classes/tokenizer_class.ts";
import type { Pipeline, Vocabulary } from "./classes/tokenizer_class.ts";
import {
  mergesOf,
  pieceKind,
  readSentencePiece,
  type SentencePieceModel,
} from "./sentencepiece.ts";

/** What the files of a directory hold. */
export interface FoundVocabulary {
  /** The tokens. */
  readonly vocabulary: Vocabulary;
  /** Tokens that the file itself declares. */
  readonly tokens: readonly TokenProperties[];
  /** The pipeline that a class without one of its own takes, and special tokens by name. */
  readonly own?: {
    readonly pipeline: Pipeline;
    readonly named: Readonly<Record<string, string>>;
  };
}

/**
 * The vocabulary of a directory without `tokenizer.json`, as the class reads it.
 *
 * @param ofClass Nothing for the generic class, which reads `tokenizer.model` alone.
 * @throws {UserError} where there is none, or it cannot be read
 */
export async function readVocabularyFiles(
  directory: string,
  name: string,
  ofClass: TokenizerClass | undefined,
): Promise<FoundVocabulary> {
  const present = await filesIn(directory);
  const reads = ofClass?.files ?? [];
  const sentencePiece = ["tokenizer.model", ...reads.filter((file) => file.endsWith(".model"))]
    .find((file) => present.includes(file));
  if (sentencePiece !== undefined) return await readModel(`${directory}/${sentencePiece}`, ofClass);
  if (reads.length > 0 && reads.every((file) => present.includes(file))) {
    const vocabulary = reads[0] === "vocab.txt"
      ? { vocab: idsOfLines(await readTextFile(`${directory}/vocab.txt`)) }
      : await readMerges(directory);
    return { vocabulary, tokens: [] };
  }
  const wanted = new Set(["tokenizer.json", ...reads, "tokenizer.model"]);
  const there = present.filter((file) => /^(vocab|merges|tokenizer|spiece|spm)/.test(file));
  throw new UserError(
    `No tokenizer.json in ${directory}, and no vocabulary that ${name} reads. It reads ${
      [...wanted].join(", ")
    }; there is ${there.length > 0 ? there.join(", ") : "none of these"}. Download the ` +
      "checkpoint's tokenizer files too, or name its tokenizer_class in tokenizer_config.json.",
  );
}

/** Lines with their numbers. */
function idsOfLines(text: string): Record<string, number> {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return Object.fromEntries(lines.map((line, id) => [line.trimEnd(), id]));
}

async function readMerges(directory: string): Promise<Vocabulary> {
  const path = `${directory}/merges.txt`;
  const vocab = await readJsonFile(`${directory}/vocab.json`) as Record<string, number>;
  const lines = (await readTextFile(path)).split(/\r?\n/);
  if (lines.at(-1) === "") lines.pop();
  const merges = lines.flatMap((line, i) => {
    if (line.startsWith("#version")) return [];
    const pair = line.split(" ");
    if (pair.length === 2) return [pair];
    throw new UserError(
      `${path}, line ${i + 1}: ${JSON.stringify(line.slice(0, 60))} is no pair of tokens with a ` +
        "blank between them. Download the file again.",
    );
  });
  return { vocab, merges };
}

async function readModel(
  path: string,
  ofClass: TokenizerClass | undefined,
): Promise<FoundVocabulary> {
  let model: SentencePieceModel;
  try {
    model = readSentencePiece(await Deno.readFile(path));
  } catch (cause) {
    throw new UserError(
      `${path} is no SentencePiece model: ${cause instanceof Error ? cause.message : cause}. ` +
        "Download it again, or give the checkpoint's tokenizer.json.",
      { cause },
    );
  }
  const algorithm = ofClass?.model ?? model.algorithm;
  const charsmap = model.charsmap.length > 0
    ? Buffer.from(model.charsmap).toString("base64")
    : undefined;
  const vocabulary: Vocabulary = {
    ...(algorithm === "BPE"
      ? {
        vocab: Object.fromEntries(model.pieces.map(({ text }, id) => [text, id])),
        merges: mergesOf(model.pieces),
      }
      : {
        vocab: [
          ...model.pieces.map(({ text, score }) => [text, score] as const),
          ...(ofClass?.listed?.({}) ?? []).toReversed().map((text) => [text, 0] as const),
        ],
      }),
    ...(charsmap !== undefined && { charsmap }),
  };
  const tokens = model.pieces
    .filter(({ kind }) => kind === pieceKind.control || kind === pieceKind.userDefined)
    .map(({ text, kind }): TokenProperties => ({
      content: text,
      special: kind === pieceKind.control,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
    }));
  return { vocabulary, tokens, own: ownPipeline(model, vocabulary) };
}

/** The pipeline of a file that no class is made for. */
function ownPipeline(
  { algorithm, byteFallback, special }: SentencePieceModel,
  { vocab, merges, charsmap }: Vocabulary,
): { readonly pipeline: Pipeline; readonly named: Readonly<Record<string, string>> } {
  const blanks = { type: "Replace", pattern: { String: " " }, content: "▁" };
  const named = Object.entries(special).filter(([, { id }]) => id >= 0)
    .map(([name, { piece }]) => [`${name}_token`, piece]);
  return {
    named: Object.fromEntries(named),
    pipeline: {
      model: algorithm === "BPE"
        ? {
          type: "BPE",
          dropout: null,
          unk_token: special.unk.piece,
          continuing_subword_prefix: null,
          end_of_word_suffix: null,
          fuse_unk: true,
          byte_fallback: byteFallback,
          ignore_merges: false,
          vocab,
          merges,
        }
        : { type: "Unigram", unk_id: special.unk.id, byte_fallback: byteFallback, vocab },
      normalizer: sequence("normalizers", [
        ...(charsmap === undefined
          ? []
          : [{ type: "Precompiled", precompiled_charsmap: charsmap }]),
        blanks,
      ]),
      pre_tokenizer: null,
      decoder: sequence("decoders", [
        { type: "Replace", pattern: { String: "▁" }, content: " " },
        ...(byteFallback ? [{ type: "ByteFallback" }, { type: "Fuse" }] : []),
      ]),
    },
  };
}
