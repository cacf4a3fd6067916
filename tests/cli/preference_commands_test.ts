/** The preference, reward and distillation commands beyond what TRL recorded. */

import assert from "node:assert/strict";
import { fixture } from "../data/fixture_files.ts";
import {
  type PreferenceCommand,
  rowsOf,
  smallPreferenceRun,
  succeed,
  valuesOf,
} from "./preference_runs.ts";
import {
  digestOf,
  type Flags,
  namesIn,
  plumb,
  stateOf,
  temporary,
  weightsOf,
} from "./run_command.ts";

Deno.test("dpo minimises a loss of one's own", async () => {
  using place = temporary();
  const loss = new URL("../../examples/my_loss.ts", import.meta.url).pathname;
  const run = async (flags: Flags) =>
    (await succeed(
      "dpo",
      smallPreferenceRun("dpo", `${place.path}/out`, { max_steps: 6, ...flags }),
    ))
      .state;
  const own = await run({ loss });
  // No margin at first: softplus(2 / 0.5) · 0.5.
  const losses = valuesOf(own, "loss");
  assert.ok(Math.abs(losses[0]! - Math.log1p(Math.exp(4)) / 2) < 1e-4, `${losses[0]}`);
  assert.ok(losses.at(-1)! < losses[0]! / 2, `${losses}`);
  assert.equal(valuesOf(own, "rewards/accuracies").at(-1), 1);
  // A pair's loss does not depend on how a batch is cut.
  const cut = await run({ loss, per_device_train_batch_size: 2, gradient_accumulation_steps: 2 });
  valuesOf(cut, "loss").forEach((value, i) =>
    assert.ok(Math.abs(value - losses[i]!) < 1e-4, `${i}: ${value}, ${losses[i]}`)
  );
});

/** A run to its end, and one that was cut off at a checkpoint and went on. */
async function resumed(command: PreferenceCommand, changes: Flags): Promise<void> {
  using place = temporary();
  const flags = (name: string, more: Flags = {}) =>
    smallPreferenceRun(command, `${place.path}/${name}`, {
      max_steps: 6,
      save_strategy: "steps",
      save_steps: 3,
      ...changes,
      ...more,
    });
  const whole = await succeed(command, flags("whole"));
  await succeed(command, flags("cut"));
  Deno.removeSync(`${place.path}/cut/checkpoint-6`, { recursive: true });
  const rest = await succeed(command, flags("cut", { resume_from_checkpoint: true }));
  assert.match(rest.said, /Resuming from .*checkpoint-3 after step 3/);
  const history = ({ log_history }: typeof whole.state) =>
    log_history.map((row) =>
      Object.fromEntries(
        Object.entries(row).filter(([name]) => !/_runtime$|_per_second$/.test(name)),
      )
    );
  assert.deepEqual(history(rest.state), history(whole.state));
  const weights = (name: string) => digestOf(`${place.path}/${name}/model.safetensors`);
  assert.equal(weights("cut"), weights("whole"));
}

Deno.test("a reference that follows the policy (TR-DPO) goes on from a checkpoint", async () => {
  await resumed("dpo", { sync_ref_model: true, ref_model_sync_steps: 2 });
});

Deno.test("bco goes on from a checkpoint with its running δ", async () => {
  await resumed("bco", { per_device_train_batch_size: 2 });
});

Deno.test("dpo and kto go on from a checkpoint with the reference of the beginning", async () => {
  await resumed("dpo", { per_device_train_batch_size: 2 });
  await resumed("kto", {});
});

Deno.test("kto's reference can follow the policy too", async () => {
  using place = temporary();
  const rewards = async (sync_ref_model: boolean) => {
    const flags = smallPreferenceRun("kto", `${place.path}/out`, {
      sync_ref_model,
      ref_model_sync_steps: 2,
      ref_model_mixup_alpha: 1,
    });
    return valuesOf((await succeed("kto", flags)).state, "rewards/margins");
  };
  const [fixed, following] = [await rewards(false), await rewards(true)];
  assert.ok(Math.abs(fixed[1]! - following[1]!) < 1e-4, "nothing has moved before step 2");
  assert.ok(Math.abs(following[2]!) < 1e-4, "policy and reference are the same after it");
  assert.ok(Math.abs(fixed[2]!) > 0.1);
});

Deno.test("precompute_ref_log_probs keeps a file beside the data, and reuses it for the same model and tokens", async () => {
  using place = temporary();
  const dataset = `${place.path}/pairs.jsonl`;
  Deno.copyFileSync(rowsOf.dpo, dataset);
  const run = async (flags: Flags = {}) =>
    await succeed(
      "dpo",
      smallPreferenceRun("dpo", `${place.path}/out`, {
        dataset_name: dataset,
        precompute_ref_log_probs: true,
        ...flags,
      }),
    );
  const kept = () => namesIn(place.path).filter((name) => name.includes(".ref-"));
  const first = await run();
  assert.match(first.said, /computed once ahead/);
  assert.equal(kept().length, 1);
  assert.match(kept()[0]!, /^pairs\.jsonl\.ref-[0-9a-f]{16}\.safetensors$/);
  const again = await run();
  assert.match(again.said, /Reference log-probs are read from .*pairs\.jsonl\.ref-/);
  assert.doesNotMatch(again.said, /computed once ahead/);
  assert.deepEqual(valuesOf(again.state, "loss"), valuesOf(first.state, "loss"));
  await run({ max_length: 60 });
  assert.equal(kept().length, 2, "other tokens");
  await run({ ref_model_name_or_path: fixture("models/mistral") });
  assert.equal(kept().length, 3, "another model");
});

Deno.test("another checkpoint can be the reference", async () => {
  using place = temporary();
  const flags = smallPreferenceRun("dpo", `${place.path}/first`);
  const plain = (await succeed("dpo", flags)).state;
  const onward = (await succeed("dpo", {
    ...flags,
    model_name_or_path: `${place.path}/first`,
    ref_model_name_or_path: fixture("models/llama"),
    output_dir: `${place.path}/second`,
  })).state;
  assert.equal(valuesOf(plain, "rewards/margins")[0], 0);
  const margin = valuesOf(onward, "rewards/margins")[0]!;
  assert.ok(margin > valuesOf(plain, "rewards/margins").at(-1)!, `${margin}`);
});

Deno.test("evaluation reports a loss and accuracies for pairs, single answers and scores", async () => {
  const metrics = {
    dpo: ["eval_rewards/accuracies", "eval_rewards/margins", "eval_logps/chosen"],
    kto: ["eval_rewards/chosen", "eval_kl"],
    bco: ["eval_rewards/chosen"],
    orpo: ["eval_rewards/accuracies", "eval_log_odds_ratio"],
    cpo: ["eval_rewards/accuracies"],
    tpo: ["eval_rewards/accuracies"],
    reward: ["eval_accuracy", "eval_margin"],
    prm: ["eval_accuracy"],
    gkd: [],
  } satisfies Record<PreferenceCommand, string[]>;
  for (const command of Object.keys(metrics) as PreferenceCommand[]) {
    using place = temporary();
    Deno.mkdirSync(`${place.path}/data`);
    for (const split of ["train", "test"]) {
      Deno.copyFileSync(rowsOf[command], `${place.path}/data/${split}.jsonl`);
    }
    const { state } = await succeed(
      command,
      smallPreferenceRun(command, `${place.path}/out`, {
        dataset_name: `${place.path}/data`,
        max_steps: 4,
        learning_rate: 1e-3,
        eval_strategy: "steps",
        eval_steps: 4,
        eval_on_start: true,
        per_device_eval_batch_size: 4,
      }),
    );
    const [before, after] = valuesOf(state, "eval_loss");
    assert.ok(after! < before!, `${command}: ${before} ${after}`);
    for (const metric of metrics[command]) {
      const values = valuesOf(state, metric);
      assert.equal(values.length, 2, `${command} ${metric}`);
      assert.ok(values.every(Number.isFinite), `${command} ${metric}: ${values}`);
      if (/accurac/.test(metric)) assert.ok(values.every((x) => x >= 0 && x <= 1));
    }
  }
});

Deno.test("rows longer than all that are trained on are evaluated the same", async () => {
  using place = temporary();
  const rows = Deno.readTextFileSync(rowsOf.dpo).trim().split("\n")
    .toSorted((a, b) => a.length - b.length);
  const loss = async (name: string, train: readonly string[]) => {
    const data = `${place.path}/${name}`;
    Deno.mkdirSync(data);
    Deno.writeTextFileSync(`${data}/train.jsonl`, train.join("\n"));
    Deno.writeTextFileSync(`${data}/test.jsonl`, rows.at(-1)!);
    const { state } = await succeed(
      "dpo",
      smallPreferenceRun("dpo", `${place.path}/out`, {
        dataset_name: data,
        ref_model_name_or_path: fixture("models/mistral"),
        max_steps: 1,
        max_length: undefined,
        eval_strategy: "steps",
        eval_on_start: true,
      }),
    );
    return valuesOf(state, "eval_loss")[0]!;
  };
  const [short, long] = [await loss("short", rows.slice(0, 1)), await loss("long", rows)];
  assert.ok(Math.abs(short - long) < 1e-5 * long, `${short}, ${long}`);
});

Deno.test("show_data prints a row's prompt and what carries loss", async () => {
  const shown = {
    dpo: /chosen: \d+ \+ \d+ tokens\n[^⟦]+⟦[^⟧]+⟧\nrejected: \d+ \+ \d+ tokens\n[^⟦]+⟦[^⟧]+⟧/,
    kto: /(good|bad): \d+ \+ \d+ tokens\n[^⟦]+⟦[^⟧]+⟧/,
    tpo: /reference: \d+ \+ \d+ tokens\n[^⟦]+⟦[^⟧]+⟧/,
    reward: /chosen: .+\nrejected: /s,
    prm: /\d+ tokens, loss on the \d+ in ⟦…⟧/,
    gkd: /answer: \d+ \+ \d+ tokens\n[^⟦]+⟦[^⟧]+⟧/,
  } satisfies Partial<Record<PreferenceCommand, RegExp>>;
  for (const [command, pattern] of Object.entries(shown) as [PreferenceCommand, RegExp][]) {
    using output = temporary();
    const { said } = await succeed(
      command,
      smallPreferenceRun(command, output.path, { max_steps: 1, show_data: 1 }),
    );
    assert.match(said, pattern, command);
    assert.match(said, new RegExp(`: 4 rows, .*; 4 examples`), command);
  }
});

Deno.test("gkd brings a student nearer to its teacher", async () => {
  for (const beta of [0, 0.5, 1]) {
    using output = temporary();
    const { state } = await succeed(
      "gkd",
      smallPreferenceRun("gkd", output.path, { beta, max_steps: 12, learning_rate: 3e-3 }),
    );
    const losses = valuesOf(state, "loss");
    assert.ok(losses.at(-1)! < 0.8 * losses[0]!, `beta ${beta}: ${losses}`);
  }
});

Deno.test("a reward model begins with a causal one, and is saved as transformers would", async () => {
  using place = temporary();
  const cases = [
    ["reward", "LlamaForSequenceClassification", [["score.weight", 32]]],
    ["prm", "LlamaForTokenClassification", [["score.weight", 64], ["score.bias", 2]]],
  ] as const;
  for (const [command, architecture, heads] of cases) {
    const [first, second] = [`${place.path}/${command}`, `${place.path}/${command}-2`];
    const flags = smallPreferenceRun(command, first, { max_steps: 6, learning_rate: 1e-3 });
    const { state } = await succeed(command, flags);
    assert.deepEqual(stateOf(first), state);
    const config = JSON.parse(Deno.readTextFileSync(`${first}/config.json`));
    assert.deepEqual(config.architectures, [architecture]);
    if (command === "reward") assert.deepEqual(config.id2label, { "0": "LABEL_0" });
    const weights = await weightsOf(first);
    assert.equal(weights.has("lm_head.weight"), false);
    for (const [name, size] of heads) {
      assert.equal(weights.get(name)?.length, size, `${command} ${name}`);
    }
    // What was saved is where the next run begins.
    const { state: next } = await succeed(command, {
      ...flags,
      model_name_or_path: first,
      output_dir: second,
      max_steps: 1,
    });
    const [began, ended] = [valuesOf(state, "loss"), valuesOf(next, "loss")];
    assert.ok(ended[0]! < began.at(-1)!, `${command}: ${began} then ${ended}`);
  }
});

Deno.test("the commands are listed with their summaries, and each explains its options", async () => {
  const { stdout } = await plumb("help");
  for (const command of Object.keys(rowsOf)) {
    assert.match(stdout, new RegExp(`^  ${command} +[A-Z].*[.?]$`, "m"));
    const help = await plumb(command, { help: "" });
    assert.equal(help.code, 0);
    assert.match(help.stdout, /--learning_rate FLOAT/);
  }
});

Deno.test("dpo on an adapter says that it trains that one on, and what its reference is", async () => {
  using place = temporary();
  const flags = (output: string, changes: Flags) =>
    smallPreferenceRun("dpo", `${place.path}/${output}`, { max_steps: 1, ...changes });
  const begun = await succeed("dpo", flags("a", { use_peft: true, lora_r: 2 }));
  assert.match(begun.said, /The reference is the model without its adapter\./);
  const further = await succeed("dpo", flags("b", { model_name_or_path: `${place.path}/a` }));
  assert.match(further.said, /a is an adapter over .*llama: its weights are trained on\./);
  assert.match(further.said, /The reference is the model with the adapter as it is now/);
  const whole = await succeed("dpo", flags("c", {}));
  assert.doesNotMatch(whole.said, /adapter|The reference is/);
});
