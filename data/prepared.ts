/** What preparations of answers to learn from take and give. @module */

import type { PreferenceFormat } from "./preference_formats.ts";

/** Options of every preparation of preferences, named after TRL's flags. */
export interface PreparePreferencesOptions {
  /** Tokens in prompt and answer together at most; null for no limit. Default 1024. */
  readonly maxLength?: number | null;
  /** Gets each warning. */
  readonly warn?: (message: string) => void;
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
