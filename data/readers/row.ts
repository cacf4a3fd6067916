/** One example of a dataset: column names to JSON values. */
export type Row = Record<string, unknown>;
