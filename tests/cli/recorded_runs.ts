/** Whole runs against what TRL logged with the same flags and rows. @module */

import assert from "node:assert/strict";
import { statIfPresent } from "../../data/files/local_paths.ts";
import { fixture, readFixture } from "../data/fixture_files.ts";
import { devices } from "../devices.ts";
import { type Flags, plumb, stateOf, temporary, weightsOf } from "./run_command.ts";

/** A run of TRL: its flags, its log without times, and the norms of what it trained. */
interface Recorded {
  readonly log_history: readonly Readonly<Record<string, number>>[];
  readonly final_parameters: Readonly<
    Record<string, { readonly l2: number; readonly sum: number }>
  >;
}

/** The names of the recorded runs that begin so, adapters' left out. */
export function recordedRuns(prefix: string): string[] {
  return Array.from(Deno.readDirSync(fixture("trl")))
    .filter(({ name, isDirectory }) => isDirectory && name.startsWith(prefix))
    .map(({ name }) => name)
    .filter((name) => !name.includes("lora"))
    .sort();
}

const paths = new Set([
  "model_name_or_path",
  "dataset_name",
  "chat_template_path",
  "initial_adapter",
]);

/** The command of a recorded run, and its flags with the paths of this machine. */
export async function recordedFlags(
  name: string,
  outputDir: string,
): Promise<{ readonly command: string; readonly flags: Flags }> {
  const { command, flags: given, beyond_trl } = await readFixture<
    { command: string; flags: Flags; beyond_trl?: Flags }
  >(`trl/${name}/flags.json`);
  // Of what TRL has no flag for, this is a flag here; the rest of it is prose.
  const { initial_adapter } = beyond_trl ?? {};
  const flags = { ...given, ...(initial_adapter === undefined ? {} : { initial_adapter }) };
  return {
    command,
    flags: {
      ...Object.fromEntries(
        Object.entries(flags).map(([key, value]) =>
          paths.has(key) ? [key, fixture(String(value))] : [key, value]
        ),
      ),
      ...(await hasRollouts(name) ? { rollouts: fixture(`trl/${name}/rollouts.json`) } : {}),
      output_dir: outputDir,
    },
  };
}

/** Whether TRL was fed answers and rewards. */
async function hasRollouts(name: string): Promise<boolean> {
  return await statIfPresent(fixture(`trl/${name}/rollouts.json`)) !== undefined;
}

/** Where a run was computed. */
type Kind = "cpu" | "webgpu";

/** How far a logged number may be off, relative to the recorded one or absolute. */
interface Tolerance {
  readonly relative?: number;
  readonly absolute?: number;
}

/** What is logged here where some of TRL's trainers leave it out. */
const beyond = new Set(["num_tokens", "nll_loss"]);

const exact: Tolerance = {};
const relative: Tolerance = { relative: 1e-5 };
/** Differences of large sums. */
const difference: Tolerance = { relative: 1e-5, absolute: 5e-5 };

/** The first that matches; what matches none, a count for one, has to be the same number. */
const tolerances: readonly (readonly [RegExp, Tolerance])[] = [
  [/mean_token_accuracy$/, { relative: 1e-7 }],
  [/accurac(y|ies)$/, exact],
  [/^learning_rate$/, { relative: 1e-15 }],
  [/^grad_norm$/, { relative: 1e-4 }],
  [/rewards\/|kl$|delta$|reward$|margin$|log_odds/, difference],
  // Means of logits cancel.
  [/logits\//, { relative: 1e-4, absolute: 1e-6 }],
  [/loss$|entropy$|logps\//, relative],
];

/** Advantages of a group cancel, and so does the loss; a sum of log-ratios is as exact as the device's sums. */
const cancelling = (device: Kind): typeof tolerances => [
  [/loss$/, { relative: device === "cpu" ? 1e-5 : 1e-4, absolute: 1e-6 }],
  [/^(reward|reward_std|rewards\/.*)$|_length$|_ratio|_zero_std$/, { relative: 1e-6 }],
  ...tolerances,
];

/** Compares the log in a directory with the recorded one, which is given back with all that was recorded. */
export async function compareLogs(
  name: string,
  outputDir: string,
  device: Kind = "cpu",
): Promise<Recorded> {
  const expected = await readFixture<Recorded>(`trl/${name}/expected.json`);
  const { log_history } = stateOf(outputDir);
  const given = await hasRollouts(name);
  const rules = given ? cancelling(device) : tolerances;
  // Entropy is a mean of micro-batches, which TRL shuffles answers into: a run with several has it left out.
  const unrecorded = given ? new Set([...beyond, "entropy"]) : beyond;
  assert.equal(log_history.length, expected.log_history.length);
  expected.log_history.forEach((row, i) => {
    const times = /_runtime$|_per_second$/;
    const names = Object.keys(log_history[i]!).filter((key) =>
      !times.test(key) && (Object.hasOwn(row, key) || !unrecorded.has(key))
    );
    assert.deepEqual(names.sort(), Object.keys(row).sort(), `${name}: names of row ${i}`);
    for (const [metric, value] of Object.entries(row)) {
      const tolerance = rules.find(([pattern]) => pattern.test(metric))?.[1] ?? exact;
      close(log_history[i]![metric]!, value, tolerance, `${name} ${i} ${metric}`);
    }
  });
  return expected;
}

/** Compares the log and the weights in a directory with the recorded ones. */
export async function compareWithRecorded(
  name: string,
  outputDir: string,
  device: Kind = "cpu",
): Promise<void> {
  const expected = await compareLogs(name, outputDir, device);
  const weights = await weightsOf(outputDir);
  assert.deepEqual([...weights.keys()].sort(), Object.keys(expected.final_parameters).sort());
  for (const [path, { l2, sum }] of Object.entries(expected.final_parameters)) {
    const values = withoutKeys(path, weights.get(path)!);
    const norm = Math.sqrt(values.reduce((total, x) => total + x * x, 0));
    close(norm, l2, { relative: 2e-5 }, `${name} norm of ${path}`);
    const total = values.reduce((all, x) => all + x, 0);
    // A sum of n values of this norm may cancel: its scale is the norm times √n.
    const scale = l2 * Math.sqrt(values.length);
    assert.ok(Math.abs(total - sum) <= 2e-5 * scale, `${name} sum of ${path}: ${total}, ${sum}`);
  }
}

/**
 * A parameter with zeros where it is the bias of keys. These change no probability: their gradient is rounding alone,
 * and Adam makes steps of it.
 */
function withoutKeys(path: string, values: Float32Array): Float32Array {
  const [, name] = /(c_attn|query_key_value|k_proj)\.bias$/.exec(path) ?? [];
  if (name === undefined) return values;
  // Queries, keys and values in thirds, in thirds of each of four heads, or keys alone.
  const third = values.length / (name === "query_key_value" ? 12 : 3);
  return values.map((x, i) => name === "k_proj" || Math.floor(i / third) % 3 === 1 ? 0 : x);
}

function close(actual: number, expected: number, tolerance: Tolerance, what: string): void {
  const { relative = 0, absolute = 0 } = tolerance;
  const far = Math.abs(actual - expected) > absolute + relative * Math.abs(expected);
  assert.ok(!far && !Number.isNaN(actual), `${what}: ${actual}, TRL logged ${expected}`);
}

/** A test for each of the runs on a device; without one they are skipped. */
export function testRecordedRuns(names: readonly string[], device: Kind): void {
  for (const name of names) {
    Deno.test({
      name: `${name} logs what TRL logs and ends with its weights (${device})`,
      ignore: !devices.some(({ kind }) => kind === device),
      fn: async () => {
        using output = temporary();
        const { command, flags: { use_cpu: _, ...flags } } = await recordedFlags(name, output.path);
        // Sums that cancel show the order of their terms, which follows the threads: the same ones on every machine.
        const outcome = await plumb(command, { ...flags, device, threads: 2 });
        assert.equal(outcome.code, 0, outcome.stderr);
        await compareWithRecorded(name, output.path, device);
      },
    });
  }
}
