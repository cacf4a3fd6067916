import { type Line, readLines } from "./lines.ts";
import type { DataFile } from "./data_files.ts";
import type { Row } from "./row.ts";

/**
 * Rows `{ text }` of a plain text file, one per line, blank lines included, as the text loader of
 * Hugging Face datasets reads them. A lone CR ends a line too.
 */
export async function* readTextRows(file: DataFile): AsyncGenerator<Row[], void, undefined> {
  const rowsOf = ({ text }: Line): Row[] => text.split("\r").map((text) => ({ text }));
  for await (const lines of readLines(file)) yield lines.flatMap(rowsOf);
}
