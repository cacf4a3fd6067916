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
  return module === "lm_head";
}

/** Whether a module is an output head. */
export function isOutputHead(module: Path): boolean {
  return isLanguageHead(module) || isLabelHead(module);
}

/** Whether a module is an output head over labels. */
export function isLabelHead(module: Path): boolean {
  return /^(score|classifier)$/.test(module);
}

/** Whether a module normalises, so that weight decay leaves it alone. */
export function isNorm(module: Path): boolean {
  return /norm|(^|\.)ln_\w+$/i.test(module);
}
