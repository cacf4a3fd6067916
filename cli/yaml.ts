/**
 * YAML as PyYAML's `safe_load` reads it: what that refuses is refused, with the line, and nothing in a file can make
 * reading it long or end it.
 *
 * @module
 */

import {
  CST,
  isAlias,
  isCollection,
  isScalar,
  Lexer,
  LineCounter,
  parseDocument,
  visit,
} from "yaml";
import { UserError } from "../core/errors.ts";

/** A parsed text. */
export type YamlDocument = ReturnType<typeof parseDocument>;

/** The most characters, and the deepest nesting, of a text. */
const [longest, deepest] = [1 << 20, 64];

/** What PyYAML takes for no text, and what it alone takes for the end of a line. */
const unreadable = /[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u;

/** Whole numbers of YAML 1.1: 010 is eight, and 1:30 ninety. */
const oldNumbers = [
  {
    tag: "tag:yaml.org,2002:int",
    default: true,
    test: /^[-+]?0[0-7_]+$/,
    resolve: (text: string) => parseInt(text.replaceAll("_", ""), 8),
  },
  {
    tag: "tag:yaml.org,2002:int",
    default: true,
    test: /^[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+$/,
    resolve: (text: string) => {
      const [sign, digits] = text.startsWith("-") ? [-1, text.slice(1)] : [1, text];
      const parts = digits.replaceAll("_", "").split(":");
      return sign * parts.reduce((sum, part) => 60 * sum + Number(part), 0);
    },
  },
];

/** What `!!float 1` is; without the tag, 1 is met as a whole number before. */
const wholeFloat = {
  tag: "tag:yaml.org,2002:float",
  default: true,
  test: /^[-+]?[0-9][0-9_]*$/,
  resolve: (text: string) => Number(text.replaceAll("_", "")),
};

/**
 * Parses a text; `path` is for messages.
 *
 * @throws {UserError} with the line, on what is not YAML, tags of other types than YAML's own, aliases of nothing or of
 * what they stand in, and texts that are too long, too deep or too full of aliases
 */
export function parseYaml(
  text: string,
  path: string,
): { document: YamlDocument; lines: LineCounter } {
  const lines = new LineCounter();
  const refuse = (at: number, why: string) => {
    const { line, col } = lines.linePos(at);
    const place = line > 0 ? `, line ${line}, column ${col}` : "";
    return new UserError(`${path}${place}: this is not valid YAML: ${why}`);
  };
  if (text.length > longest) {
    throw new UserError(`${path} is longer than ${longest} characters, which no settings are.`);
  }
  text = text.replace(/\r\n?/g, "\n");
  for (let at = 0; at >= 0; at = text.indexOf("\n", at) + 1 || -1) lines.addNewLine(at);
  const odd = unreadable.exec(text);
  if (odd) {
    const code = odd[0].codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0");
    throw refuse(odd.index, `it holds the character U+${code}`);
  }
  const tab = separatingTab(text);
  if (tab !== undefined) throw refuse(tab, "a tab separates words; use blanks");
  const document = parseShallow(text, path);
  const problem = document.errors[0] ?? document.warnings[0];
  if (problem !== undefined) throw refuse(problem.pos[0], problem.message);
  visit(document, {
    Node: (place, node, ancestors) => {
      if (ancestors.length > 2 * deepest) throw tooDeep(path);
      if (isScalar(node) && node.type === "PLAIN" && node.tag === undefined) {
        const fault = faultOfWord(node.source ?? "", place === "key");
        if (fault !== undefined) throw refuse(node.range?.[0] ?? 0, fault);
      }
      if (!isAlias(node)) return;
      const at = node.range?.[0] ?? 0;
      const target = node.resolve(document);
      if (target === undefined) throw refuse(at, `nothing before it is called &${node.source}`);
      if (ancestors.includes(target)) throw refuse(at, `*${node.source} stands in &${node.source}`);
    },
    Pair: (_, { key }) => {
      if (!isCollection(key)) return;
      throw refuse(key.range?.[0] ?? 0, "a key is a list or a mapping");
    },
  });
  try {
    document.toJS();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw refuse(0, error.message);
  }
  return { document, lines };
}

const date =
  /^(\d{4})-(\d\d?)-(\d\d?)(?:(?:[Tt]|[ \t]+)(\d\d?):(\d\d):(\d\d)(?:\.\d*)?(?:[ \t]*(?:Z|[-+](\d\d?)(?::\d\d)?))?)?$/;

/** What is wrong with a word in no quotes: YAML has meanings for some that PyYAML knows no value for. */
function faultOfWord(word: string, isKey: boolean): string | undefined {
  if (word === "=" || word === "<<") return isKey ? undefined : `${word} has no value; quote it`;
  const [, year, month, day, hour = 0, minute = 0, second = 0, offset = 0] =
    date.exec(word)?.map(Number).map((part) => Number.isNaN(part) ? 0 : part) ?? [];
  if (year === undefined || (word.length < 10 && !word.includes(":"))) return undefined;
  const days = new Date(Date.UTC(2000 + year % 400, month!, 0)).getUTCDate();
  const isTime = hour < 24 && minute < 60 && second < 60 && offset < 24;
  return year > 0 && month! >= 1 && month! <= 12 && day! >= 1 && day! <= days && isTime
    ? undefined
    : `there is no such date as ${word}; quote it if it is a text`;
}

function parseShallow(text: string, path: string): YamlDocument {
  try {
    return parseDocument(text, {
      prettyErrors: false,
      merge: true,
      customTags: (tags) => [...oldNumbers, ...tags, wholeFloat],
    });
  } catch (error) {
    if (error instanceof RangeError) throw tooDeep(path);
    throw error;
  }
}

function tooDeep(path: string): UserError {
  return new UserError(`${path} is nested more than ${deepest} deep, which no settings are.`);
}

/** Where a tab stands between words or in one, for which PyYAML knows no meaning. */
function separatingTab(text: string): number | undefined {
  let at = 0;
  /** What the next token is: the text of a scalar, or what stands between a block scalar's head and its text. */
  let next: "plain" | "block" | "head" | undefined;
  for (const token of new Lexer().lex(text)) {
    const type = CST.tokenType(token);
    if (type === "doc-mode" || type === "flow-error-end") continue;
    if (type === "scalar") {
      next = next === "head" ? "block" : "plain";
      continue;
    }
    const separates = next === "plain" || type === "space" || type === "newline";
    const tab = separates && next !== "block" ? token.indexOf("\t") : -1;
    if (tab >= 0) return at + tab;
    if (type === "block-scalar-header") next = "head";
    else if (next !== "head") next = undefined;
    at += token.length;
  }
  return undefined;
}
