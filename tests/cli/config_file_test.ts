import assert from "node:assert/strict";
import { parseConfig, readConfigFile } from "../../cli/config_file.ts";
import { sftOptions } from "../../train/settings/sft.ts";
import { parse } from "../../cli/parse.ts";
import { UserError } from "../../core/errors.ts";

/** The SFT values of a YAML text. */
function values(yaml: string) {
  const readConfig = (path: string) => parseConfig(yaml, path);
  const argv = ["--dataset_name", "d", "--config", "run.yaml"];
  return parse(argv, sftOptions, { readConfig }).values;
}

Deno.test("a settings file gives keys with values and lines, and the environment apart", () => {
  const config = parseConfig('seed: 1\n\nenv: {A: "0", B: 2}\nreport_to: [jsonl]\n', "run.yaml");
  assert.deepEqual(config, {
    path: "run.yaml",
    entries: [
      { key: "seed", value: 1, line: 1 },
      { key: "report_to", value: ["jsonl"], line: 4 },
    ],
    environment: { A: "0", B: "2" },
  });
});

Deno.test("an empty settings file is no settings", () => {
  assert.deepEqual(parseConfig("# nothing\n", "run.yaml").entries, []);
  assert.deepEqual(parseConfig("null", "run.yaml").entries, []);
});

Deno.test("numbers are read however YAML dialects write them", () => {
  assert.equal(values("learning_rate: 2e-5").learning_rate, 2e-5);
  assert.equal(values("learning_rate: 1.0e-5").learning_rate, 1e-5);
  assert.equal(values('learning_rate: "1e-5"').learning_rate, 1e-5);
  assert.equal(values("max_steps: 1_000").max_steps, 1000);
});

Deno.test("words for truth and nothing are read however YAML dialects write them", () => {
  assert.equal(values("packing: yes").packing, true);
  assert.equal(values("packing: on").packing, true);
  assert.equal(values("packing: True").packing, true);
  assert.equal(values("eval_strategy: no").eval_strategy, "no");
  assert.equal(values("eval_strategy: false").eval_strategy, "no");
  assert.equal(values("max_length: null").max_length, undefined);
  assert.equal(values("max_length: ~").max_length, undefined);
  assert.equal(values("max_length: none").max_length, undefined);
  assert.deepEqual(values("report_to: none").report_to, ["none"]);
  assert.equal(values("resume_from_checkpoint: true").resume_from_checkpoint, true);
});

Deno.test("mappings may be nested or JSON text", () => {
  const expected = { num_cycles: 2 };
  assert.deepEqual(values("lr_scheduler_kwargs: {num_cycles: 2}").lr_scheduler_kwargs, expected);
  assert.deepEqual(
    values("lr_scheduler_kwargs:\n  num_cycles: 2").lr_scheduler_kwargs,
    expected,
  );
  assert.deepEqual(
    values(`lr_scheduler_kwargs: '{"num_cycles": 2}'`).lr_scheduler_kwargs,
    expected,
  );
});

Deno.test("broken YAML is refused with the file and the line", () => {
  const broken = (yaml: string, message: RegExp) =>
    assert.throws(
      () => parseConfig(yaml, "run.yaml"),
      (error) => error instanceof UserError && message.test(error.message),
    );
  broken("seed: 1\nreport_to: [a\n", /^run\.yaml, line [23], column \d+: this is not valid YAML/);
  broken("seed: 1\nseed: 2\n", /line 2, .*unique/);
  broken("- seed\n", /must be a mapping/);
  broken("env: 3\n", /run\.yaml, line 1: env must be a mapping/);
  broken("env: {A: [1]}\n", /env must be a mapping/);
});

Deno.test("YAML that PyYAML refuses, or that two readers take differently, is refused with its line", () => {
  const refused: Readonly<Record<string, RegExp>> = {
    "seed: 1\na: !!python/object:os.system x": /line 2, column 4: .*Unresolved tag/,
    "a: !mine 1": /Unresolved tag: !mine/,
    "a: *b": /line 1, column 4: .*nothing before it is called &b/,
    "a: &b [1, *b]": /\*b stands in &b/,
    "a: {x: &b {y: *b}}": /\*b stands in &b/,
    "? [1]\n: 2": /a key is a list/,
    "seed:\t1": /line 1, column 6: .*a tab/,
    "see\td: 1": /a tab/,
    "seed: 1\t": /a tab/,
    "seed: a\0b": /U\+0000/,
    "seed: a\u2028b": /U\+2028/,
    "seed: 1\n---\nseed: 2": /multiple documents/,
    [`a: ${"[\n".repeat(100)}1${"]".repeat(100)}`]: /nested more than 64 deep|valid YAML/,
    [`a: ${" ".repeat(2 << 20)}1`]: /longer than 1048576/,
    [
      `a: &a [x]\n${
        Array.from(
          "bcdefghij",
          (name, i) => `${name}: &${name} [${`*${"abcdefghi"[i]}, `.repeat(9)}]`,
        ).join("\n")
      }`
    ]: /[Ee]xcessive alias/,
  };
  for (const [yaml, why] of Object.entries(refused)) {
    assert.throws(() => parseConfig(yaml, "run.yaml"), (error) => {
      assert.ok(error instanceof UserError, String(error));
      assert.match(error.message, why);
      return true;
    });
  }
});

Deno.test("tabs in quotes, comments and blocks of text are text", () => {
  const { entries } = parseConfig("a: 'x\ty' #\tz\nb: |\n  x\ty\nc: \"\t\"\n", "run.yaml");
  assert.deepEqual(entries.map(({ value }) => value), ["x\ty", "x\ty\n", "\t"]);
});

Deno.test("whole numbers are YAML 1.1's, aliases and merges stand for what they name", () => {
  const { entries } = parseConfig(
    "a: 010\nb: 1:30\nc: &c {x: 1}\nd: *c\ne: {<<: *c, y: 0x10}\nf: -0\n",
    "run.yaml",
  );
  assert.deepEqual(entries.map(({ value }) => value), [
    8,
    90,
    { x: 1 },
    { x: 1 },
    { x: 1, y: 16 },
    -0,
  ]);
});

Deno.test("a settings file that is not UTF-8 is refused with its line", () => {
  const path = Deno.makeTempFileSync({ suffix: ".yaml" });
  try {
    Deno.writeFileSync(path, Uint8Array.from([...new TextEncoder().encode("a: 1\nb: "), 0xe9, 10]));
    assert.throws(() => readConfigFile(path), /line 2: it is not UTF-8/);
  } finally {
    Deno.removeSync(path);
  }
});

Deno.test("reading a settings file puts env into the environment", () => {
  const path = Deno.makeTempFileSync({ suffix: ".yaml" });
  try {
    Deno.writeTextFileSync(path, 'env: {WANDB_TEST_SETTING: "7"}\nseed: 3\n');
    assert.deepEqual(readConfigFile(path).entries.map(({ key }) => key), ["seed"]);
    assert.equal(Deno.env.get("WANDB_TEST_SETTING"), "7");
  } finally {
    Deno.env.delete("WANDB_TEST_SETTING");
    Deno.removeSync(path);
  }
});

Deno.test("a settings file that is not there is refused by name", () => {
  assert.throws(
    () => readConfigFile("absent.yaml"),
    /--config absent\.yaml: there is no such file/,
  );
});

Deno.test("a settings file sets no variable of loaders and drivers", () => {
  const directory = Deno.makeTempDirSync();
  try {
    const path = `${directory}/run.yaml`;
    for (
      const name of [
        "LD_PRELOAD",
        "NCCL_NET_PLUGIN",
        "PLUMB_BLAS",
        "VK_ICD_FILENAMES",
        "PATH",
        "DENO_DIR",
        "NODE_OPTIONS",
        "HOME",
      ]
    ) {
      const before = Deno.env.get(name);
      Deno.writeTextFileSync(path, `env: {${name}: "x"}\n`);
      assert.throws(
        () => readConfigFile(path),
        new RegExp(`env sets ${name}, which a settings file may not`),
      );
      assert.equal(Deno.env.get(name), before);
    }
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("<< brings the keys of other mappings, under those of the file itself", () => {
  const keys = (text: string) =>
    parseConfig(text, "a.yaml").entries.map(({ key, value, line }) => [key, value, line]);
  assert.deepEqual(keys("x: &x {b: 2, c: 3}\nb: 1\n<<: *x").slice(0, 2), [["b", 1, 2], [
    "c",
    3,
    3,
  ]]);
  assert.deepEqual(keys("<<: [{a: 1}, {a: 2, b: 2}]"), [["a", 1, 1], ["b", 2, 1]]);
});

Deno.test("settings files end their lines as they like; words without a value are refused", () => {
  const { entries } = parseConfig("a: 1\rb: 2\r\nc: 2024-02-29", "a.yaml");
  assert.deepEqual(entries.map(({ line }) => line), [1, 2, 3]);
  assert.equal(parseConfig("a: !!float 1", "a.yaml").entries[0]!.value, 1);
  for (const word of ["=", "<<", "[x, =]"]) {
    assert.throws(() => parseConfig(`a: ${word}`, "a.yaml"), /line 1.*has no value; quote it/);
  }
  for (const date of ["2023-02-29", "2024-13-01", "2024-01-02 25:00:00", "0000-01-01"]) {
    assert.throws(() => parseConfig(`a: ${date}`, "a.yaml"), /line 1.*no such date/);
    assert.equal(parseConfig(`a: "${date}"`, "a.yaml").entries[0]!.value, date);
  }
});

Deno.test("a key that YAML takes for a value is refused", () => {
  for (const key of ["yes", "null", "1", "1.5", "true", ""]) {
    assert.throws(() => parseConfig(`${key}: 1`, "a.yaml"), /line 1: the key .* is no name/);
  }
  assert.equal(parseConfig('"yes": 1', "a.yaml").entries[0]!.key, "yes");
});
