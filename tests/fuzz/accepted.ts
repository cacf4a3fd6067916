/** What is read here although the reference refuses it, or reads it otherwise: each with a reason. @module */

import type { Input } from "./inputs.ts";

/** A rule of what is accepted on purpose. */
interface Rule {
  readonly kinds: readonly Input["kind"][];
  /** Why it is right to read it so. */
  readonly reason: string;
  readonly holds: (text: string, why: string, input: Input) => boolean;
}

const refused = "the reference refuses it";

const rules: readonly Rule[] = [
  {
    kinds: ["tokenizer"],
    reason:
      "Without the name of its class, the reference builds Gemma's pipeline over a vocabulary of bytes, and breaks; the " +
      "file is followed, and that is said.",
    holds: (text, why, { file }) =>
      file === "tokenizer_config.json" && why === refused && !text.includes('"tokenizer_class"'),
  },
  {
    kinds: ["tokenizer"],
    reason:
      "The reference's T5 falls over a file that has no list of added tokens; others read it.",
    holds: (text, why, { file }) =>
      file === "tokenizer.json" && why === refused && !text.includes('"added_tokens"'),
  },
  {
    kinds: ["rows"],
    reason:
      "The reference makes moments of texts that are dates; what a model learns from is text.",
    holds: (text, why) => /"\d{4}-\d\d-\d\d"/.test(text) && why.startsWith("rows is "),
  },
  {
    kinds: ["rows"],
    reason: "The reference loses count of a list that is stored as JSON and holds a null or a NaN.",
    holds: (text, why) => /NaN|Infinity|\[[^\]]*null/.test(text) && why === refused,
  },
  {
    kinds: ["rows"],
    reason: "Blanks may stand before the array of a JSON document.",
    holds: (text, why, { file }) => file === "rows.json" && /^\s+\[/.test(text) && why === refused,
  },
  {
    kinds: ["rows"],
    reason: "The reference reads lines twice that end with a lone CR, where a blank follows.",
    holds: (text, _, { file }) => file === "rows.csv" && /\r[ \t]/.test(text),
  },
  {
    kinds: ["rows"],
    reason: "A byte order mark is no text that a model should learn.",
    holds: (_, why, { file, bytes }) =>
      file === "rows.txt" && bytes[0] === 0xef && why.startsWith("rows is "),
  },
  {
    kinds: ["model"],
    reason: "Scaled by less than a thousandth, positions turn faster than f32 can tell apart.",
    holds: (text, why) => /"factor": [\d.]+e-/.test(text) && why.startsWith("logits is "),
  },
  {
    kinds: ["model"],
    reason: "Weights near the limit of f32 overflow in one order of operations and not in another.",
    holds: (_, why) => why.endsWith("in the reference not finite"),
  },
];

/** Whether an input is accepted on purpose. */
export function onPurpose(input: Input, why: string): boolean {
  const text = new TextDecoder().decode(input.bytes);
  return rules.some(({ kinds, holds }) => kinds.includes(input.kind) && holds(text, why, input));
}
