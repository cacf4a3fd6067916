/** What preparations of answers to learn from take and give. @module */

import type { PreferenceFormat } from "./preference_formats.ts";

/** Told how many rows of how many are done. */
export type Progress = (done: number, total: number) => void;

/** `rows.map`, telling how far it is. */
export function mapRows<Row, Made>(
  rows: readonly Row[],
  make: (row: Row, index: number) => Made,
  progress?: Progress,
): Made[] {
  return rows.map((row, index) => {
    const made = make(row, index);
    if (progress && ((index + 1) % 64 === 0 || index + 1 === rows.length)) {
      progress(index + 1, rows.length);
    }
    return made;
  });
}

/** Options of every preparation of preferences, named after TRL's flags. */
export interface PreparePreferencesOptions {
  /** Tokens in prompt and answer together at most; null for no limit. Default 1024. */
  readonly maxLength?: number | null;
  /**
   * Tokens of a prompt at most, the last ones of it, as older versions of TRL cut prompts: DPO's in any case, those of
   * the others where prompt and answer are longer than `maxLength`. Default null: prompts stay whole.
   */
  readonly maxPromptLength?: number | null;
  /** Gets each warning. */
  readonly warn?: (message: string) => void;
  /** Told how far it is. */
  readonly progress?: Progress;
}

/** What a preparation makes. */
export interface Prepared<Example> {
  /** The examples, in the order of the rows. */
  readonly examples: readonly Example[];
  /** How the rows were read. */
  readonly format: PreferenceFormat;
  /** Rows left out, because truncation left nothing to learn in them. */
  readonly dropped: number;
}
