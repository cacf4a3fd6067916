/** Whole runs against what TRL logged with the same flags and rows. */

import assert from "node:assert/strict";
import { devices } from "../devices.ts";
import { fixture, readFixture } from "../data/fixture_files.ts";
import {
  argumentsOf,
  type Flags,
  plumb,
  plumbProcess,
  stateOf,
  temporary,
  weightsOf,
} from "./run_command.ts";

/** A run of TRL: its flags, its log without times, and the norms of what it trained. */
interface Recorded {
  readonly log_history: readonly Readonly<Record<string, number>>[];
  readonly final_parameters: Readonly<
    Record<string, { readonly l2: number; readonly sum: number }>
  >;
}

const cases: readonly string[] = Array.from(Deno.readDirSync(fixture("trl")))
  .filter(({ name, isDirectory }) => isDirectory && name.startsWith("sft-"))
  .map(({ name }) => name)
  .sort();

const paths = new Set(["model_name_or_path", "dataset_name", "chat_template_path"]);

async function flagsOf(name: string, outputDir: string): Promise<Flags> {
  const { flags } = await readFixture<{ flags: Flags }>(`trl/${name}/flags.json`);
  return {
    ...Object.fromEntries(
      Object.entries(flags).map(([key, value]) =>
        paths.has(key) ? [key, fixture(String(value))] : [key, value]
      ),
    ),
    output_dir: outputDir,
  };
}

/** Relative to the recorded value; a count, a rate or an accuracy has to be the same number. */
const tolerances: Readonly<Record<string, number>> = {
  loss: 1e-5,
  eval_loss: 1e-5,
  train_loss: 1e-5,
  entropy: 1e-5,
  eval_entropy: 1e-5,
  grad_norm: 1e-4,
  learning_rate: 1e-15,
  mean_token_accuracy: 1e-7,
  eval_mean_token_accuracy: 1e-7,
};

async function compare(name: string, outputDir: string): Promise<void> {
  const expected = await readFixture<Recorded>(`trl/${name}/expected.json`);
  const { log_history } = stateOf(outputDir);
  assert.equal(log_history.length, expected.log_history.length);
  expected.log_history.forEach((row, i) => {
    const times = /_runtime$|_per_second$/;
    const names = Object.keys(log_history[i]!).filter((key) => !times.test(key));
    assert.deepEqual(names.sort(), Object.keys(row).sort(), `${name}: names of row ${i}`);
    for (const [metric, value] of Object.entries(row)) {
      close(log_history[i]![metric]!, value, tolerances[metric] ?? 0, `${name} ${i} ${metric}`);
    }
  });
  const weights = await weightsOf(outputDir);
  assert.deepEqual([...weights.keys()].sort(), Object.keys(expected.final_parameters).sort());
  for (const [path, { l2, sum }] of Object.entries(expected.final_parameters)) {
    const values = weights.get(path)!;
    const norm = Math.sqrt(values.reduce((total, x) => total + x * x, 0));
    close(norm, l2, 2e-5, `${name} norm of ${path}`);
    const total = values.reduce((all, x) => all + x, 0);
    // A sum of n values of this norm may cancel: its scale is the norm times √n.
    const scale = l2 * Math.sqrt(values.length);
    assert.ok(Math.abs(total - sum) <= 2e-5 * scale, `${name} sum of ${path}: ${total}, ${sum}`);
  }
}

function close(actual: number, expected: number, tolerance: number, what: string): void {
  const far = Math.abs(actual - expected) > tolerance * Math.abs(expected);
  assert.ok(!far && !Number.isNaN(actual), `${what}: ${actual}, TRL logged ${expected}`);
}

for (const name of cases) {
  Deno.test(`${name} logs what TRL logs and ends with its weights (cpu)`, async () => {
    using output = temporary();
    const outcome = await plumb("sft", await flagsOf(name, output.path));
    assert.equal(outcome.code, 0, outcome.stderr);
    await compare(name, output.path);
  });
}

// Each distinct kernel costs a compilation on a software adapter, hence few cases.
for (const name of ["sft-cosine-accumulation", "sft-eval", "sft-packing-bfd"]) {
  Deno.test({
    name: `${name} logs what TRL logs and ends with its weights (webgpu)`,
    ignore: !devices.some(({ kind }) => kind === "webgpu"),
    fn: async () => {
      using output = temporary();
      const { use_cpu: _, ...flags } = await flagsOf(name, output.path);
      const outcome = await plumb("sft", { ...flags, device: "webgpu" });
      assert.equal(outcome.code, 0, outcome.stderr);
      await compare(name, output.path);
    },
  });
}

Deno.test("a run in a process of its own logs what TRL logs", async () => {
  using output = temporary();
  const flags = await flagsOf("sft-messages", output.path);
  const outcome = await plumbProcess(argumentsOf("sft", flags));
  assert.equal(outcome.code, 0, outcome.stderr);
  assert.equal(outcome.stdout, "");
  await compare("sft-messages", output.path);
});
