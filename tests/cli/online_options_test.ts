/** The declared options of the commands that learn from sampled answers against TRL's configurations. */

import assert from "node:assert/strict";
import { grpoOptions, rlooOptions } from "../../cli/options/grpo.ts";
import { nashMdOptions, onlineDpoOptions, xpoOptions } from "../../cli/options/online_dpo.ts";
import type { Option, Options } from "../../cli/options/option.ts";
import { parse } from "../../cli/parse.ts";
import own from "../fixtures/online_fields.json" with { type: "json" };
import sftFields from "../fixtures/sft_fields.json" with { type: "json" };

type Fields = Readonly<Record<string, unknown>>;

const commands = {
  grpo: grpoOptions,
  rloo: rlooOptions,
  "online-dpo": onlineDpoOptions,
  "nash-md": nashMdOptions,
  xpo: xpoOptions,
} satisfies Record<string, Options>;

/** Defaults that are documented to differ. */
const documented: Fields = {
  // TrainingArguments puts this name in place of None.
  output_dir: "trainer_output",
  // A list here, so that it has one type.
  report_to: ["none"],
  // TRL's is a list of PyTorch diagnoses; here it shows stack traces.
  debug: false,
};

/** An older name of an option that is declared with its default. */
const older = new Set(["vllm_importance_sampling_cap"]);

/** Fields and defaults of a configuration of TRL: what all share, and its own. */
function fieldsOf(command: keyof typeof commands): Fields {
  const all: Fields = sftFields;
  const shared = Object.fromEntries(own.shared.map((name) => [name, all[name]]));
  return { ...shared, ...own[command], ...documented };
}

function declared(options: Options, name: string): Option<unknown> | undefined {
  return options[name] ??
    Object.values(options).find(({ aliases }) => aliases.some((alias) => alias.name === name));
}

for (const command of Object.keys(commands) as (keyof typeof commands)[]) {
  const options: Options = commands[command];
  Deno.test(`every field of TRL's configuration of ${command} is declared, with its default`, () => {
    const fields = Object.entries(fieldsOf(command));
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
    const defaults: Fields = own[command];
    for (const name of Object.keys(defaults)) {
      const value = declared(options, name)!.default;
      if (value === undefined || older.has(name)) continue;
      const words = Array.isArray(value) ? value.map(String) : [String(value)];
      assert.deepEqual(parse([...required, `--${name}`, ...words], options).notices, [], name);
    }
  });
}
