import assert from "node:assert/strict";
import { UserError } from "../../../core/errors.ts";
import {
  type Message,
  renderChat,
  tokenizeChat,
  tokenizeChatWithMask,
} from "../../../data/chat/chat_template.ts";
import { compileTemplate } from "../../../data/jinja/render.ts";
import { TemplateError } from "../../../data/jinja/errors.ts";
import { loadTokenizer } from "../../../data/tokenizer/tokenizer.ts";
import { fixture, readFixture } from "../fixture_files.ts";

interface JinjaGolden {
  readonly messages: unknown;
  readonly context: Record<string, unknown>;
  readonly rows: readonly {
    readonly name: string;
    readonly template: string;
    readonly text?: string;
    readonly error?: string;
  }[];
}

Deno.test("templates render exactly as in transformers' Jinja", async () => {
  const golden = await readFixture<JinjaGolden>("golden/jinja.json");
  for (const { name, template, text, error } of golden.rows) {
    const render = () =>
      compileTemplate(template).render({ messages: golden.messages, ...golden.context }).text;
    if (error === undefined) assert.equal(render(), text, name);
    else assert.throws(render, (thrown: Error) => `${thrown.name}: ${thrown.message}` === error);
  }
});

interface PythonGolden {
  readonly context: Record<string, unknown>;
  readonly rows: readonly { readonly template: string; readonly text?: string }[];
}

Deno.test("values print, compare and convert as in Python, and errors are errors", async () => {
  const golden = await readFixture<PythonGolden>("golden/jinja_python.json");
  for (const { template, text } of golden.rows) {
    const render = () => compileTemplate(template).render(golden.context).text;
    if (text === undefined) assert.throws(render, TemplateError, template);
    else assert.equal(render(), text, template);
  }
});

interface ChatGolden {
  readonly tokenizer: string;
  readonly rows: readonly {
    readonly messages: Message[];
    readonly options: {
      readonly add_generation_prompt?: boolean;
      readonly continue_final_message?: boolean;
      readonly tools?: unknown[];
    };
    readonly text?: string;
    readonly ids?: number[];
    readonly error?: string;
  }[];
  readonly training_template: string;
  readonly training: readonly {
    readonly messages: Message[];
    readonly text: string;
    readonly ids: number[];
    readonly assistant_masks: number[];
  }[];
}

for (const kind of ["llama3", "qwen"]) {
  Deno.test(`conversations of the ${kind} kind become the text and ids of transformers`, async () => {
    const golden = await readFixture<ChatGolden>(`golden/chat_${kind}.json`);
    const tokenizer = await loadTokenizer(fixture(golden.tokenizer));
    for (const { messages, options, text, ids, error } of golden.rows) {
      const chat = () =>
        tokenizeChat(tokenizer, messages, {
          addGenerationPrompt: options.add_generation_prompt ?? false,
          continueFinalMessage: options.continue_final_message ?? false,
          tools: options.tools ?? null,
        });
      if (error === undefined) assert.deepEqual(chat(), { text, inputIds: ids });
      else {
        assert.throws(
          chat,
          (thrown: Error) => thrown instanceof UserError && thrown.message.includes(error),
        );
      }
    }
  });

  Deno.test(`the assistant's tokens of the ${kind} kind are those of transformers`, async () => {
    const golden = await readFixture<ChatGolden>(`golden/chat_${kind}.json`);
    const chatTemplatePath = fixture(`${golden.tokenizer}/${golden.training_template}`);
    const tokenizer = await loadTokenizer(fixture(golden.tokenizer), { chatTemplatePath });
    for (const { messages, text, ids, assistant_masks } of golden.training) {
      const chat = tokenizeChatWithMask(tokenizer, messages);
      assert.equal(chat.text, text);
      assert.deepEqual(chat.inputIds, ids);
      assert.deepEqual(Array.from(chat.assistantMask), assistant_masks);
    }
  });
}

const render = (template: string, variables: Record<string, unknown> = {}) =>
  compileTemplate(template).render(variables).text;

Deno.test("None is a value, an absent variable is not", () => {
  assert.equal(render("{{ x is none }} {{ x is defined }} {{ x }}", { x: null }), "True True None");
  assert.equal(render("{{ x is none }} {{ x is defined }}{{ x }}"), "False False");
  assert.equal(render("{{ d.get('a', 1) }} {{ d.a is defined }}", { d: { a: null } }), "None True");
});

Deno.test("texts are counted in code points", () => {
  const text = "a😀é";
  assert.equal(
    render("{{ s|length }} {{ s[1] }} {{ s[::-1] }} {{ s.find('é') }}", { s: text }),
    "3 😀 é😀a 2",
  );
});

Deno.test("tojson writes what Python's json.dumps writes", () => {
  const data = { a: [1, 2.5, "é\n"], b: {}, c: [], d: null };
  assert.equal(
    render("{{ d|tojson }}", { d: data }),
    '{"a": [1, 2.5, "é\\n"], "b": {}, "c": [], "d": null}',
  );
  assert.equal(
    render("{{ d|tojson(separators=(',', ':'), ensure_ascii=true) }}", { d: "é😀" }),
    '"\\u00e9\\ud83d\\ude00"',
  );
  assert.equal(
    render("{{ {'b': 1, 'a': [2]}|tojson(indent=1, sort_keys=true) }}"),
    '{\n "a": [\n  2\n ],\n "b": 1\n}',
  );
});

Deno.test("strftime_now formats the moment it is given", () => {
  const now = new Date(2024, 1, 3, 15, 4, 5);
  const template = compileTemplate("{{ strftime_now('%d %b %Y, %A %j %I:%M %p %% %U %W %-d') }}");
  assert.equal(template.render({}, { now }).text, "03 Feb 2024, Saturday 034 03:04 PM % 04 05 3");
});

Deno.test("a template cannot change what it is given", () => {
  assert.throws(() => render("{{ x.append(1) }}", { x: [] }), TemplateError);
});

Deno.test("broken templates are refused with the line", () => {
  assert.throws(() => render("a\n{% if x %}"), /endif/);
  assert.throws(() => render("a\n{{ 1 + }}"), /Line 2: unexpected "end of the tag"/);
  assert.throws(() => render("{% nothing %}"), /\{% nothing %\}/);
  assert.throws(() => render("{{ x.y.z }}", { x: {} }), /has no attribute 'y'/);
});

Deno.test("generation blocks are located, and their whitespace is that of any block", () => {
  const template =
    "A\n{%- generation -%}\n  {{ x }}\n{%- endgeneration %}\nB{% generation %}C{% endgeneration %}";
  assert.deepEqual(compileTemplate(template).render({ x: "é😀" }), {
    text: "Aé😀BC",
    generated: [[1, 4], [5, 6]],
  });
});

Deno.test("a template without generation markers is refused where the mask is wanted", async () => {
  const tokenizer = await loadTokenizer(fixture("models/llama"));
  assert.throws(
    () => tokenizeChatWithMask(tokenizer, [{ role: "user", content: "Hi" }]),
    (error: Error) =>
      error instanceof UserError && /\{% generation %\}/.test(error.message) &&
      /--chat_template_path/.test(error.message),
  );
});

Deno.test("further variables win over special tokens", async () => {
  const tokenizer = await loadTokenizer(fixture("models/llama"));
  const options = { template: "{{ eos_token }}{{ thinking }}{{ documents[0].title }}" };
  const text = renderChat(tokenizer, [{ role: "user", content: "" }], {
    ...options,
    variables: { eos_token: "E", thinking: true },
    documents: [{ title: "T" }],
  });
  assert.equal(text, "ETrueT");
});

Deno.test("continuing a message and starting an answer exclude each other", async () => {
  const tokenizer = await loadTokenizer(fixture("models/llama"));
  const both = { continueFinalMessage: true, addGenerationPrompt: true };
  assert.throws(() => renderChat(tokenizer, [{ role: "user", content: "a" }], both), UserError);
});

Deno.test("the template may stand in tokenizer_config.json, as a text or by name", async () => {
  const inside = await loadTokenizer(fixture("models/qwen2"));
  const beside = await loadTokenizer(fixture("models/qwen3"));
  assert.equal(inside.chatTemplates.default?.trim(), beside.chatTemplates.default?.trim());

  const directory = await Deno.makeTempDir();
  try {
    await Deno.copyFile(fixture("models/llama/tokenizer.json"), `${directory}/tokenizer.json`);
    const chat_template = [
      { name: "default", template: "plain" },
      { name: "tool_use", template: "with tools" },
    ];
    const config = JSON.stringify({ eos_token: "<|im_end|>", chat_template });
    await Deno.writeTextFile(`${directory}/tokenizer_config.json`, config);
    const tokenizer = await loadTokenizer(directory);
    const messages = [{ role: "user", content: "Hi" }];
    assert.equal(renderChat(tokenizer, messages), "plain");
    assert.equal(renderChat(tokenizer, messages, { tools: [{}] }), "with tools");
    const other = await loadTokenizer(fixture("models/llama"), { chatTemplatePath: directory });
    assert.equal(renderChat(other, messages), "plain");
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a tokenizer without a template refuses conversations and says what to give", async () => {
  const tokenizer = { ...await loadTokenizer(fixture("models/llama")), chatTemplates: {} };
  assert.throws(
    () => renderChat(tokenizer, [{ role: "user", content: "Hi" }]),
    (error: Error) => error instanceof UserError && /--chat_template_path/.test(error.message),
  );
});

Deno.test("filters take nothing for empty and refuse what they cannot take", () => {
  const render = (template: string, context: Record<string, unknown> = {}) =>
    compileTemplate(template).render(context).text;
  assert.equal(render("{{ none|select|list }}{{ none|map('upper')|list }}"), "[][]");
  assert.equal(render("{{ none|selectattr('a')|list }}{{ missing|items|list }}"), "[][]");
  assert.throws(() => render("{{ none|items|list }}"), /item pairs from a mapping/);
  assert.throws(() => render("{{ '{}'|items|list }}"), /item pairs from a mapping/);
});

Deno.test("the format filter and % fill places by order and by name, or refuse", () => {
  const render = (template: string) => compileTemplate(template).render({}).text;
  assert.equal(render("{{ '%s: %.1f%%'|format('a', 2) }}"), "a: 2.0%");
  assert.equal(render("{{ '%(x)s-%(y)r'|format(x=1, y='b') }}"), "1-'b'");
  assert.equal(render("{{ '%.2s' % 'abc' }}"), "ab");
  for (
    const wrong of ["'%s' % (1, 2)", "'%s%s' % 1", "'%q' % 1", "'%' % 1", "'%(x)s'|format(y=1)"]
  ) {
    assert.throws(() => render(`{{ ${wrong} }}`), TemplateError, wrong);
  }
});

Deno.test("trimming takes time in proportion to the blanks", () => {
  const text = "a" + " ".repeat(300_000) + "b";
  const start = performance.now();
  assert.equal(
    compileTemplate("{{ x|trim }}{{ x.rstrip() }}").render({ x: text }).text,
    text + text,
  );
  // A quadratic scan takes minutes here, a linear one milliseconds.
  assert.ok(performance.now() - start < 5_000);
});

Deno.test("templates without end of depth or size are refused as such", () => {
  const render = (template: string) => compileTemplate(template).render({});
  const recursion = /calls nest more than 200 deep/;
  const refused = (template: string, message: RegExp) =>
    assert.throws(
      () => render(template),
      (thrown: Error) => thrown instanceof TemplateError && message.test(thrown.message),
    );
  refused("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", recursion);
  refused(`{{ ${"(".repeat(50_000)}1${")".repeat(50_000)} }}`, /brackets nest more than 200 deep/);
  refused(
    "{{ 'a'.ljust(9007199254740991) }}",
    /makes a text of 9007199254740991 items or characters/,
  );
});
