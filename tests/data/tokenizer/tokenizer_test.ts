import assert from "node:assert/strict";
import { UserError } from "../../../core/errors.ts";
import { loadTokenizer } from "../../../data/tokenizer/tokenizer.ts";
import { copyTokenizerFiles, saveTokenizer } from "../../../data/tokenizer/tokenizer_files.ts";
import { fixture, plainTokenizer, readFixture } from "../fixture_files.ts";

interface Golden {
  readonly tokenizer: string;
  readonly vocab_size: number;
  readonly eos_token_id: number | null;
  readonly pad_token_id: number;
  readonly rows: readonly {
    readonly text: string;
    readonly ids: number[];
    readonly decoded: string;
    readonly decoded_skip_special: string;
    /** Where special tokens stand around every text. */
    readonly ids_without_special?: number[];
  }[];
}

for (const kind of ["llama3", "qwen", "gpt2", "wordpiece", "unigram"]) {
  Deno.test(`the ${kind} tokenizer encodes and decodes exactly as transformers`, async () => {
    const golden = await readFixture<Golden>(`golden/tokenizer_${kind}.json`);
    const tokenizer = await loadTokenizer(fixture(golden.tokenizer));
    assert.equal(tokenizer.vocabSize, golden.vocab_size);
    assert.equal(tokenizer.eosTokenId ?? null, golden.eos_token_id);
    assert.equal(tokenizer.padTokenId, golden.pad_token_id);
    for (const row of golden.rows) {
      assert.deepEqual(tokenizer.encode(row.text), row.ids, row.text);
      assert.equal(tokenizer.decode(row.ids), row.decoded);
      const skipped = tokenizer.decode(row.ids, { skipSpecialTokens: true });
      assert.equal(skipped, row.decoded_skip_special);
      const plain = tokenizer.encode(row.text, { addSpecialTokens: false });
      assert.deepEqual(plain, row.ids_without_special ?? row.ids, row.text);
    }
  });
}

for (const kind of ["llama3", "qwen", "gpt2"]) {
  Deno.test(`the token spans of the ${kind} tokenizer cover every text without a gap`, async () => {
    const golden = await readFixture<Golden>(`golden/tokenizer_${kind}.json`);
    const tokenizer = await loadTokenizer(fixture(golden.tokenizer));
    // Of a character that is composed, the library tells the place of its base alone.
    for (const { text } of golden.rows.filter(({ text }) => text.normalize("NFC") === text)) {
      const spans = tokenizer.spans(text);
      let covered = 0;
      for (const [start, end] of spans) {
        assert.ok(
          start <= covered && end >= covered,
          `${text}: ${start} … ${end} after ${covered}`,
        );
        covered = end;
      }
      assert.equal(covered, text.length, text);
    }
  });
}

Deno.test("text outside of the vocabulary is the unknown token, or refused with the text", async () => {
  const directory = Deno.makeTempDirSync();
  const load = (model: Readonly<Record<string, unknown>>) => {
    Deno.writeTextFileSync(`${directory}/tokenizer.json`, plainTokenizer(model));
    return loadTokenizer(directory);
  };
  const words = (vocab: Readonly<Record<string, number>>) =>
    load({ type: "WordLevel", unk_token: "<unk>", vocab });
  try {
    // As the tokenizers library has it.
    const { encode } = await words({ "<unk>": 0, good: 1, "bad": 2 });
    assert.deepEqual(encode("good ugly bad"), [1, 0, 2]);
    const refused = { name: "UserError", message: /cannot encode "good ugly/ };
    const without = await words({ good: 0, bad: 1 });
    assert.deepEqual(without.encode("good bad"), [0, 1]);
    assert.throws(() => without.encode("good ugly bad"), refused);
    const unigram = await load({ type: "Unigram", vocab: [["good", -1]], unk_id: null });
    assert.throws(() => unigram.encode("good ugly"), refused);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("a character that several tokens share is covered by each of them", async () => {
  const tokenizer = await loadTokenizer(fixture("models/llama"));
  const text = "a😀b";
  const spans = tokenizer.spans(text);
  assert.deepEqual(spans, [[0, 1], [1, 3], [1, 3], [1, 3], [1, 3], [3, 4]]);
});

Deno.test("token spans refer to the text before it was composed to NFC", async () => {
  const tokenizer = await loadTokenizer(fixture("models/qwen3"));
  const text = "e\u0301x";
  const ids = tokenizer.encode(text);
  assert.deepEqual(ids, tokenizer.encode("\u00e9x"));
  const spans = tokenizer.spans(text);
  // As Hugging Face's library has it.
  assert.deepEqual(spans, [[0, 1], [0, 1], [2, 3]]);
});

async function withCopy(action: (directory: string) => Promise<void>, change?: {
  readonly config?: Record<string, unknown>;
}) {
  const directory = await Deno.makeTempDir();
  try {
    await copyTokenizerFiles(fixture("models/llama"), directory);
    if (change?.config !== undefined) {
      await Deno.writeTextFile(
        `${directory}/tokenizer_config.json`,
        JSON.stringify(change.config),
      );
    }
    await action(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("the padding token falls back to the end-of-sequence token", async () => {
  await withCopy(async (directory) => {
    const tokenizer = await loadTokenizer(directory);
    assert.equal(tokenizer.padToken, "<|im_end|>");
    assert.equal(tokenizer.padTokenId, 2);
    assert.equal(tokenizer.bosToken, undefined);
  }, { config: { eos_token: { content: "<|im_end|>", lstrip: false } } });
});

Deno.test("tokens named by the caller replace the checkpoint's", async () => {
  const overrides = { eosToken: "<|endoftext|>", padToken: "<|im_start|>" };
  const tokenizer = await loadTokenizer(fixture("models/llama"), overrides);
  assert.equal(tokenizer.eosTokenId, 0);
  assert.equal(tokenizer.padTokenId, 1);
  assert.equal(tokenizer.specialTokens["eos_token"], "<|endoftext|>");
});

Deno.test("a token that is not in the vocabulary is refused and near ones are named", async () => {
  await assert.rejects(
    loadTokenizer(fixture("models/llama"), { eosToken: "<|im_ende|>" }),
    (error: Error) =>
      error instanceof UserError && /<\|im_ende\|>/.test(error.message) &&
      /Near it are: <\|im_end\|>/.test(error.message),
  );
});

Deno.test("a directory without tokenizer.json is refused by name", async () => {
  await assert.rejects(
    loadTokenizer(fixture("golden")),
    (error: Error) => error instanceof UserError && /No tokenizer\.json/.test(error.message),
  );
});

Deno.test("spaces are cleaned up only where transformers does it, never after BPE", async () => {
  await withCopy(async (directory) => {
    const tokenizer = await loadTokenizer(directory);
    const text = "Hello , world . It 's";
    assert.equal(tokenizer.decode(tokenizer.encode(text)), text);
  }, { config: { eos_token: "<|im_end|>", clean_up_tokenization_spaces: true } });
});

Deno.test("decoding nothing gives an empty text", async () => {
  const tokenizer = await loadTokenizer(fixture("models/llama"));
  assert.equal(tokenizer.decode([]), "");
  assert.equal(tokenizer.decode(new Int32Array()), "");
});

Deno.test("copied tokenizer files carry the changed tokens and template", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const chatTemplate = "{% for m in messages %}{{ m.content }}{% endfor %}";
    await copyTokenizerFiles(fixture("models/qwen2"), directory, {
      eosToken: "<|endoftext|>",
      padToken: "<|im_start|>",
      chatTemplate,
    });
    const copy = await loadTokenizer(directory);
    assert.equal(copy.eosToken, "<|endoftext|>");
    assert.equal(copy.padToken, "<|im_start|>");
    assert.equal(copy.chatTemplates.default, chatTemplate);
    const original = await loadTokenizer(fixture("models/qwen2"));
    assert.deepEqual(copy.encode("Grüße, 世界!"), original.encode("Grüße, 世界!"));
    const config = JSON.parse(await Deno.readTextFile(`${directory}/tokenizer_config.json`));
    assert.equal(config.chat_template, undefined);
    assert.equal(config.model_max_length, 512);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a saved tokenizer is the one that was used", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const used = await loadTokenizer(fixture("models/llama"), {
      eosToken: "<|endoftext|>",
      chatTemplatePath: fixture("models/llama/chat_template_training.jinja"),
    });
    await saveTokenizer(used, directory);
    const saved = await loadTokenizer(directory);
    assert.deepEqual(saved.specialTokens, used.specialTokens);
    assert.deepEqual(saved.chatTemplates, used.chatTemplates);
    assert.equal(saved.vocabSize, used.vocabSize);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

async function withDefinition(
  change: (definition: Record<string, unknown>) => void,
  action: (directory: string) => Promise<void>,
) {
  await withCopy(async (directory) => {
    const path = `${directory}/tokenizer.json`;
    const definition = JSON.parse(await Deno.readTextFile(path));
    change(definition);
    await Deno.writeTextFile(path, JSON.stringify(definition));
    await action(directory);
  });
}

Deno.test("added tokens cover the blanks that they take", async () => {
  const token = (id: number, content: string, lstrip: boolean) => ({
    id,
    content,
    lstrip,
    rstrip: !lstrip,
    single_word: false,
    normalized: false,
    special: true,
  });
  const addTokens = (definition: Record<string, unknown>) => {
    const added = definition["added_tokens"];
    assert.ok(Array.isArray(added));
    added.push(token(400, "<mask>", true), token(401, "<r>", false));
  };
  await withDefinition(addTokens, async (directory) => {
    const tokenizer = await loadTokenizer(directory);
    const text = "a  <mask> b<r>   c <mask>";
    const spans = tokenizer.spans(text);
    assert.deepEqual(spans, [[0, 1], [1, 9], [9, 11], [11, 17], [17, 18], [18, 25]]);
  });
});

Deno.test("trim_offsets takes blanks out of the spans, as in Hugging Face's tokenizers", async () => {
  const trim = (definition: Record<string, unknown>) => {
    definition["post_processor"] = {
      type: "ByteLevel",
      add_prefix_space: true,
      trim_offsets: true,
      use_regex: true,
    };
  };
  await withDefinition(trim, async (directory) => {
    const tokenizer = await loadTokenizer(directory);
    const spansOf = (text: string) => tokenizer.spans(text);
    const [there, lead] = [spansOf("Hi  there  "), spansOf("  lead\n x")];
    assert.deepEqual(there, [[0, 1], [1, 2], [3, 3], [4, 7], [7, 9], [10, 10], [11, 11]]);
    assert.deepEqual(lead, [[0, 0], [2, 3], [3, 4], [4, 6], [6, 7], [8, 8], [8, 9]]);
  });
});
