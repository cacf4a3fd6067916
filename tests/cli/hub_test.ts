/** Commands that are given names in the place of paths, against a Hub on loopback and with an empty cache. @module */

import assert from "node:assert/strict";
import { fixture } from "../data/fixture_files.ts";
import { commit, type FakeHub, type FakeRepository, startHub } from "../data/hub/fake_hub.ts";
import { smallOnlineRun } from "./online_runs.ts";
import { smallPreferenceRun } from "./preference_runs.ts";
import {
  digestOf,
  type Flags,
  namesIn,
  plumb,
  refusalOf,
  smallRun,
  temporary,
} from "./run_command.ts";

/** The files of a directory as a repository, with what should not be fetched beside them. */
function repositoryOf(
  directory: string,
  changes: FakeRepository["files"] = {},
): FakeRepository {
  const files = namesIn(directory).map((name) =>
    [name, Deno.readFileSync(`${directory}/${name}`)] as const
  );
  return {
    files: {
      ...Object.fromEntries(files),
      "README.md": "# A model",
      "pytorch_model.bin": "the same again",
      "tf_model.h5": "and again",
      "original/consolidated.00.pth": "and again",
      "onnx/model.onnx": "and again",
      ...changes,
    },
    largeFrom: 100_000,
    branches: ["v2"],
  };
}

const adapterConfig = JSON.parse(
  Deno.readTextFileSync(fixture("adapters/llama_lora/adapter_config.json")),
);

const trainRows = '{"text": "one row"}\n{"text": "another row"}\n'.repeat(8);
const pairRows = '{"prompt": "a", "chosen": " good", "rejected": " bad"}\n'.repeat(4);
const rowsCard = "---\nconfigs:\n- config_name: main\n  data_files:\n  - split: train_sft\n" +
  "    path: rows/a.jsonl\n  - split: test_sft\n    path: rows/b.jsonl\n---\n";

/** Runs `body` with a Hub and a cache of its own in the environment. */
async function withHub(
  body: (hub: FakeHub, home: string) => Promise<void>,
  env: Readonly<Record<string, string>> = {},
): Promise<void> {
  await using hub = startHub({
    "org/tiny": repositoryOf(fixture("models/llama")),
    "org/judge": repositoryOf(fixture("models/llama_reward")),
    "org/adapter": repositoryOf(fixture("adapters/llama_lora"), {
      "adapter_config.json": JSON.stringify({
        ...adapterConfig,
        base_model_name_or_path: "org/tiny",
      }),
      "config.json": "{}",
    }),
    "org/gated": { ...repositoryOf(fixture("models/llama")), gated: true, token: "hf_right" },
    "datasets/org/rows": {
      files: { "README.md": rowsCard, "rows/a.jsonl": trainRows, "rows/b.jsonl": "{}" },
    },
    "datasets/org/pairs": { files: { "train.jsonl": pairRows } },
    "org/running": { files: { "model.gguf": "GGUF", "config.json": "{}" } },
  });
  using home = temporary();
  const set = { HF_HOME: home.path, HF_ENDPOINT: hub.endpoint, ...env };
  const before = Object.keys(set).map((name) => [name, Deno.env.get(name)] as const);
  for (const [name, value] of Object.entries(set)) Deno.env.set(name, value);
  try {
    await body(hub, home.path);
  } finally {
    for (const [name, value] of before) {
      value === undefined ? Deno.env.delete(name) : Deno.env.set(name, value);
    }
  }
}

/** Paths of the files that were fetched of the Hub. */
function fetched(hub: FakeHub): string[] {
  return hub.requests.flatMap(({ path }) => path.match(/^\/(.*)\/resolve\/[^/]+\/(.*)$/) ?? [])
    .filter((_, i) => i % 3 !== 0)
    .reduce<string[]>((paths, part, i) => {
      if (i % 2 === 0) paths.push(part);
      else paths[paths.length - 1] += ` ${part}`;
      return paths;
    }, []);
}

async function succeeds(command: string, flags: Flags): Promise<string> {
  const { code, stderr } = await plumb(command, flags);
  assert.equal(code, 0, stderr);
  return stderr;
}

Deno.test("sft trains a model by its name from an empty cache, fetches what is needed, and again without the network", async () => {
  await withHub(async (hub) => {
    using out = temporary();
    const run = { model_name_or_path: "org/tiny", max_steps: 1 };
    const said = await succeeds("sft", smallRun(`${out.path}/a`, run));
    assert.match(said, /Downloading org\/tiny: 6 files, 1\d\d KiB\.\nDownloaded org\/tiny: /);
    assert.deepEqual(
      fetched(hub).sort(),
      [
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
      ].map((file) => `org/tiny ${file}`),
    );
    await succeeds("sft", smallRun(`${out.path}/local`, { max_steps: 1 }));
    assert.equal(
      digestOf(`${out.path}/a/model.safetensors`),
      digestOf(`${out.path}/local/model.safetensors`),
    );
    Deno.env.set("HF_HUB_OFFLINE", "1");
    try {
      const before = hub.requests.length;
      await succeeds("sft", smallRun(`${out.path}/b`, run));
      assert.equal(hub.requests.length, before, "offline nothing is asked");
      assert.match(
        await refusalOf("sft", smallRun(`${out.path}/c`, { model_name_or_path: "org/other" })),
        /The model "org\/other" is not in the cache .*HF_HUB_OFFLINE/,
      );
      assert.match(
        await refusalOf("sft", smallRun(`${out.path}/c`, { dataset_name: "org/other" })),
        /The dataset "org\/other" is not in the cache .*HF_HUB_OFFLINE/,
      );
    } finally {
      Deno.env.delete("HF_HUB_OFFLINE");
    }
  });
});

Deno.test("dpo, reward and grpo take names for the model, the reference, the judge and the tokenizer", async () => {
  await withHub(async (hub) => {
    using out = temporary();
    const model = { model_name_or_path: "org/tiny", max_steps: 1 };
    await succeeds(
      "dpo",
      smallPreferenceRun("dpo", `${out.path}/dpo`, {
        ...model,
        ref_model_name_or_path: "org/tiny@v2",
        tokenizer_name: undefined,
      }),
    );
    await succeeds("reward", smallPreferenceRun("reward", `${out.path}/reward`, model));
    await succeeds(
      "gkd",
      smallPreferenceRun("gkd", `${out.path}/gkd`, {
        ...model,
        teacher_model_name_or_path: "org/tiny",
      }),
    );
    await succeeds(
      "grpo",
      smallOnlineRun(`${out.path}/grpo`, {
        ...model,
        dataset_name: fixture("trl/dpo-sigmoid/dataset.jsonl"),
        reward_funcs: ["org/judge", "org/judge@v2:LABEL_0"],
        num_generations: 2,
        per_device_train_batch_size: 2,
        max_completion_length: 4,
      }),
    );
    assert.ok(fetched(hub).includes("org/judge model.safetensors"));
    assert.equal(
      fetched(hub).filter((file) => file === "org/tiny model.safetensors").length,
      1,
      "what is there is not fetched again",
    );
    const [first] = JSON.parse(Deno.readTextFileSync(`${out.path}/grpo/trainer_state.json`))
      .log_history;
    assert.ok("rewards/judge/mean" in first, Object.keys(first).join());
  });
});

Deno.test("an adapter by its name brings its base, and a fresh one names its base as it was named", async () => {
  await withHub(async (hub) => {
    using out = temporary();
    const output = `${out.path}/merged`;
    await succeeds("merge", { model_name_or_path: "org/adapter", output_dir: output });
    assert.deepEqual(
      fetched(hub).filter((file) => /safetensors|bin/.test(file)).sort(),
      ["org/adapter adapter_model.safetensors", "org/tiny model.safetensors"],
    );
    const peft = { model_name_or_path: "org/tiny", use_peft: true, max_steps: 1 };
    await succeeds("sft", smallRun(`${out.path}/lora`, { ...peft, model_revision: "v2" }));
    const config = JSON.parse(Deno.readTextFileSync(`${out.path}/lora/adapter_config.json`));
    assert.equal(config.base_model_name_or_path, "org/tiny");
    assert.equal(config.revision, "v2");
    // And from there on.
    const onwards = { model_name_or_path: `${out.path}/lora`, max_steps: 1 };
    await succeeds("sft", smallRun(`${out.path}/onwards`, onwards));
    const next = JSON.parse(Deno.readTextFileSync(`${out.path}/onwards/adapter_config.json`));
    assert.deepEqual([next.base_model_name_or_path, next.revision], ["org/tiny", "v2"]);
  });
});

Deno.test("a dry run of a name reads shapes by their headers and fetches no weights", async () => {
  await withHub(async (hub) => {
    using out = temporary();
    const run = { model_name_or_path: "org/tiny", dry_run: true };
    const said = await succeeds("sft", smallRun(`${out.path}/a`, run));
    const whole = await succeeds(
      "sft",
      smallRun(`${out.path}/a`, { ...run, model_name_or_path: fixture("models/llama") }),
    );
    const memory = /Memory of a step by plan.*/;
    assert.equal(memory.exec(said)![0], memory.exec(whole)![0]);
    const weights = hub.requests.filter(({ path }) => /[0-9a-f]{64}$/.test(path));
    assert.deepEqual(weights.map(({ range }) => range), ["bytes=0-65535"]);
    // Zeros in the place of weights are never trained.
    await succeeds("sft", smallRun(`${out.path}/b`, { ...run, dry_run: false, max_steps: 1 }));
    await succeeds("sft", smallRun(`${out.path}/c`, { max_steps: 1 }));
    assert.equal(
      digestOf(`${out.path}/b/model.safetensors`),
      digestOf(`${out.path}/c/model.safetensors`),
    );
  });
});

Deno.test("what cannot be had is told before the work, and paths are never asked for on the Hub", async () => {
  await withHub(async (hub) => {
    using out = temporary();
    const refusal = async (name: string, more: Flags = {}) =>
      await refusalOf("sft", smallRun(`${out.path}/x`, { model_name_or_path: name, ...more }));
    assert.match(await refusal("org/none"), /There is no model "org\/none" on the Hub/);
    assert.match(await refusal("org/gated"), /is gated: ask for access at .*\/org\/gated\. Log in/);
    assert.match(await refusal("org/tiny@v9"), /has no revision "v9"/);
    assert.match(
      await refusal("org/tiny", { model_revision: "v9" }),
      /"org\/tiny" has no revision "v9"/,
    );
    assert.match(await refusal("org/running"), /no weights.*It has model\.gguf\. GGUF/);
    const before = hub.requests.length;
    for (
      const path of ["./org/tiny", "../tiny", "/org/tiny", "org/tiny/", "org\\tiny", "a/b/c", "~/x"]
    ) {
      assert.match(await refusal(path), /Cannot find|no such|no local/, path);
    }
    assert.match(await refusal("cli/nothing"), /"cli" is.*cli\/nothing@main/);
    assert.equal(hub.requests.length, before);
    assert.match(
      await refusalOf(
        "grpo",
        smallOnlineRun(`${out.path}/y`, {
          dataset_name: fixture("trl/dpo-sigmoid/dataset.jsonl"),
          reward_funcs: "org/none",
        }),
      ),
      /There is no model "org\/none" on the Hub/,
    );
  });
});

Deno.test("chat and generate talk with a model by its name and revision", async () => {
  await withHub(async (hub) => {
    using out = temporary();
    Deno.writeTextFileSync(`${out.path}/prompts.txt`, "Hello\n");
    const said = await plumb("generate", {
      model_name_or_path: "org/adapter",
      prompts: `${out.path}/prompts.txt`,
      device: "cpu",
      max_new_tokens: 3,
    });
    assert.equal(said.code, 0, said.stderr);
    assert.equal(JSON.parse(said.stdout).completion_tokens, 3);
    await succeeds("generate", {
      model_name_or_path: `org/tiny@${commit}`,
      chat_template_path: "org/judge",
      prompts: `${out.path}/prompts.txt`,
      device: "cpu",
      max_new_tokens: 1,
    });
    assert.ok(fetched(hub).includes("org/judge chat_template.jinja"));
    assert.ok(!fetched(hub).includes("org/judge model.safetensors"));
  });
});

Deno.test("sft trains on a dataset by its name as on the same rows in a file", async () => {
  await withHub(async (hub) => {
    using out = temporary();
    Deno.writeTextFileSync(`${out.path}/rows.jsonl`, trainRows);
    const run = { dataset_name: "org/rows", dataset_train_split: "train_sft[:50%]", max_steps: 1 };
    await succeeds("sft", smallRun(`${out.path}/a`, { ...run, dataset_config: "main" }));
    const here = { ...run, dataset_name: `${out.path}/rows.jsonl` };
    await succeeds("sft", smallRun(`${out.path}/b`, { ...here, dataset_train_split: "train[:8]" }));
    assert.equal(
      digestOf(`${out.path}/a/model.safetensors`),
      digestOf(`${out.path}/b/model.safetensors`),
    );
    assert.deepEqual(fetched(hub).map((path) => path.split(" ")[1]), ["README.md", "rows/a.jsonl"]);
    assert.match(
      await refusalOf("sft", smallRun(`${out.path}/c`, { dataset_name: "org/rows" })),
      /no split "train".*train_sft, test_sft/,
    );
    assert.match(
      await refusalOf("sft", smallRun(`${out.path}/c`, { dataset_config: "main" })),
      /has no config "main"/,
    );
  });
});

Deno.test("a reference computed ahead for a dataset by its name leaves nothing in the working directory", async () => {
  await withHub(async () => {
    using out = temporary();
    const run = { dataset_name: "org/pairs", precompute_ref_log_probs: true, max_steps: 1 };
    const said = await succeeds("dpo", smallRun(`${out.path}/a`, run));
    assert.match(said, /not kept for later runs: org\/pairs is no local file/);
  });
});
