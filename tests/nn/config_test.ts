import assert from "node:assert/strict";
import { UserError } from "../../core/mod.ts";
import {
  causalModel,
  configPath,
  encoderDecoder,
  type HuggingFaceConfig,
  paddingIdOf,
  sequenceClassifier,
  writtenAsFloats,
} from "../../nn/mod.ts";
import { readFixture } from "../data/fixture_files.ts";

const path = "somewhere/config.json";

/** What a config of a fixture model with changes is refused with. */
async function refusal(
  name: string,
  changes: Record<string | symbol, unknown>,
): Promise<string> {
  const config: HuggingFaceConfig = {
    ...await readFixture<Record<string, unknown>>(`models/${name}/config.json`),
    ...changes,
    [configPath]: path,
  };
  const open = name === "t5"
    ? encoderDecoder
    : name === "distilbert"
    ? (config: HuggingFaceConfig) => sequenceClassifier(config, 2)
    : causalModel;
  try {
    open(config).shapes();
  } catch (error) {
    assert.ok(error instanceof UserError, `${name} ${JSON.stringify(changes)}: ${error}`);
    return error.message;
  }
  assert.fail(`${name} takes ${JSON.stringify(changes)}`);
}

/** Keys of sizes, layers, heads, epsilons and deviations by family. */
const keys: Readonly<Record<string, readonly string[]>> = {
  llama: [
    "vocab_size hidden_size intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "rms_norm_eps",
    "initializer_range",
  ],
  mistral: [
    "vocab_size hidden_size sliding_window",
    "num_hidden_layers",
    "num_attention_heads",
    "rms_norm_eps",
    "initializer_range",
  ],
  qwen2: [
    "vocab_size hidden_size intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "rms_norm_eps",
    "initializer_range",
  ],
  qwen3: [
    "vocab_size hidden_size head_dim",
    "num_hidden_layers",
    "num_attention_heads",
    "rms_norm_eps",
    "initializer_range",
  ],
  phi3: [
    "vocab_size hidden_size intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "rms_norm_eps",
    "initializer_range",
  ],
  gemma3_text: [
    "vocab_size hidden_size head_dim",
    "num_hidden_layers",
    "num_attention_heads",
    "rms_norm_eps",
    "initializer_range",
  ],
  gpt2: [
    "vocab_size n_embd n_positions",
    "n_layer",
    "n_head",
    "layer_norm_epsilon",
    "initializer_range",
  ],
  gptj: [
    "vocab_size n_embd rotary_dim",
    "n_layer",
    "n_head",
    "layer_norm_epsilon",
    "initializer_range",
  ],
  gpt_neox: [
    "vocab_size hidden_size intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "layer_norm_eps",
    "initializer_range",
  ],
  opt: [
    "vocab_size hidden_size ffn_dim",
    "num_hidden_layers",
    "num_attention_heads",
    "",
    "init_std",
  ],
  t5: [
    "vocab_size d_model d_kv d_ff",
    "num_layers",
    "num_heads",
    "layer_norm_epsilon",
    "initializer_factor",
  ],
  distilbert: ["vocab_size dim hidden_dim", "n_layers", "n_heads", "", "initializer_range"],
};

for (const [name, [sizes, layers, heads, epsilon, deviation]] of Object.entries(keys)) {
  Deno.test(`${name}: values of the wrong type or range are refused with their file and key`, async () => {
    const refuses = async (key: string, values: readonly unknown[]) => {
      for (const value of values) {
        const message = await refusal(name, { [key]: value });
        assert.ok(message.startsWith(`${path} has `), message);
        assert.ok(message.includes(`${key} = ${JSON.stringify(value)}`), message);
      }
    };
    for (const key of sizes!.split(" ")) {
      await refuses(key, [0, -8, 1.5, "32", true, [32], {}, 2 ** 53, 1e300]);
    }
    await refuses(layers!, [0, -1, 2 ** 53, 1e6, "2"]);
    await refuses(heads!, [0, "4", 2 ** 40]);
    if (name !== "t5") assert.match(await refusal(name, { [heads!]: 7 }), /somewhere.*\b7\b/);
    if (epsilon) await refuses(epsilon, [-1e-6, "1e-6", []]);
    await refuses(deviation!, [-0.02, "0.02"]);
    await refuses("pad_token_id", ["0", 1.5, [0]]);
    await refuses("eos_token_id", ["</s>", [1, "2"], 0.5, {}]);
    if (name !== "distilbert") await refuses("tie_word_embeddings", ["true", 1]);
  });
}

Deno.test("rotary parameters of the wrong type or range are refused with their file and key", async () => {
  const refuses = async (name: string, changes: Record<string, unknown>, pattern: RegExp) => {
    const plain = { rope_scaling: null, rope_parameters: null, ...changes };
    assert.match(await refusal(name, plain), pattern);
  };
  for (const name of ["llama", "qwen3", "phi3", "gpt_neox", "mistral"]) {
    await refuses(
      name,
      { rope_parameters: [1] },
      /^somewhere\/config\.json has rope_parameters = \[1\], but an object/,
    );
    await refuses(name, { rope_scaling: "linear" }, /rope_scaling = "linear", but an object/);
    await refuses(name, { rope_theta: null }, /rope_theta = null, but a number is/);
    await refuses(name, { rope_theta: -1 }, /has rope_theta = -1, but a number from 1/);
    await refuses(
      name,
      { rope_parameters: { rope_theta: "1e4" } },
      /rope_parameters\.rope_theta = "1e4"/,
    );
    // Two rotated features have no exponent for dynamic.
    const types = ["linear", "yarn", "llama3", ...(name === "gpt_neox" ? [] : ["dynamic"])];
    for (const type of types) {
      const of = (factor: unknown) => ({ rope_scaling: { rope_type: type, factor } });
      await refuses(name, of(-2), /rope_scaling\.factor = -2, but a number above 0/);
      await refuses(name, of("8"), /rope_scaling\.factor = "8"/);
      const without = { rope_scaling: { rope_type: type } };
      await refuses(name, without, /rope_scaling\.factor = undefined/);
    }
    await refuses(
      name,
      { rope_parameters: { rope_type: 7 } },
      /rope_parameters\.rope_type = 7, but one of default/,
    );
  }
  await refuses(
    "gemma3_text",
    { rope_parameters: { full_attention: [] } },
    /full_attention = \[\], but an object/,
  );
  await refuses("gpt_neox", { rotary_pct: 2 }, /rotary_pct = 2, but a number above 0 to 1/);
});

Deno.test("windows, limits and other switches of families are checked too", async () => {
  const cases: readonly [string, Record<string, unknown>][] = [
    ["mistral", { sliding_window: -1 }],
    ["qwen2", { use_sliding_window: true, sliding_window: "4" }],
    ["qwen3", { layer_types: ["full"] }],
    ["gemma3_text", { query_pre_attn_scalar: 0 }],
    ["gemma3_text", { final_logit_softcapping: -30 }],
    ["llama", { hidden_act: 5 }],
    ["llama", { hidden_act: "constructor" }],
    ["llama", { attention_dropout: -0.5 }],
    ["gpt2", { resid_pdrop: 1.5 }],
    ["gpt2", { scale_attn_weights: "yes" }],
    ["qwen2", { use_sliding_window: "no" }],
    ["llama", { use_cache: 1 }],
    ["opt", { layerdrop: "0" }],
    ["llama", { pretraining_tp: "x" }],
    ["gptj", { rotary_dim: 5 }],
    ["opt", { pad_token_id: 1e6 }],
    ["llama", { pad_token_id: -1e6 }],
  ];
  for (const [name, changes] of cases) {
    const [key] = Object.keys(changes).slice(-1);
    const message = await refusal(name, changes);
    assert.ok(message.startsWith(path) && message.includes(key!), message);
  }
});

Deno.test("fields that only describe a model are checked too", async () => {
  const wrong: Readonly<Record<string, readonly unknown[]>> = {
    architectures: ["", [["LlamaForCausalLM"]], 1],
    dtype: [1, "float32x", "FLOAT32", []],
    torch_dtype: ["float32x"],
    transformers_version: [1, false, ["5"]],
    sliding_window: [{}, 2.5, "4"],
    id2label: [[], { a: "b" }],
    label2id: [{ a: "b" }],
    problem_type: ["guessing"],
    layer_types: ["full_attention", [1]],
  };
  for (const [name, values] of Object.entries(wrong)) {
    for (const value of values) {
      const message = await refusal("llama", { [name]: value });
      assert.match(message, new RegExp(`^${path} has ${name} = `));
    }
  }
});

Deno.test("numbers are refused that a file writes as the wrong kind", async () => {
  const written = (...names: string[]) => ({ [writtenAsFloats]: new Set(names) });
  for (const name of ["hidden_size", "num_attention_heads", "eos_token_id", "head_dim"]) {
    assert.match(await refusal("llama", written(name, "rms_norm_eps")), /without a decimal point/);
  }
  const changes = { ...written(), rms_norm_eps: 1 };
  assert.match(await refusal("llama", changes), /rms_norm_eps = 1, but .* decimal point/);
});

Deno.test("sizes that are possible one by one, and not together, are refused", async () => {
  const sizes = { hidden_size: 2 ** 31 - 8, intermediate_size: 2 ** 31 - 1 };
  assert.match(await refusal("llama", sizes), /a parameter of shape \[\d+, \d+\], which is more/);
});

Deno.test("negative ids of padding count from the end, as PyTorch's do", () => {
  assert.equal(paddingIdOf({ vocab_size: 10, pad_token_id: -1 }), 9);
  assert.equal(paddingIdOf({ vocab_size: 10, pad_token_id: 9 }), 9);
  assert.equal(paddingIdOf({ vocab_size: 10, pad_token_id: null }, 3), null);
  assert.equal(paddingIdOf({ vocab_size: 10 }, 3), 3);
});

Deno.test("fields that transformers takes no null for are refused with null, others are as if they were not there", async () => {
  const refused: readonly [string, string][] = [
    ["gpt2", "resid_pdrop"],
    ["opt", "enable_bias"],
    ["phi3", "rms_norm_eps"],
    ["mistral", "num_key_value_heads"],
    ["t5", "feed_forward_proj"],
  ];
  for (const [family, name] of refused) {
    assert.match(await refusal(family, { [name]: null }), new RegExp(`has ${name} = null, but`));
  }
  const config = {
    ...await readFixture<Record<string, unknown>>("models/llama/config.json"),
    num_key_value_heads: null,
    head_dim: null,
    sliding_window: null,
  };
  assert.ok(causalModel(config).shapes());
});
