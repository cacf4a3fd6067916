/** Optimisers by the names that TRL and transformers give them (`optim`). @module */

import { UserError } from "../../core/mod.ts";
import { adafactor } from "./adafactor.ts";
import { adagrad } from "./adagrad.ts";
import { adamWOptimizer } from "./adamw.ts";
import { adamW8bit } from "./adamw8bit.ts";
import { type OptimizerArguments, optimizerArguments } from "./arguments.ts";
import { lion } from "./lion.ts";
import { isHiddenMatrix, muon } from "./muon.ts";
import { rmsprop } from "./rmsprop.ts";
import { sgd } from "./sgd.ts";
import type { Decays, Optimizer } from "./types.ts";

/** What flags say about the optimiser, whichever it is. */
export interface OptimizerSettings {
  /** `adam_beta1`. */
  readonly beta1: number;
  /** `adam_beta2`. */
  readonly beta2: number;
  /** `adam_epsilon`. */
  readonly epsilon: number;
  /** `weight_decay`. */
  readonly weightDecay: number;
  /** Which parameters decay, by path. All of them by default. */
  readonly decays?: Decays;
}

type Make = (settings: OptimizerSettings, args: OptimizerArguments) => Optimizer;

const fraction = { what: "a number from 0 to 1", test: (x: number) => x >= 0 && x < 1 };
const positive = { what: "a number above 0", test: (x: number) => x > 0 && Number.isFinite(x) };
const atLeastZero = {
  what: "a number, 0 or more",
  test: (x: number) => x >= 0 && Number.isFinite(x),
};
const count = {
  what: "a whole number from 1 to 99",
  test: (x: number) => Number.isInteger(x) && x > 0 && x < 100,
};

const makeAdamW: Make = (settings) => adamWOptimizer(settings);

/** Embeddings' moments stay f32 on demand: bitsandbytes under transformers keeps them so. */
const makeAdamW8bit: Make = (settings, args) => {
  const embeddings = args.choice("embedding_bits", ["8", "32"], "8");
  return adamW8bit({
    ...settings,
    minSize: args.number("min_8bit_size", 4096, atLeastZero),
    ...(embeddings === "32" ? { exact: (path: string) => !isHiddenMatrix(path, [1, 1]) } : {}),
  });
};

const makeAdafactor: Make = ({ weightDecay, decays }, args) => {
  const beta1 = args.number("beta1", null, fraction);
  const relativeStep = args.flag("relative_step", false);
  const warmupInit = args.flag("warmup_init", false);
  if (warmupInit && !relativeStep) {
    throw new UserError(
      "--optim_args has warmup_init=true without relative_step=true: the warm-up is one of relative steps. Set " +
        "both, or use --warmup_steps.",
    );
  }
  return adafactor({
    ...mask(decays),
    weightDecay,
    beta1,
    relativeStep,
    warmupInit,
    scaleParameter: args.flag("scale_parameter", false),
    clipThreshold: args.number("clip_threshold", 1, positive),
    decayRate: args.number("decay_rate", -0.8, {
      what: "a number below 0",
      test: (x) => x < 0 && Number.isFinite(x),
    }),
  });
};

const makeLion: Make = ({ beta1, beta2, weightDecay, decays }) =>
  lion({ ...mask(decays), beta1, beta2, weightDecay });

const makeSgd: Make = ({ weightDecay, decays }, args) => {
  const momentum = args.number("momentum", 0, fraction);
  const dampening = args.number("dampening", 0, fraction);
  const nesterov = args.flag("nesterov", false);
  if (nesterov && (momentum === 0 || dampening !== 0)) {
    throw new UserError(
      "--optim_args has nesterov=true, which needs momentum above 0 and no dampening: write " +
        '"momentum=0.9,nesterov=true".',
    );
  }
  return sgd({ ...mask(decays), weightDecay, momentum, dampening, nesterov });
};

const makeRmsprop: Make = ({ weightDecay, decays }, args) =>
  rmsprop({
    ...mask(decays),
    weightDecay,
    alpha: args.number("alpha", 0.99, fraction),
    epsilon: args.number("eps", 1e-8, positive),
    momentum: args.number("momentum", 0, fraction),
    centered: args.flag("centered", false),
  });

const makeAdagrad: Make = ({ weightDecay, decays }, args) =>
  adagrad({
    ...mask(decays),
    weightDecay,
    learningRateDecay: args.number("lr_decay", 0, atLeastZero),
    epsilon: args.number("eps", 1e-10, positive),
    initialAccumulator: args.number("initial_accumulator_value", 0, atLeastZero),
  });

/** One learning rate serves the matrices and AdamW's parameters, so steps are as large as AdamW's by default. */
const makeMuon: Make = (settings, args) =>
  muon({
    ...mask(settings.decays),
    weightDecay: settings.weightDecay,
    adamW: settings,
    momentum: args.number("momentum", 0.95, fraction),
    nesterov: args.flag("nesterov", true),
    iterations: args.number("ns_steps", 5, count),
    adjustment: args.choice<"original" | "match_rms_adamw">("adjust_lr_fn", [
      "original",
      "match_rms_adamw",
    ], "match_rms_adamw"),
  });

// Names whose optimisers differ in how they are run, not in what they compute, are one here: fused kernels,
// paging to host memory, torchao's 8 bits beside bitsandbytes'.
const makers: Readonly<Record<string, Make>> = {
  adamw_torch: makeAdamW,
  adamw_torch_fused: makeAdamW,
  adamw_hf: makeAdamW,
  adamw_torch_xla: makeAdamW,
  adamw_torch_npu_fused: makeAdamW,
  paged_adamw_32bit: makeAdamW,
  adamw_8bit: makeAdamW8bit,
  adamw_bnb_8bit: makeAdamW8bit,
  paged_adamw_8bit: makeAdamW8bit,
  adamw_torch_8bit: makeAdamW8bit,
  adafactor: makeAdafactor,
  lion: makeLion,
  lion_32bit: makeLion,
  paged_lion_32bit: makeLion,
  sgd: makeSgd,
  rmsprop: makeRmsprop,
  adagrad: makeAdagrad,
  muon: makeMuon,
};

/** The names {@link optimizerByName} knows. */
export const optimizerNames: readonly string[] = Object.keys(makers);

/** Whether two names are of one optimiser: names that differ only in how it is run are. */
export function isSameOptimizer(name: string, other: string): boolean {
  return name === other || (Object.hasOwn(makers, name) && makers[name] === makers[other]);
}

/**
 * The optimiser that flags ask for.
 *
 * @param name `optim`: one of {@link optimizerNames}.
 * @param optimArgs `optim_args`: "key=value,…", with transformers' keys; keys the optimiser does not have are
 *   refused.
 * @throws UserError naming what is unknown, and what is known.
 */
export function optimizerByName(
  name: string,
  settings: OptimizerSettings,
  optimArgs = "",
): Optimizer {
  if (!Object.hasOwn(makers, name)) {
    throw new UserError(
      `There is no optimiser "${name}" here. --optim takes ${optimizerNames.join(", ")}.`,
    );
  }
  const args = optimizerArguments(optimArgs, name);
  const optimizer = makers[name]!(settings, args);
  args.finish();
  return optimizer;
}

function mask(decays: Decays | undefined): { readonly decays?: Decays } {
  return decays ? { decays } : {};
}
