/** Reading what a reward function is given. @module */

import { UserError } from "../../core/errors.ts";
import { plainJson } from "../../core/terminal.ts";
import type { RewardArguments, RewardText } from "./types.ts";

/** The text of a completion; of messages, that of the first, as TRL takes it. @throws UserError if it has none. */
export function completionText(completion: RewardText, row: number): string {
  const content = typeof completion === "string" ? completion : completion[0]?.content;
  if (typeof content === "string") return content;
  throw new UserError(
    `Completion ${row + 1} has no text: its first message's content is ${
      JSON.stringify(content) ?? "missing"
    }. This reward reads completions that are texts or messages whose content is a text.`,
  );
}

/** A column of texts. @throws UserError that names the row where the column or a text is missing. */
export function textColumn(args: RewardArguments, name: string): readonly string[] {
  const values = args.columns[name];
  if (values === undefined) {
    throw new UserError(
      `This reward reads the column "${name}" of the data set, whose columns are ${
        Object.keys(args.columns).join(", ") || "none"
      }. Rename the column that holds it to "${name}".`,
    );
  }
  return values.map((value, row) => {
    if (typeof value === "string") return value;
    throw new UserError(
      `The column "${name}" of completion ${row + 1} is ${
        value === undefined ? "missing" : plainJson(value)
      }; this reward expects a text there.`,
    );
  });
}
