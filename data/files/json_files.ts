/** Reading the small text files of a checkpoint, with errors a user can act on. */

import { UserError } from "../../core/errors.ts";
import { describeFileError } from "./local_paths.ts";

/** A JSON object. */
export type JsonRecord = { readonly [key: string]: unknown };

/** Whether a JSON value is an object (not a list, not null). */
export function isRecord(value: unknown): value is JsonRecord {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Text of bytes, of which nothing is replaced; a byte order mark is part of it.
 *
 * @throws {UserError} naming `path` and the line, if the bytes are not UTF-8
 */
export function decodeText(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    const line = new TextDecoder().decode(bytes).split("\ufffd", 1)[0]!.split("\n").length;
    throw new UserError(`Cannot read ${path}, line ${line}: it is not UTF-8. Save it as UTF-8.`);
  }
}

/** The text of a file. @throws {UserError} if it cannot be read or is not UTF-8 */
export async function readTextFile(path: string): Promise<string> {
  try {
    return decodeText(await Deno.readFile(path), path);
  } catch (cause) {
    throw describeFileError(cause, { action: "read", path });
  }
}

/** The text of a file, or undefined if there is no such file. @throws {UserError} if it is not UTF-8 */
export async function readTextFileIfPresent(path: string): Promise<string | undefined> {
  try {
    return decodeText(await Deno.readFile(path), path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return undefined;
    }
    throw describeFileError(error, { action: "read", path });
  }
}

/**
 * The JSON object in a file, or undefined if there is no such file.
 *
 * @param onNumber told the name of each field that holds a number, and how that is written
 * @throws {UserError} if the file is not JSON or not an object
 */
export async function readJsonFile(
  path: string,
  onNumber?: (name: string, source: string) => void,
): Promise<JsonRecord | undefined> {
  const text = await readTextFileIfPresent(path);
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = onNumber === undefined ? JSON.parse(text) : parseTold(text, onNumber);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new UserError(
      `${path} is not valid JSON: ${reason}. It may be cut off; copy or download it again.`,
      { cause },
    );
  }
  if (!isRecord(value)) {
    throw new UserError(`${path} should hold a JSON object, but holds something else.`);
  }
  return value;
}

function parseTold(text: string, onNumber: (name: string, source: string) => void): unknown {
  return JSON.parse(text, (name, value: unknown, context?: { readonly source?: string }) => {
    if (typeof value === "number" && context?.source) onNumber(name, context.source);
    return value;
  });
}
