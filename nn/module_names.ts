/** What the names of modules say in Hugging Face checkpoints. @module */

import type { Path } from "../core/mod.ts";

/** Whether a module is the table of token embeddings, which may be the output head too. */
export function isTokenEmbedding(module: Path): boolean {
  return /(^|\.)(embed_tokens|embed_in|wte|shared)$/.test(module);
}

/** Whether a module is a table whose rows are read by number. */
export function isEmbedding(module: Path): boolean {
  return isTokenEmbedding(module) || /(^|\.)(embed_positions|wpe|\w+_embeddings)$/.test(module);
}

/** Whether a module is the output head over the vocabulary. */
export function isLanguageHead(module: Path): boolean {
  return /^(lm_head|embed_out)$/.test(module);
}

/** The name of the output head over the vocabulary in a parameter tree, whether or not it has one of its own. */
export function languageHeadName(params: unknown): "lm_head" | "embed_out" {
  return typeof params === "object" && params !== null && "gpt_neox" in params
    ? "embed_out"
    : "lm_head";
}

/** Whether a module is an output head. */
export function isOutputHead(module: Path): boolean {
  return isLanguageHead(module) || /^(score|classifier)$/.test(module);
}
