/** The declared options of the training commands against TRL's configurations; those of `sft` stand in options_test.ts. */

import assert from "node:assert/strict";
import { grpoOptions, rlooOptions } from "../../train/settings/grpo.ts";
import { nashMdOptions, onlineDpoOptions, xpoOptions } from "../../train/settings/online_dpo.ts";
import type { Option, Options } from "../../train/settings/option.ts";
import { gkdOptions } from "../../train/settings/gkd.ts";
import * as preference from "../../train/settings/preference.ts";
import { prmOptions, rewardOptions } from "../../train/settings/scores.ts";
import { parse } from "../../cli/parse.ts";
import onlineFields from "../fixtures/online_fields.json" with { type: "json" };
import preferenceFields from "../fixtures/preference_fields.json" with { type: "json" };
import sftFields from "../fixtures/sft_fields.json" with { type: "json" };
import { documentedDefaults } from "./documented_defaults.ts";

type Fields = Readonly<Record<string, unknown>>;

/** What configurations share with SFT's, and what each has of its own, with its default. */
interface Recorded {
  readonly shared: readonly string[];
  readonly own: Readonly<Record<string, Fields>>;
}

const recorded = ({ shared, ...own }: typeof onlineFields | typeof preferenceFields): Recorded => ({
  shared,
  own,
});

const commands: readonly (readonly [string, Options, Recorded])[] = [
  ...Object.entries({
    dpo: preference.dpoOptions,
    kto: preference.ktoOptions,
    bco: preference.bcoOptions,
    orpo: preference.orpoOptions,
    cpo: preference.cpoOptions,
    tpo: preference.tpoOptions,
    reward: rewardOptions,
    prm: prmOptions,
    gkd: gkdOptions,
  }).map(([name, options]) => [name, options, recorded(preferenceFields)] as const),
  ...Object.entries({
    grpo: grpoOptions,
    rloo: rlooOptions,
    "online-dpo": onlineDpoOptions,
    "nash-md": nashMdOptions,
    xpo: xpoOptions,
  }).map(([name, options]) => [name, options, recorded(onlineFields)] as const),
];

/** An older name of an option that is declared with its default. */
const older = new Set(["vllm_importance_sampling_cap"]);

function declared(options: Options, name: string): Option<unknown> | undefined {
  return options[name] ??
    Object.values(options).find(({ aliases }) => aliases.some((alias) => alias.name === name));
}

for (const [command, options, { shared, own }] of commands) {
  Deno.test(`every field of TRL's configuration of ${command} is declared, with its default`, () => {
    const all: Fields = sftFields;
    const common = Object.fromEntries(shared.map((name) => [name, all[name]]));
    const fields = Object.entries({ ...common, ...own[command], ...documentedDefaults });
    assert.ok(fields.length > 125, `${fields.length}`);
    for (const [name, value] of fields) {
      const option = declared(options, name);
      assert.ok(option, `${name} is not declared`);
      if (older.has(name)) assert.equal(value, null, name);
      else assert.deepEqual(option.default, value ?? undefined, name);
    }
  });

  Deno.test(`every option of ${command} has a section and a help text`, () => {
    for (const [name, option] of Object.entries(options)) {
      assert.notEqual(option.group, "", name);
      assert.match(option.help, /^\S[^]*[.]$/, name);
      if (option.status.kind === "refused") assert.ok(option.status.reason.length > 20, name);
    }
  });

  Deno.test(`the defaults of ${command} are accepted without a word`, () => {
    const required = Object.entries(options).flatMap(([name, option]) =>
      option.required ? [`--${name}`, "somewhere"] : []
    );
    const names = Object.keys(own[command]!);
    assert.ok(names.length > 0);
    for (const name of names) {
      const value = declared(options, name)!.default;
      if (value === undefined || older.has(name)) continue;
      const words = Array.isArray(value) ? value.map(String) : [String(value)];
      assert.deepEqual(parse([...required, `--${name}`, ...words], options).notices, [], name);
    }
  });
}
