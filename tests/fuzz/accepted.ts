/** What is read here although the reference refuses it, or reads it otherwise: each with a reason. @module */

import type { Input } from "./inputs.ts";

/** A rule of what is accepted on purpose. */
interface Rule {
  readonly kinds: readonly Input["kind"][];
  /** Why it is right to read it so. */
  readonly reason: string;
  readonly holds: (text: string, why: string, input: Input) => boolean;
}

const rules: readonly Rule[] = [
  {
    kinds: ["rows"],
    reason:
      "The reference makes moments of texts that are dates; what a model learns from is text.",
    holds: (text, why) => /"\d{4}-\d\d-\d\d"/.test(text) && why.startsWith("rows is "),
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
