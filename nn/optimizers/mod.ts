/** Optimisers, as pure functions of trees. @module */

export * from "./adafactor.ts";
export * from "./adagrad.ts";
export {
  adamW,
  adamWOptimizer,
  type AdamWOptions,
  type AdamWState,
  type AdamWStep,
  adamWStep,
  initAdamW,
} from "./adamw.ts";
export * from "./adamw8bit.ts";
export * from "./clip.ts";
export * from "./lion.ts";
export * from "./muon.ts";
export * from "./registry.ts";
export * from "./rmsprop.ts";
export * from "./sgd.ts";
export * from "./types.ts";
