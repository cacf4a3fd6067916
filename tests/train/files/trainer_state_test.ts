import assert from "node:assert/strict";
import {
  formatTrainerState,
  newTrainerState,
  parseTrainerState,
  pythonFloat,
  statefulCallbacks,
} from "../../../train/files/trainer_state.ts";

const fixture = (name: string) =>
  Deno.readTextFileSync(new URL(`../../fixtures/trainer_state-${name}.json`, import.meta.url));

Deno.test("a state that transformers wrote is the same text after reading and writing", () => {
  for (const name of ["sft-eval", "sft-text", "dpo-sigmoid"]) {
    const text = fixture(name);
    assert.equal(formatTrainerState(parseTrainerState(text, name)), text);
  }
});

Deno.test("a new state has transformers' fields and defaults", () => {
  const state = newTrainerState({
    global_step: 3,
    stateful_callbacks: statefulCallbacks({ shouldStop: true, device: "CPU" }),
  });
  const written: unknown = JSON.parse(fixture("sft-text"));
  assert.ok(typeof written === "object" && written !== null);
  assert.deepEqual(Object.keys(state), Object.keys(written));
  assert.equal(state.global_step, 3);
  assert.equal(state.best_metric, null);
  assert.equal(state.save_steps, 500);
  const { stateful_callbacks } = parseTrainerState(fixture("sft-text"), "fixture");
  const { PlumbDevice, ...others } = state.stateful_callbacks;
  assert.deepEqual(others, stateful_callbacks);
  assert.deepEqual(PlumbDevice, { args: {}, attributes: { device: "CPU" } });
});

Deno.test("floats are written as Python writes them", () => {
  const cases: readonly (readonly [number, string])[] = [
    [1, "1.0"],
    [0, "0.0"],
    [-0, "-0.0"],
    [0.1, "0.1"],
    [2e-5, "2e-05"],
    [1.5e-7, "1.5e-07"],
    [0.0001, "0.0001"],
    [1e15, "1000000000000000.0"],
    [1e16, "1e+16"],
    [1.25e22, "1.25e+22"],
    [1e-300, "1e-300"],
    [5.2899370193481445, "5.2899370193481445"],
  ];
  for (const [value, text] of cases) assert.equal(pythonFloat(value), text);
});

Deno.test("text beyond ASCII is escaped as Python escapes it, and read back", () => {
  const state = newTrainerState({ best_model_checkpoint: "out/é😀" });
  const text = formatTrainerState(state);
  assert.match(text, /"out\/\\u00e9\\ud83d\\ude00"/);
  assert.equal(parseTrainerState(text, "s.json").best_model_checkpoint, "out/é😀");
});

Deno.test("a metric that is not a number is null in the file and NaN when read", () => {
  const state = newTrainerState({ log_history: [{ step: 1, grad_norm: NaN }] });
  const text = formatTrainerState(state);
  assert.match(text, /"grad_norm": null/);
  assert.deepEqual(parseTrainerState(text, "s.json").log_history, [{ step: 1, grad_norm: NaN }]);
});

Deno.test("missing fields get defaults and unknown ones are dropped", () => {
  const text = '{"global_step": 2, "max_steps": 4, "log_history": [], "new_field": 1}';
  assert.deepEqual(
    parseTrainerState(text, "s.json"),
    newTrainerState({ global_step: 2, max_steps: 4 }),
  );
});

Deno.test("a state that is cut off or has a wrong field is refused with the file's name", () => {
  const broken = (text: string, message: RegExp) =>
    assert.throws(() => parseTrainerState(text, "checkpoint-2/trainer_state.json"), message);
  broken(fixture("sft-text").slice(0, 300), /^UserError: checkpoint-2.*not valid JSON/);
  broken("[]", /the file is \[\], expected a JSON object/);
  broken('{"max_steps": 4, "log_history": []}', /global_step is missing, expected a whole number/);
  broken('{"global_step": -1, "max_steps": 4, "log_history": []}', /global_step is -1/);
  broken('{"global_step": 1, "max_steps": "4", "log_history": []}', /max_steps is "4"/);
  const rows = (row: string) => `{"global_step": 1, "max_steps": 4, "log_history": [${row}]}`;
  broken(rows("3"), /log_history\.0 is 3, expected a JSON object/);
  broken(rows('{"loss": "a", "step": 1}'), /log_history\.0\.loss is "a"/);
  broken(rows('{"loss": 1}'), /log_history\.0\.step is missing/);
});
