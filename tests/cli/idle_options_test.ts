/** Options know when they have an effect; one that has none is told. */

import assert from "node:assert/strict";
import { loadCommands } from "../../cli/commands.ts";
import type { Condition, Options } from "../../train/settings/option.ts";
import { idleOptions } from "../../train/settings/when.ts";
import { fixture } from "../data/fixture_files.ts";
import { rewards, smallOnlineRun } from "./online_runs.ts";
import { plumb, temporary } from "./run_command.ts";

const commands = await loadCommands();

type Given = Readonly<Record<string, unknown>>;

/** Values that an option may have, to find some beside which a condition does not hold. */
function candidates(options: Options, name: string): unknown[] {
  const option = options[name];
  if (!option) return [undefined];
  const words = option.shown.split("|").map((word) => word.replace(" …", ""));
  const read = [...words, "true", "false", "0", "1", "2", "x"].flatMap((raw) => {
    const reading = option.read(option.arity === "many" ? [raw] : raw);
    return reading.ok ? [reading.value] : [];
  });
  return [option.default, undefined, ...read];
}

/** Values beside which a condition holds, or does not. */
function valuesWhere(
  options: Options,
  { on, holds }: Condition,
  wanted: boolean,
): Given | undefined {
  const all = on.reduce<Given[]>(
    (found, name) =>
      found.flatMap((values) =>
        candidates(options, name).map((value) => ({ ...values, [name]: value }))
      ),
    [{}],
  );
  return all.find((values) => holds(values) === wanted);
}

Deno.test("every option that depends on others is told where it has no effect, and not where it has one", () => {
  let conditions = 0;
  for (const { name: command, options } of commands) {
    const defaults = Object.fromEntries(
      Object.entries(options).map(([name, option]) => [name, option.default]),
    );
    for (const [name, option] of Object.entries(options)) {
      for (const condition of option.when) {
        conditions++;
        const what = `${command} --${name}`;
        // What another command lacks never stands in the way.
        if (!condition.on.some((other) => Object.hasOwn(options, other))) {
          assert.ok(
            condition.holds({}),
            `${what} depends on ${condition.on}, which there is none of`,
          );
          continue;
        }
        const others = option.when.filter((other) => other !== condition).map((other) =>
          valuesWhere(options, other, true)
        );
        const beside = Object.assign({}, defaults, ...others);
        const idle = valuesWhere(options, condition, false);
        assert.ok(idle, `${what}: nothing leaves it without effect`);
        const told = idleOptions(options, { ...beside, ...idle }, [name]);
        assert.equal(told.length, 1, what);
        assert.match(told[0]!, new RegExp(`^--${name} has no effect: .*--\\w+`));
        const active = valuesWhere(options, condition, true);
        assert.ok(active, `${what}: nothing gives it an effect`);
        assert.deepEqual(idleOptions(options, { ...beside, ...active }, [name]), [], what);
      }
    }
  }
  assert.ok(conditions > 200, `${conditions} conditions`);
});

Deno.test("a command says which of its options have no effect, and cautions as TRL does", async () => {
  using place = temporary();
  const said = async (flags: Parameters<typeof smallOnlineRun>[1]) =>
    (await plumb(
      "grpo",
      smallOnlineRun(`${place.path}/out`, {
        dataset_name: fixture("trl/grpo/dataset.jsonl"),
        reward_funcs: rewards("evenTokens"),
        dry_run: true,
        per_device_train_batch_size: 2,
        num_generations: 2,
        max_completion_length: 4,
        ...flags,
      }),
    )).stderr;
  assert.match(
    await said({ sapo_temperature_pos: 2, sync_ref_model: true }),
    /--sapo_temperature_pos has no effect: --loss_type is dapo\.[^]*--sync_ref_model has no effect: --beta is 0\./,
  );
  assert.doesNotMatch(await said({ loss_type: "sapo", sapo_temperature_pos: 2 }), /no effect/);
  assert.match(
    await said({ loss_type: "luspo" }),
    /luspo is meant for --importance_sampling_level/,
  );
  assert.match(
    await said({ importance_sampling_level: "sequence" }),
    /--importance_sampling_level sequence with --loss_type dapo/,
  );
  assert.match(
    await said({ vllm_importance_sampling_clip_min: 4 }),
    /clip_min 4 must be below --vllm_importance_sampling_clip_max 3/,
  );
});
