/** All recipes: what each is, and where. None is loaded before it is asked for. @module */

import type { Recipe } from "./recipe.ts";

/** A recipe that can be loaded. */
export interface CatalogueEntry {
  /** Its command's name. */
  readonly name: string;
  /** One sentence about it. */
  readonly summary: string;
  /** Whether it learns from answers that it samples. */
  readonly online: boolean;
  readonly load: () => Promise<Recipe>;
}

/** Recipes that learn from a data set, then those that learn from answers that they sample. */
export const catalogue: readonly CatalogueEntry[] = [
  {
    name: "sft",
    summary:
      "Supervised fine-tuning of a causal language model on texts, prompt-completion pairs or conversations.",
    online: false,
    load: async () => (await import("./sft.ts")).sftRecipe,
  },
  {
    name: "dpo",
    summary: "Direct preference optimisation, and its variants, on pairs of answers.",
    online: false,
    load: async () => (await import("./dpo.ts")).dpoRecipe,
  },
  {
    name: "kto",
    summary: "Kahneman–Tversky optimisation on single answers that are good or bad.",
    online: false,
    load: async () => (await import("./kto.ts")).ktoRecipe,
  },
  {
    name: "bco",
    summary: "Binary classifier optimisation on single answers that are good or bad.",
    online: false,
    load: async () => (await import("./bco.ts")).bcoRecipe,
  },
  {
    name: "orpo",
    summary:
      "Odds ratio preference optimisation: imitation and preference in one, without a reference model.",
    online: false,
    load: async () => (await import("./orpo.ts")).orpoRecipe,
  },
  {
    name: "cpo",
    summary: "Preference optimisation without a reference model: CPO, SimPO, AlphaPO.",
    online: false,
    load: async () => (await import("./cpo.ts")).cpoRecipe,
  },
  {
    name: "tpo",
    summary: "Triple preference optimisation: a pair to compare and a gold answer to imitate.",
    online: false,
    load: async () => (await import("./tpo.ts")).tpoRecipe,
  },
  {
    name: "reward",
    summary: "A reward model: scores that put the better answer of each pair first.",
    online: false,
    load: async () => (await import("./reward.ts")).rewardRecipe,
  },
  {
    name: "prm",
    summary: "A process reward model: is each step of a solution right?",
    online: false,
    load: async () => (await import("./prm.ts")).prmRecipe,
  },
  {
    name: "gkd",
    summary: "Generalised knowledge distillation: a student takes on its teacher's distributions.",
    online: false,
    load: async () => (await import("./gkd.ts")).gkdRecipe,
  },
  {
    name: "grpo",
    summary: "Group-relative policy optimisation: answers are compared with others to the prompt.",
    online: true,
    load: async () => (await import("./grpo.ts")).grpoRecipe,
  },
  {
    name: "rloo",
    summary: "REINFORCE leave-one-out: an answer's baseline is the mean of the others.",
    online: true,
    load: async () => (await import("./rloo.ts")).rlooRecipe,
  },
  {
    name: "ppo",
    summary: "Proximal policy optimisation: a value function says what each token was worth.",
    online: true,
    load: async () => (await import("./ppo.ts")).ppoRecipe,
  },
  {
    name: "online-dpo",
    summary: "Online DPO: of two sampled answers to a prompt the better is preferred.",
    online: true,
    load: async () => (await import("./online_dpo.ts")).onlineDpoRecipe,
  },
  {
    name: "nash-md",
    summary: "Nash-MD: answers that win against a mixture of the policy and its reference.",
    online: true,
    load: async () => (await import("./nash_md.ts")).nashMdRecipe,
  },
  {
    name: "xpo",
    summary: "XPO: online DPO against the reference's answers, with a bonus for leaving them.",
    online: true,
    load: async () => (await import("./xpo.ts")).xpoRecipe,
  },
];
