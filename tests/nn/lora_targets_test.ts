import assert from "node:assert/strict";
import { randomKey } from "../../core/mod.ts";
import {
  causalModel,
  initParameters,
  type LoraConfig,
  loraConfig,
  loraTargets,
  mapWeights,
  modulesOf,
  resolveTargets,
  savedModules,
  settingsOf,
} from "../../nn/mod.ts";
import { pythonRegExp } from "../../nn/python_regexp.ts";
import { readFixture } from "../data/fixture_files.ts";
import { readConfig } from "./golden.ts";

/** What PEFT does with options on a Llama of so many layers. */
interface TargetCase {
  readonly layers: number;
  readonly tied: boolean;
  readonly score: boolean;
  readonly options: Partial<LoraConfig>;
  readonly error?: string;
  readonly targeted: readonly string[];
  readonly target_modules: string | readonly string[];
  /** Rank and scale by module. */
  readonly ranks: Readonly<Record<string, readonly [number, number]>>;
  readonly saved: readonly string[];
}

const llama = await readConfig("llama");
const cases = await readFixture<TargetCase[]>("lora_targets.json");

function modulesOfCase({ layers, tied, score }: TargetCase) {
  const model = causalModel({ ...llama, num_hidden_layers: layers, tie_word_embeddings: tied });
  const params = initParameters(
    model,
    randomKey(0),
    score ? { kind: "sequence", labels: 1 } : { kind: "language" },
  );
  return modulesOf(params);
}

for (const expected of cases) {
  const { layers, tied, score, options, error } = expected;
  const told = `${layers} layers${tied ? ", tied" : ""}${score ? ", scoring" : ""}`;
  const name = `${told}: ${JSON.stringify(options).slice(0, 150)}`;
  Deno.test(`${name} ${error ? "is refused" : "finds the modules that PEFT finds"}`, () => {
    const modules = modulesOfCase(expected);
    const resolve = () => resolveTargets(modules, loraConfig(options), "llama");
    if (error !== undefined) {
      assert.throws(() => loraTargets(modules, resolve()), { name: "UserError" });
      return;
    }
    const config = resolve();
    const targets = loraTargets(modules, config);
    assert.deepEqual(
      targets.map(({ path }) => path).sort(),
      [...expected.targeted].sort(),
    );
    assert.deepEqual(config.target_modules, expected.target_modules);
    for (const target of targets) {
      const { r, scaling } = settingsOf(target, config);
      const [rank, scale] = expected.ranks[target.path]!;
      assert.deepEqual([r, Math.fround(scaling)], [rank, Math.fround(scale)], target.path);
    }
    const saved = savedModules(modules, config);
    assert.deepEqual(
      saved.filter((path) => expected.saved.includes(path)).sort(),
      [...expected.saved].sort(),
    );
  });
}

Deno.test("a family without a default needs target_modules", () => {
  const modules = modulesOfCase(cases[0]!);
  assert.throws(
    () => resolveTargets(modules, loraConfig(), "zebra"),
    /no default target_modules for models of type zebra/,
  );
});

Deno.test("options without sense are refused by name", () => {
  const refuses = (options: Record<string, unknown>, message: RegExp) =>
    assert.throws(() => loraConfig(options), message);
  refuses({ r: 1.5 }, /r is 1\.5; a rank is a positive integer/);
  refuses({ rank_pattern: { q_proj: 0 } }, /rank_pattern\["q_proj"\] is 0; a rank/);
  refuses({ lora_dropout: 1 }, /lora_dropout is 1; a probability from 0 to below 1/);
  refuses({ bias: "some" }, /bias is "some"; it is none, all or lora_only/);
  refuses({ layers_pattern: "h" }, /layers_pattern is "h"; it needs layers_to_transform/);
  refuses({ target_modules: [] }, /target_modules is \[\]; a list of targets names one/);
});

Deno.test("Python's regular expressions match whole texts, in Python's notation", () => {
  const matches = (pattern: string, text: string) => pythonRegExp(pattern, "x").test(text);
  assert.ok(matches("a|ab", "ab"));
  assert.ok(!matches("a|ab", "abc"));
  assert.ok(matches("(?P<n>[qk])_(?P=n)", "q_q"));
  assert.ok(!matches("(?P<n>[qk])_(?P=n)", "q_k"));
  assert.ok(matches(String.raw`\Aab{,2}\Z`, "abb"));
  assert.ok(!matches("ab{,2}", "abbb"));
  assert.ok(matches("(?i)AB(?#comment)", "ab"));
  assert.ok(matches(String.raw`a\{,2}`, "a{,2}"));
  assert.ok(matches("(?!lm_head).*", "model.x") && !matches("(?!lm_head).*", "lm_head"));
  assert.throws(() => pythonRegExp("*.q_proj", "target_modules"), /target_modules is "\*\.q_proj"/);
});

Deno.test("mapWeights takes PEFT's targets or a predicate, and matrices only", () => {
  const model = causalModel({ ...llama, num_hidden_layers: 2 });
  const params = initParameters(model, randomKey(0));
  const touched = (target: Parameters<typeof mapWeights>[1]) => {
    const paths: string[] = [];
    mapWeights(params, target, (weight, path) => (paths.push(path), weight));
    return paths;
  };
  assert.equal(touched("all-linear").length, 14);
  assert.deepEqual(touched(["q_proj", "norm"]).length, 2);
  assert.deepEqual(touched(".*1\\.mlp\\.up_proj"), ["model.layers.1.mlp.up_proj"]);
  assert.deepEqual(touched((path) => path === "lm_head"), ["lm_head"]);
});
