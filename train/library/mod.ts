/**
 * The library in one function for each recipe: a call trains, and gives the model.
 *
 * @module
 */

export * from "./options/functions.ts";
export type { BcoOptions } from "./options/bco.ts";
export type { CpoOptions } from "./options/cpo.ts";
export type { DpoOptions } from "./options/dpo.ts";
export type { GenerationOptions } from "./options/generation.ts";
export type { GkdOptions } from "./options/gkd.ts";
export type { GrpoOptions } from "./options/grpo.ts";
export type { KtoOptions } from "./options/kto.ts";
export type { NashMdOptions } from "./options/nash_md.ts";
export type { OnlineDpoOptions } from "./options/online_dpo.ts";
export type { OrpoOptions } from "./options/orpo.ts";
export type { PpoOptions } from "./options/ppo.ts";
export type { PrmOptions } from "./options/prm.ts";
export type { RewardOptions } from "./options/reward.ts";
export type { RlooOptions } from "./options/rloo.ts";
export type { SftOptions } from "./options/sft.ts";
export type { TpoOptions } from "./options/tpo.ts";
export type { LoraOptions, OnlineOptions, TrainingOptions } from "./options/training.ts";
export type { XpoOptions } from "./options/xpo.ts";
export {
  LanguageModel,
  type ModelOrigin,
  type Prompt,
  type PromptedText,
  type ScoredCompletion,
} from "./language_model.ts";
export { type Dataset, loadModel, type LoadOptions, type ScriptOptions } from "./recipes.ts";
export type { ModelInMemory } from "../files/take_over.ts";
export type { Run } from "./run.ts";
