/** One prepared row for people. @module */

import type { Example } from "../../data/batches/packing.ts";
import type { Tokenizer } from "../../data/tokenizer/tokenizer.ts";

/** The row's tokens; those that carry loss stand in brackets. */
export function describeRow({ inputIds, labels }: Example, tokenizer: Tokenizer): string {
  const runs: { readonly learned: boolean; readonly ids: number[] }[] = [];
  inputIds.forEach((id, i) => {
    const learned = labels[i] !== -100;
    const last = runs.at(-1);
    if (last?.learned === learned) last.ids.push(id);
    else runs.push({ learned, ids: [id] });
  });
  const text = runs.map(({ learned, ids }) => {
    const piece = tokenizer.decode(ids);
    return learned ? `⟦${piece}⟧` : piece;
  }).join("");
  const count = labels.reduce((sum, label) => sum + (label === -100 ? 0 : 1), 0);
  return `${inputIds.length} tokens, loss on the ${count} in ⟦…⟧:\n${text}`;
}
