/** A conversation and its settings as a file. @module */

import type { Message } from "../../data/chat/chat_template.ts";
import { writeFileAtomically } from "../../data/files/atomic.ts";
import { basePath, joinPath } from "../../data/files/local_paths.ts";

/** Where conversations go. */
export interface SavePlace {
  /** `--save_folder`. */
  readonly folder: string;
  /** `--model_name_or_path`. */
  readonly model: string;
  /** The present moment. */
  readonly now: Date;
}

/**
 * The path of `save NAME`: a name alone is a file in the folder, a name with a directory is a path of its own, and no
 * name is the folder, the model's name and the time (as TRL has it).
 */
export function savePath(name: string | undefined, { folder, model, now }: SavePlace): string {
  if (name === undefined) {
    const two = (value: number) => String(value).padStart(2, "0");
    const day = [now.getFullYear(), two(now.getMonth() + 1), two(now.getDate())].join("-");
    const time = [now.getHours(), now.getMinutes(), now.getSeconds()].map(two).join("-");
    return joinPath(joinPath(folder, basePath(model)), `chat_${day}_${time}.json`);
  }
  const file = /\.json$/i.test(name) ? name : `${name}.json`;
  return /[/\\]/.test(name) ? file : joinPath(folder, file);
}

/** Writes a conversation as TRL's chat does. @throws {UserError} where the disk refuses. */
export async function saveChat(
  path: string,
  settings: Readonly<Record<string, unknown>>,
  history: readonly Message[],
): Promise<void> {
  const contents = { settings, chat_history: history };
  await writeFileAtomically(path, `${JSON.stringify(contents, null, 4)}\n`);
}
