/** All recipes. @module */

import { bcoRecipe } from "./bco.ts";
import { cpoRecipe } from "./cpo.ts";
import { dpoRecipe } from "./dpo.ts";
import { gkdRecipe } from "./gkd.ts";
import { grpoRecipe } from "./grpo.ts";
import { ktoRecipe } from "./kto.ts";
import { nashMdRecipe } from "./nash_md.ts";
import { onlineDpoRecipe } from "./online_dpo.ts";
import { orpoRecipe } from "./orpo.ts";
import { ppoRecipe } from "./ppo.ts";
import { prmRecipe } from "./prm.ts";
import { rewardRecipe } from "./reward.ts";
import { rlooRecipe } from "./rloo.ts";
import { sftRecipe } from "./sft.ts";
import { tpoRecipe } from "./tpo.ts";
import { xpoRecipe } from "./xpo.ts";
import type { Recipe } from "./recipe.ts";

/** Recipes that learn from a data set. */
export const offlineRecipes: readonly Recipe[] = [
  sftRecipe,
  dpoRecipe,
  ktoRecipe,
  bcoRecipe,
  orpoRecipe,
  cpoRecipe,
  tpoRecipe,
  rewardRecipe,
  prmRecipe,
  gkdRecipe,
];

/** Recipes that learn from answers that they sample. */
export const onlineRecipes: readonly Recipe[] = [
  grpoRecipe,
  rlooRecipe,
  ppoRecipe,
  onlineDpoRecipe,
  nashMdRecipe,
  xpoRecipe,
];
