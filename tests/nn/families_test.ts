import assert from "node:assert/strict";
import { UserError } from "../../core/mod.ts";
import { causalModel, type DecoderConfig } from "../../nn/mod.ts";
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

/** The window of each of the four layers. */
function windows(config: Readonly<Record<string, unknown>>): (number | null)[] {
  const { window, layers } = configOf(config);
  return Array.from({ length: layers }, (_, layer) => window(layer));
}

Deno.test("causalModel() refuses an unknown model_type and lists those it knows", () => {
  const message = refusal({ model_type: "bert" });
  for (const word of ['"bert"', "llama", "mistral", "qwen2", "qwen3"]) {
    assert.ok(message.includes(word), `${word} in: ${message}`);
  }
  assert.match(refusal({}), /model_type = undefined/);
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

Deno.test("activations other than SiLU are refused", () => {
  assert.match(refusal({ model_type: "llama", hidden_act: "gelu" }), /hidden_act = "gelu"/);
  configOf({ model_type: "llama", hidden_act: "silu" });
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

Deno.test("Mistral has one window in all layers", () => {
  const mistral = { model_type: "mistral", num_key_value_heads: 2 };
  assert.deepEqual(windows({ ...mistral, sliding_window: 12 }), [12, 12, 12, 12]);
  assert.deepEqual(windows({ ...mistral, sliding_window: null }), [null, null, null, null]);
  // The config class's default, where the key is absent.
  assert.deepEqual(windows(mistral), [4096, 4096, 4096, 4096]);
});

Deno.test("Llama has no window, whatever the config says", () => {
  assert.deepEqual(windows({ model_type: "llama", sliding_window: 12 }), [null, null, null, null]);
});

for (const model_type of ["qwen2", "qwen3"]) {
  Deno.test(`${model_type} has windows from max_window_layers on, or where layer_types says`, () => {
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
  });
}

Deno.test("the head is tied where the config says so, and by default is not", () => {
  for (const model_type of ["llama", "mistral", "qwen2", "qwen3"]) {
    const config = { model_type, num_key_value_heads: 2 };
    assert.equal(configOf(config).tied, false);
    assert.equal(configOf({ ...config, tie_word_embeddings: true }).tied, true);
    assert.equal(configOf({ ...config, tie_word_embeddings: false }).tied, false);
  }
});

Deno.test("biases and norms of queries and keys follow the family and its config", () => {
  const traits = (config: Readonly<Record<string, unknown>>) => {
    const c = configOf({ num_key_value_heads: 2, ...config });
    return [c.queryKeyValueBias, c.outputBias, c.mlpBias, c.queryKeyNorm];
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
  const { window, ...config } = causalModel(await readConfig("llama3_rope")).config;
  assert.equal(window(0), null);
  assert.deepEqual(config, {
    vocabularySize: 400,
    hiddenSize: 32,
    intermediateSize: 64,
    layers: 2,
    heads: 4,
    keyValueHeads: 2,
    headDim: 8,
    normEpsilon: 1e-6,
    rotary: {
      headDim: 8,
      theta: 10000,
      scaling: {
        type: "llama3",
        factor: 8,
        lowFrequencyFactor: 1,
        highFrequencyFactor: 4,
        originalMaxPositions: 64,
      },
    },
    tied: true,
    queryKeyValueBias: false,
    outputBias: false,
    mlpBias: false,
    queryKeyNorm: false,
    maxPositions: 512,
    initializerRange: 0.2,
  });
});
