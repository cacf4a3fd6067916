/** Holds what plumb makes of the mutated inputs against what the reference made of them. @module */

import type { Reading } from "./reading.ts";

/** What became of an input here. */
export type Verdict =
  | { readonly read: Reading }
  | { readonly refused: string }
  | { readonly defect: string };

/** How two readings of an input compare. */
export type Comparison =
  /** Both read the same, or both refuse. */
  | { readonly kind: "equal" }
  /** Refused here, read there. */
  | { readonly kind: "stricter" }
  /** An error that is no answer to a user, or no end. */
  | { readonly kind: "defect"; readonly why: string }
  /** Read here, refused there; or read as something else. */
  | { readonly kind: "silent"; readonly why: string };

/** @param theirs What the reference reads; null where it refuses. */
export function compare(ours: Verdict, theirs: Reading | null): Comparison {
  if ("defect" in ours) return { kind: "defect", why: ours.defect };
  if ("refused" in ours) return { kind: theirs === null ? "equal" : "stricter" };
  if (theirs === null) return { kind: "silent", why: "the reference refuses it" };
  const apart = Object.entries(ours.read).filter(([name, value]) => !agree(value, theirs[name]));
  return apart.length === 0 ? { kind: "equal" } : {
    kind: "silent",
    why: apart.map(([name, value]) => `${name} is ${value}, in the reference ${theirs[name]}`).join(
      "; ",
    ),
  };
}

function agree(ours: Reading[string], theirs: Reading[string] | undefined): boolean {
  if (ours === "refused" || theirs === undefined) return true;
  if (typeof ours === "string" || typeof theirs === "string") return ours === theirs;
  return ours.length === theirs.length &&
    ours.every((value, i) => Math.abs(value - theirs[i]!) <= 1e-3 * (1 + Math.abs(theirs[i]!)));
}
