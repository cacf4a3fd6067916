import assert from "node:assert/strict";
import { iota, leavesOf, randomKey, type Tensor, UserError } from "../../core/mod.ts";
import {
  type AttendOptions,
  causalModel,
  type Decoder,
  type DecoderConfig,
  decoderModel,
  type DecoderParams,
  initParameters,
  rotaryTable,
} from "../../nn/mod.ts";
import { llama } from "../../nn/families/llama.ts";
import { mistral } from "../../nn/families/mistral.ts";
import { qwen2 } from "../../nn/families/qwen2.ts";
import { qwen3 } from "../../nn/families/qwen3.ts";
import { eachDevice } from "../devices.ts";
import { readConfig } from "./golden.ts";

const small = {
  vocab_size: 64,
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 4,
  num_attention_heads: 4,
};

function configOf(config: Readonly<Record<string, unknown>>): DecoderConfig {
  return causalModel({ ...small, ...config }).config;
}

function refusal(config: Readonly<Record<string, unknown>>): string {
  try {
    configOf(config);
  } catch (error) {
    assert.ok(error instanceof UserError, String(error));
    return error.message;
  }
  assert.fail("was not refused");
}

/** How each of the layers attends. */
function attends<P extends DecoderParams, L>(decoder: Decoder<P, L>): AttendOptions[] {
  const params = initParameters(decoderModel(decoder), randomKey(0)) as P;
  const found: AttendOptions[] = [];
  const attend = (q: Tensor, _k: Tensor, _v: Tensor, how: AttendOptions = {}) => {
    found.push(how);
    return q.reshape(q.shape[0]!, -1);
  };
  const positions = iota(3);
  const rotary = decoder.rotary.map((config) => rotaryTable(config, 3));
  decoder.layers(params).forEach((layer, index) => {
    decoder.layer(layer, decoder.embed(params, positions), { index, positions, rotary, attend });
  });
  return found;
}

const llamas = { llama, mistral, qwen2, qwen3 };

/** The window of each of the four layers. */
function windows(
  config: Readonly<Record<string, unknown>> & { readonly model_type: keyof typeof llamas },
): (number | null)[] {
  const decoder = llamas[config.model_type]({ ...small, ...config });
  return attends(decoder).map(({ window }) => window ?? null);
}

/** Names of the parameters, those of the first layer without its number. */
function parameterNames(config: Readonly<Record<string, unknown>>): string[] {
  return leavesOf(causalModel({ ...small, ...config }).shapes())
    .map(([path]) => path.replace(/^model\.layers\.0\./, ""));
}

Deno.test("causalModel() refuses an unknown model_type and lists those it knows", () => {
  const message = refusal({ model_type: "bert" });
  for (const word of ['"bert"', "llama", "mistral", "qwen2", "qwen3"]) {
    assert.ok(message.includes(word), `${word} in: ${message}`);
  }
  assert.match(refusal({}), /has no model_type/);
  assert.match(refusal({ model_type: "constructor" }), /not supported/);
});

Deno.test("a config without a size it needs is refused by name", () => {
  for (const key of Object.keys(small)) {
    assert.match(
      refusal({ model_type: "llama", [key]: undefined }),
      new RegExp(`${key} = undefined`),
    );
    assert.match(refusal({ model_type: "llama", [key]: "8" }), new RegExp(`${key} = "8"`));
  }
});

Deno.test("sizes that are not positive integers are refused", () => {
  assert.match(refusal({ model_type: "llama", num_attention_heads: 0 }), /num_attention_heads = 0/);
  assert.match(refusal({ model_type: "llama", hidden_size: 31.5 }), /hidden_size = 31.5/);
  assert.match(refusal({ model_type: "llama", head_dim: -8 }), /head_dim = -8/);
});

Deno.test("heads that do not divide are refused", () => {
  assert.match(
    refusal({ model_type: "llama", num_key_value_heads: 3 }),
    /4 attention heads.*3 key\/value heads/,
  );
  assert.match(refusal({ model_type: "llama", head_dim: 7 }), /width 7/);
  assert.match(refusal({ model_type: "llama", num_attention_heads: 5 }), /hidden_size.*32.*5/);
});

Deno.test("activations that are not known are refused", () => {
  assert.match(refusal({ model_type: "llama", hidden_act: "mish" }), /hidden_act = "mish".*silu/);
  configOf({ model_type: "llama", hidden_act: "gelu" });
});

Deno.test("the width of a head defaults to hidden_size / heads, to 128 in Qwen 3", () => {
  for (const model_type of ["llama", "mistral", "qwen2"]) {
    const heads = { num_key_value_heads: 2 };
    assert.equal(configOf({ model_type, ...heads }).headDim, 8);
    assert.equal(configOf({ model_type, ...heads, head_dim: null }).headDim, 8);
    assert.equal(configOf({ model_type, ...heads, head_dim: 16 }).headDim, 16);
  }
  assert.equal(configOf({ model_type: "qwen3", num_key_value_heads: 2 }).headDim, 128);
  assert.equal(configOf({ model_type: "qwen3", num_key_value_heads: 2, head_dim: 16 }).headDim, 16);
});

Deno.test("key/value heads default to what transformers takes", () => {
  assert.equal(configOf({ model_type: "llama" }).keyValueHeads, 4);
  assert.equal(configOf({ model_type: "llama", num_key_value_heads: null }).keyValueHeads, 4);
  assert.equal(configOf({ model_type: "mistral", num_attention_heads: 16 }).keyValueHeads, 8);
  for (const model_type of ["qwen2", "qwen3"]) {
    const config = { model_type, hidden_size: 128, num_attention_heads: 64 };
    assert.equal(configOf(config).keyValueHeads, 32);
    assert.equal(configOf({ ...config, num_key_value_heads: null }).keyValueHeads, 64);
  }
});

eachDevice("Mistral has one window in all layers", () => {
  const mistral = { model_type: "mistral", num_key_value_heads: 2 } as const;
  assert.deepEqual(windows({ ...mistral, sliding_window: 12 }), [12, 12, 12, 12]);
  assert.deepEqual(windows({ ...mistral, sliding_window: null }), [null, null, null, null]);
  // The config class's default, where the key is absent.
  assert.deepEqual(windows(mistral), [4096, 4096, 4096, 4096]);
});

eachDevice("Llama has no window, whatever the config says", () => {
  assert.deepEqual(windows({ model_type: "llama", sliding_window: 12 }), [null, null, null, null]);
});

for (const model_type of ["qwen2", "qwen3"] as const) {
  eachDevice(
    `${model_type} has windows from max_window_layers on, or where layer_types says`,
    () => {
      const qwen = { model_type, num_key_value_heads: 2 };
      const none = [null, null, null, null];
      const on = { ...qwen, use_sliding_window: true };
      assert.deepEqual(windows(qwen), none);
      assert.deepEqual(windows({ ...qwen, sliding_window: 12 }), none);
      assert.deepEqual(windows({ ...on, sliding_window: 12 }), none);
      assert.deepEqual(windows({ ...on, sliding_window: null }), none);
      const late = [null, null, 12, 12];
      assert.deepEqual(windows({ ...on, sliding_window: 12, max_window_layers: 2 }), late);
      assert.deepEqual(windows({ ...on, max_window_layers: 2 }), [null, null, 4096, 4096]);
      const layer_types = [
        "sliding_attention",
        "full_attention",
        "sliding_attention",
        "full_attention",
      ];
      assert.deepEqual(
        windows({ ...on, sliding_window: 12, max_window_layers: 0, layer_types }),
        [12, null, 12, null],
      );
      for (
        const types of [["linear_attention", ...layer_types.slice(1)], layer_types.slice(1), "x"]
      ) {
        assert.match(refusal({ ...on, sliding_window: 12, layer_types: types }), /layer_types/);
      }
      // transformers has no window to give these layers, either.
      for (const off of [{ use_sliding_window: false }, { sliding_window: null }]) {
        assert.match(refusal({ ...on, layer_types, ...off }), /layer_types.*use_sliding_window/);
      }
      const full = layer_types.map(() => "full_attention");
      assert.deepEqual(windows({ ...qwen, sliding_window: 12, layer_types: full }), none);
    },
  );
}

Deno.test("the head is tied where the config says so, and by default is not", () => {
  for (const model_type of ["llama", "mistral", "qwen2", "qwen3"]) {
    const config = { model_type, num_key_value_heads: 2 };
    const tied = (tie_word_embeddings?: boolean) =>
      !parameterNames({ ...config, tie_word_embeddings }).includes("lm_head.weight");
    assert.deepEqual([tied(), tied(true), tied(false)], [false, true, false]);
  }
});

Deno.test("biases and norms of queries and keys follow the family and its config", () => {
  const traits = (config: Readonly<Record<string, unknown>>) => {
    const names = parameterNames({ num_key_value_heads: 2, ...config });
    return ["self_attn.k_proj.bias", "self_attn.o_proj.bias", "mlp.up_proj.bias"]
      .concat("self_attn.k_norm.weight")
      .map((name) => names.includes(name));
  };
  assert.deepEqual(traits({ model_type: "llama" }), [false, false, false, false]);
  assert.deepEqual(
    traits({ model_type: "llama", attention_bias: true }),
    [true, true, false, false],
  );
  assert.deepEqual(traits({ model_type: "llama", mlp_bias: true }), [false, false, true, false]);
  assert.deepEqual(traits({ model_type: "mistral" }), [false, false, false, false]);
  assert.deepEqual(traits({ model_type: "qwen2" }), [true, false, false, false]);
  assert.deepEqual(traits({ model_type: "qwen3" }), [false, false, false, true]);
  assert.deepEqual(
    traits({ model_type: "qwen3", attention_bias: true }),
    [true, true, false, true],
  );
});

Deno.test("a whole config.json is read", async () => {
  assert.deepEqual(llama(await readConfig("llama3_rope")).rotary, [{
    width: 8,
    theta: 10000,
    scaling: {
      type: "llama3",
      factor: 8,
      lowFrequencyFactor: 1,
      highFrequencyFactor: 4,
      originalMaxPositions: 64,
    },
  }]);
  assert.deepEqual(causalModel(await readConfig("llama3_rope")).config, {
    vocabularySize: 400,
    hiddenSize: 32,
    layers: 2,
    heads: 4,
    keyValueHeads: 2,
    headDim: 8,
    learnedPositions: false,
    maxPositions: 512,
    initializerRange: 0.2,
  });
});
