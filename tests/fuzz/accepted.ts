/** What is read here although the reference refuses it, or reads it otherwise: each with a reason. @module */

import type { Input } from "./inputs.ts";

/** A rule of what is accepted on purpose. */
interface Rule {
  readonly kinds: readonly Input["kind"][];
  /** Why it is right to read it so. */
  readonly reason: string;
  readonly holds: (text: string, why: string, input: Input) => boolean;
}

/** None yet: what differs is mended first. */
const rules: readonly Rule[] = [];

/** Whether an input is accepted on purpose. */
export function onPurpose(input: Input, why: string): boolean {
  const text = new TextDecoder().decode(input.bytes);
  return rules.some(({ kinds, holds }) => kinds.includes(input.kind) && holds(text, why, input));
}
