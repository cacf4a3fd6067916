/**
 * One declaration per option. From it come the flag, the YAML key, the TypeScript type, the
 * default, the help text, the accepted values, the older names and what the option does here.
 *
 * @module
 */

/** What becomes of an option that is set to something else than its default. */
export type Status =
  /** It does what it says. */
  | { readonly kind: "works" }
  /** It is accepted and a line says why it cannot change the numbers. Silent for `quiet` values. */
  | { readonly kind: "notice"; readonly text: string; readonly quiet: readonly unknown[] }
  /** It stops the command with the reason. The `allowed` values pass. */
  | { readonly kind: "refused"; readonly reason: string; readonly allowed: readonly unknown[] };

/** An older name of an option; `translate` turns an old value into one of the option's values. */
export interface Alias {
  /** The old name in snake_case. */
  readonly name: string;
  /** Whether the old flag may stand without a value. */
  readonly bare: boolean;
  /** Undefined means that the old setting asks for nothing. Throws a plain Error on a bad value. */
  readonly translate: (raw: unknown) => unknown;
}

/** The outcome of reading one value; `unavailable` is why a known value is not offered. */
export type Reading<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly unavailable?: string };

/** When an option has an effect. */
export interface Condition {
  /** The options it depends on. */
  readonly on: readonly string[];
  /** Whether it has one beside these values. */
  readonly holds: (values: Readonly<Record<string, unknown>>) => boolean;
  /** Why not, as the end of the sentence "It has no effect: …". */
  readonly because: (values: Readonly<Record<string, unknown>>) => string;
}

/** A declared option whose value has type `T`. */
export interface Option<T> {
  /** The value when nothing is given. Undefined for a required option. */
  readonly default: T | undefined;
  /** Whether the command cannot run without it. */
  readonly required: boolean;
  /** One or two short sentences. */
  readonly help: string;
  /** The help section; none until {@linkcode section} gives one. */
  readonly group: Section | "";
  /** The placeholder in the help: INT, FLOAT, a list of choices, … */
  readonly shown: string;
  /** The type of a value in TypeScript, as an option of the library has it. */
  readonly type: string;
  /** Whether it can be unset: `none` and YAML's null, and null in a script. */
  readonly optional: boolean;
  /** What a text that is no path here names on the Hub, if that is possible. */
  readonly names: "model" | "adapter" | "tokenizer" | "reward model" | undefined;
  /** What is accepted, as the end of the sentence "Expected …". */
  readonly expected: string;
  /** How many values the flag takes: one, one or none (`--flag`), or one and more. */
  readonly arity: "one" | "optional" | "many";
  /** Whether `--no_flag` turns it off. */
  readonly negatable: boolean;
  /** Older names. */
  readonly aliases: readonly Alias[];
  /** What becomes of it here. */
  readonly status: Status;
  /** What must all hold for it to have an effect. */
  readonly when: readonly Condition[];
  /** Lines for single values of an option that works, by the value as text. */
  readonly valueNotices: Readonly<Record<string, string>>;
  /** Reads command-line text, a list of texts, or a value from YAML. */
  readonly read: (raw: unknown) => Reading<T>;
}

/** A set of options by snake_case name. */
export type Options = Readonly<Record<string, Option<unknown>>>;

/** The values of a set of options, as inferred from its declarations. */
export type Values<O extends Options> = {
  readonly [Name in keyof O]: O[Name] extends Option<infer T> ? T : never;
};

/**
 * The sections of the help, in the order they have in every command: what is trained, on and with what; how answers come
 * about; the loss; what all training has in common; the rest.
 */
export const sections = [
  "Model",
  "Data",
  "Rewards",
  "Sampling",
  "Generation",
  "Chat",
  "Loss",
  "Reference",
  "Value function",
  "Training",
  "Optimiser and schedule",
  "Adapters and quantisation",
  "Evaluation",
  "Logging",
  "Checkpoints",
  "Memory and precision",
  "Command",
  "Without effect here",
  "Not in this version",
  "Older names",
] as const;

/** A section of the help. */
export type Section = typeof sections[number];

/** The same options under one section of the help. */
export function section<const O extends Options>(group: Section, options: O): O {
  const entries = Object.entries(options).map(([name, option]) => [name, { ...option, group }]);
  return Object.fromEntries(entries) as O;
}
