/** A batch like one of grade-school mathematics problems (GSM8K) with their solutions. @module */

import { buildStream, type StreamArrays } from "../data/batches/token_stream.ts";

/** Tokens of the prompt and of the completion in each row; a row has 171 tokens in the median. */
export const sftLengths: readonly (readonly [prompt: number, completion: number])[] = [
  [58, 61],
  [112, 213],
  [45, 97],
  [63, 126],
  [68, 83],
  [88, 158],
  [52, 110],
  [76, 104],
];

/** Eight rows with labels on the completions; the same every time. */
export function sftBatch(vocabulary: number): StreamArrays {
  let state = 1;
  const token = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    // Low ids are frequent, as in text.
    return Math.floor((state / 2 ** 32) ** 2 * vocabulary);
  };
  return buildStream(sftLengths.map(([prompt, completion]) => {
    const ids = Array.from({ length: prompt + completion }, token);
    return { ids, labels: ids.map((id, i) => i < prompt ? -100 : id) };
  }));
}
