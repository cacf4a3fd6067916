/** Token streams and random numbers for tests of attention. @module */

/** Numbers in [0, 1) from a seed (mulberry32). */
export function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Numbers in [−1, 1). */
export function uniform(random: () => number, length: number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length }, () => 2 * random() - 1);
}

/** A prompt and the lengths of its children. */
export interface Family {
  readonly prompt: number;
  readonly children: readonly number[];
}

/** The [5, T] segments of families followed by padding tokens. */
export function familySegments(
  families: readonly Family[],
  padding: number,
  causal: boolean,
): Int32Array<ArrayBuffer> {
  const tokens: [number, number, number, number, number][] = [];
  let segment = 0;
  for (const { prompt, children } of families) {
    const start = tokens.length;
    const own = segment++;
    for (let i = 0; i < prompt; i++) {
      tokens.push([own, -1, i, start, causal ? tokens.length + 1 : start + prompt]);
    }
    for (const length of children) {
      const end = tokens.length + length;
      for (let i = 0; i < length; i++) {
        const last = causal ? tokens.length + 1 : end;
        tokens.push([segment, own, prompt + i, start, last]);
      }
      segment++;
    }
  }
  for (let i = 0; i < padding; i++) tokens.push([-1, -1, 0, 0, 0]);
  return transpose(tokens);
}

/** Segments, parents and positions without any order, and hints that skip nothing. */
export function scatteredSegments(
  random: () => number,
  length: number,
  otherLength: number,
): Int32Array<ArrayBuffer> {
  return transpose(
    Array.from({ length }, () => [
      Math.floor(random() * 5) - 1,
      Math.floor(random() * 5) - 1,
      Math.floor(random() * 40),
      0,
      otherLength,
    ]),
  );
}

/** Rows of unequal lengths on both sides, for cross-attention: queries see their row's keys. */
export function crossSegments(
  queryLengths: readonly number[],
  keyLengths: readonly number[],
): { readonly query: Int32Array<ArrayBuffer>; readonly key: Int32Array<ArrayBuffer> } {
  let start = 0;
  const query: number[][] = [];
  const key: number[][] = [];
  keyLengths.forEach((length, segment) => {
    for (let i = 0; i < length; i++) key.push([segment, -1, i, 0, 0]);
    for (let i = 0; i < queryLengths[segment]!; i++) {
      query.push([segment, -1, i, start, start + length]);
    }
    start += length;
  });
  return { query: transpose(query), key: transpose(key) };
}

function transpose(tokens: readonly (readonly number[])[]): Int32Array<ArrayBuffer> {
  const rows = new Int32Array(5 * tokens.length);
  tokens.forEach((token, i) =>
    token.forEach((value, row) => {
      rows[row * tokens.length + i] = value;
    })
  );
  return rows;
}
