/**
 * The bookkeeping of beam search, with the rules of transformers' `generate`: which continuations go on, which are kept
 * as finished, and when nothing better can come. Plain numbers; scores in single precision, as they are compared.
 *
 * @module
 */

/** How beams are compared. */
export interface BeamRules {
  /** Beams of each prompt. */
  readonly beams: number;
  /** A finished beam's score is its log-probability over its new tokens to this power. */
  readonly lengthPenalty: number;
  /** true: end with as many finished as there are beams. false: where the best beam cannot well win any more. */
  readonly earlyStopping: boolean | "never";
  /** The most new tokens. */
  readonly maxNewTokens: number;
  /** How many tokens end a sequence. */
  readonly endingTokens: number;
}

/** A sequence of new tokens with its score. */
export interface Beam {
  /** The new tokens. */
  readonly tokens: readonly number[];
  /** Log-probability; of a finished one, over its length to a power. */
  readonly score: number;
}

/** The search of one prompt. */
export interface BeamState {
  /** The beams that go on, best first. */
  readonly running: readonly Beam[];
  /** Of each, the number of the beam it continues. */
  readonly parents: readonly number[];
  /** Finished ones, best first; as many as there are beams at most. */
  readonly finished: readonly Beam[];
  /** Whether the search is over. */
  readonly done: boolean;
}

/** Below every score of a beam that exists. */
const none = -1e9;

/** The search at its beginning: all beams are the same, so that only the first counts. */
export function firstBeams({ beams }: BeamRules): BeamState {
  return {
    running: Array.from({ length: beams }, (_, i) => ({ tokens: [], score: i === 0 ? 0 : none })),
    parents: Array.from({ length: beams }, (_, i) => i),
    finished: [],
    done: false,
  };
}

/**
 * One step of the search.
 *
 * @param logProbs Of the next tokens, a row for each running beam.
 * @param ends Whether a sequence of new tokens is finished.
 */
export function nextBeams(
  state: BeamState,
  logProbs: readonly Float32Array[],
  rules: BeamRules,
  ends: (tokens: readonly number[]) => boolean,
): BeamState {
  const { beams, lengthPenalty, earlyStopping, maxNewTokens } = rules;
  // Enough that as many go on as there are beams, whichever end.
  const kept = Math.max(2, 1 + rules.endingTokens) * beams;
  const best = largest(state.running, logProbs, kept).map(({ beam, token, score }) => {
    const tokens = [...state.running[beam]!.tokens, token];
    return { beam, tokens, score, ends: tokens.length >= maxNewTokens || ends(tokens) };
  });
  const length = state.running[0]!.tokens.length + 1;
  const scaled = (score: number, over: number) => Math.fround(score / over ** lengthPenalty);

  const isFull = state.finished.length === beams;
  const takesMore = !(isFull && earlyStopping === true);
  const fresh = takesMore
    ? best.slice(0, beams).filter((x) => x.ends)
      .map(({ tokens, score }) => ({ tokens, score: scaled(score, length) }))
    : [];
  const finished = [...state.finished, ...fresh].sort((a, b) => b.score - a.score).slice(0, beams);

  const open = best.filter((x) => !x.ends).slice(0, beams);
  const full = finished.length === beams;
  const furthest = earlyStopping === "never" && lengthPenalty > 0 ? maxNewTokens : length;
  const canWin = open.length > 0 &&
    (!full || scaled(open[0]!.score, furthest) > finished.at(-1)!.score);
  const done = !canWin || (full && earlyStopping === true);
  // A search of few tokens may have fewer ways on than beams: the rest never counts.
  const running = Array.from({ length: beams }, (_, i) => open[i] ?? { ...best[0]!, score: none });
  return {
    running: running.map(({ tokens, score }) => ({ tokens, score })),
    parents: running.map(({ beam }) => beam),
    finished,
    done,
  };
}

interface Continuation {
  readonly beam: number;
  readonly token: number;
  readonly score: number;
}

/** The best continuations of all beams, best first. */
function largest(
  running: readonly Beam[],
  logProbs: readonly Float32Array[],
  count: number,
): Continuation[] {
  const best: Continuation[] = [];
  logProbs.forEach((row, beam) => {
    const before = running[beam]!.score;
    for (let token = 0; token < row.length; token++) {
      const score = Math.fround(before + row[token]!);
      if (best.length === count && score <= best[count - 1]!.score) continue;
      let place = best.length;
      while (place > 0 && best[place - 1]!.score < score) place--;
      best.splice(place, 0, { beam, token, score });
      if (best.length > count) best.pop();
    }
  });
  return best;
}
