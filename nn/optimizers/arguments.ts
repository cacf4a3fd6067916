/** The text of `optim_args`. @module */

import { UserError } from "../../core/mod.ts";

/** Reads one argument, or gives the default. */
export interface OptimizerArguments {
  /** A number, which `accepts` (by default: any finite one) must allow. */
  readonly number: <D>(
    name: string,
    fallback: D,
    accepts?: { readonly what: string; readonly test: (x: number) => boolean },
  ) => number | D;
  /** true or false (also 1, 0, yes, no). */
  readonly flag: (name: string, fallback: boolean) => boolean;
  /** One of some words. */
  readonly choice: <Word extends string>(
    name: string,
    words: readonly Word[],
    fallback: Word,
  ) => Word;
  /** Refuses arguments that nobody has asked for. */
  readonly finish: () => void;
}

/**
 * Arguments of an optimiser, `key=value` joined by commas, as in transformers.
 *
 * @param text May be empty.
 * @param optimizer Named in messages.
 * @throws UserError, here or in the readers, if the text cannot be read.
 */
export function optimizerArguments(text: string, optimizer: string): OptimizerArguments {
  const given = new Map<string, string>();
  for (const part of text.replaceAll(" ", "").split(",")) {
    if (part === "") continue;
    const [, key, value] = /^([^=]+)=([^=]+)$/.exec(part) ?? [];
    if (key === undefined || value === undefined || given.has(key)) {
      throw new UserError(
        `Cannot read --optim_args "${text}": "${part}" ${
          key !== undefined && given.has(key) ? "is given twice" : "is not key=value"
        }. Write it like "momentum=0.9,nesterov=true".`,
      );
    }
    given.set(key, value);
  }
  const known: string[] = [];
  const read = (name: string): string | undefined => {
    known.push(name);
    return given.get(name);
  };
  const refuse = (name: string, expected: string): never => {
    throw new UserError(
      `--optim_args has ${name}=${given.get(name)}, but ${name} of ${optimizer} is ${expected}.`,
    );
  };
  return {
    number: (name, fallback, accepts = { what: "a number", test: Number.isFinite }) => {
      const text = read(name);
      if (text === undefined) return fallback;
      const value = Number(text);
      return accepts.test(value) ? value : refuse(name, accepts.what);
    },
    flag: (name, fallback) => {
      const text = read(name)?.toLowerCase();
      if (text === undefined) return fallback;
      if (["true", "1", "yes"].includes(text)) return true;
      return ["false", "0", "no"].includes(text) ? false : refuse(name, "true or false");
    },
    choice: (name, words, fallback) => {
      const text = read(name);
      if (text === undefined) return fallback;
      return words.find((word) => word === text) ?? refuse(name, words.join(" or "));
    },
    finish: () => {
      for (const [name, value] of given) {
        if (known.includes(name)) continue;
        throw new UserError(
          `--optim_args has ${name}=${value}, which ${optimizer} does not take. ` +
            (known.length > 0 ? `It takes ${known.join(", ")}.` : "It takes none.") +
            (name === "weight_decay" ? " Set --weight_decay." : "") +
            (name === "lr" ? " Set --learning_rate." : ""),
        );
      }
    },
  };
}
