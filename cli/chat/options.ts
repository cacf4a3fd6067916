/** The options of `chat`. @module */

import { int, string } from "../../train/settings/builders.ts";
import {
  generationCommandOptions,
  generationModelOptions,
  samplingFlags,
} from "../../train/settings/generation.ts";
import { type Options, section, type Values } from "../../train/settings/option.ts";

const seed = section("Generation", {
  seed: int({ min: 0, help: "Seed of the draws; unset: another one each time." }),
});

const conversation = section("Chat", {
  system_prompt: string({ help: "What the system says before the conversation." }),
  user: string({ help: "Your name before your lines; unset: your user name." }),
  save_folder: string({
    default: "./chat_history/",
    shown: "DIR",
    help: "Where `save` writes conversations.",
  }),
  examples_path: string({
    shown: "FILE",
    help: "YAML file of prompts for `example NAME`, in place of those built in.",
  }),
});

/** The options of `chat`. */
export const chatOptions = {
  ...generationModelOptions,
  ...samplingFlags,
  ...seed,
  ...conversation,
  ...generationCommandOptions,
} satisfies Options;

/** What `set` can change. */
export const settableOptions = {
  ...samplingFlags,
  ...seed,
  system_prompt: conversation.system_prompt,
} satisfies Options;

/** The values of {@link chatOptions}. */
export type ChatValues = Values<typeof chatOptions>;

/** The values of {@link settableOptions}. */
export type SettableValues = Values<typeof settableOptions>;
