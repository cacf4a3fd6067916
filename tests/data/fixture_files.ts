/** Reads files of tests/fixtures, whatever the working directory. */

/** The path of a fixture. */
export function fixture(path: string): string {
  return new URL(`../fixtures/${path}`, import.meta.url).pathname;
}

/** A JSON fixture; the caller names the shape it relies on. */
export async function readFixture<T>(path: string): Promise<T> {
  return JSON.parse(await Deno.readTextFile(fixture(path)));
}

/** The rows of a JSONL fixture. */
export async function readRows(path: string): Promise<Record<string, unknown>[]> {
  const text = await Deno.readTextFile(fixture(path));
  return text.trim().split("\n").map((line) => JSON.parse(line));
}
