import assert from "node:assert/strict";
import { inTempDir } from "../temporary.ts";
import { readArguments } from "./arguments.ts";
import { runJob, type TestJob, type TestOutcome } from "./process.ts";
import { runPool } from "./pool.ts";
import { testReport } from "./report.ts";

/** What comes of a file of tests. */
async function outcomeOf(text: string, limitSeconds = 60): Promise<TestOutcome> {
  let outcome: TestOutcome | undefined;
  await inTempDir(async (directory) => {
    outcome = await runJob(await jobOf(directory, "a_test.ts", text), {}, limitSeconds);
  });
  return outcome!;
}

async function jobOf(directory: string, name: string, text: string): Promise<TestJob> {
  await Deno.writeTextFile(`${directory}/${name}`, text);
  return { name, args: ["test", "-A", "--no-check", `${directory}/${name}`], counts: true };
}

/** What a report of outcomes prints. */
function printed(outcomes: readonly TestOutcome[]): string {
  const lines: string[] = [];
  const report = testReport((line) => lines.push(line));
  outcomes.forEach(report.done);
  report.end(outcomes, []);
  return lines.join("\n");
}

Deno.test("a file's tests are counted, and one that fails is shown with all it printed", async () => {
  const outcome = await outcomeOf(`
    Deno.test("one", () => console.log("a word"));
    Deno.test("two", () => { throw new Error("two is wrong"); });
    Deno.test("three", () => {});
  `);
  assert.deepEqual([outcome.passed, outcome.failed, outcome.reason], [2, 1, undefined]);
  const text = printed([outcome]);
  assert.match(text, /^FAILED +[\d.]+ s +3 tests {2}a_test.ts$/m);
  assert.match(text, /a word/);
  assert.match(text, /two is wrong/);
  assert.equal(text.split("\n").at(-1), "2 passed, 1 failed");
});

Deno.test("a file that passes is one line, but for what it skipped", async () => {
  const outcome = await outcomeOf(`
    console.log("skipped: the other half");
    Deno.test("one", () => console.log("ok | 7 passed and more"));
  `);
  const text = printed([outcome]);
  assert.match(text, /^ok +[\d.]+ s +1 test {2}a_test.ts$/m);
  assert.match(text, /^skipped: the other half \(1 files\)$/m);
  assert.doesNotMatch(text, /7 passed/);
  assert.equal(text.split("\n").at(-1), "1 passed, 0 failed");
});

for (
  const [kind, text, reason] of [
    ["does not load", "throw new Error('no');", /status 1/],
    ["leaves in the middle", "Deno.test('one', () => process.kill(process.pid, 9));", /SIGKILL/],
    ["exits", "Deno.test('one', () => process.exit(0));", /./],
  ] as const
) {
  Deno.test(`a file that ${kind} has failed, and is named`, async () => {
    const outcome = await outcomeOf(`import process from "node:process";\n${text}`);
    assert.ok(outcome.failed >= 1);
    if (outcome.failed === 1 && outcome.reason) assert.match(outcome.reason, reason);
    assert.match(printed([outcome]), /failed:\n {2}a_test.ts \(.*\)\n0 passed, 1 failed$/);
  });
}

Deno.test("a file that hangs is ended, with the processes that hold its output, and has failed", async () => {
  const outcome = await outcomeOf(
    `Deno.test("one", async () => {
      console.log("begun");
      await new Deno.Command("sleep", { args: ["20"] }).output();
    });`,
    2,
  );
  assert.ok(outcome.seconds < 15);
  assert.match(outcome.output, /begun/);
  assert.match(outcome.reason!, /did not end within 2 s/);
  assert.equal(outcome.failed, 1);
});

Deno.test("a file that crashes when its tests have passed is run again, once, and that is said", async () => {
  for (const crashes of [0, 1, 2]) {
    await inTempDir(async (directory) => {
      // What a driver does that crashes at the very end.
      const script = `
        import process from "node:process";
        let runs = 0;
        try { runs = Deno.readTextFileSync("${directory}/runs").length; } catch { /* the first */ }
        Deno.writeTextFileSync("${directory}/runs", "x".repeat(runs + 1));
        Deno.stdout.writeSync(new TextEncoder().encode("ok | 1 passed | 0 failed (1ms)\\n"));
        if (runs < ${crashes}) process.kill(process.pid, "SIGKILL");`;
      await Deno.writeTextFile(`${directory}/script.ts`, script);
      const args = ["run", "-A", "--no-check", `${directory}/script.ts`];
      const job = { name: "a_test.ts", args, counts: true };
      const options = { processes: 1, limitSeconds: 60, env: {}, done: () => {} };
      const text = printed(await runPool([job], options));
      const note = /its tests had passed when it was ended by SIGKILL; it was run again/;
      assert.equal(note.test(text), crashes > 0);
      assert.match(text, crashes < 2 ? /1 passed, 0 failed$/ : /1 passed, 1 failed$/);
    });
  }
});

Deno.test("a pool runs as many processes at a time as it is told, in their order", async () => {
  await inTempDir(async (directory) => {
    // Each waits for the file of the other: alone, neither would end.
    const meeting = (own: string, other: string) => `
      Deno.test("meets", async () => {
        Deno.writeTextFileSync("${directory}/${own}", "");
        for (;;) {
          try { Deno.statSync("${directory}/${other}"); return; }
          catch { await new Promise((resolve) => setTimeout(resolve, 20)); }
        }
      });`;
    const jobs = [
      await jobOf(directory, "a_test.ts", meeting("a", "b")),
      await jobOf(directory, "b_test.ts", meeting("b", "a")),
      await jobOf(directory, "c_test.ts", `Deno.test("last", () => {});`),
    ];
    const done: string[] = [];
    const outcomes = await runPool(jobs, {
      processes: 2,
      limitSeconds: 60,
      env: {},
      done: ({ name }) => done.push(name),
    });
    assert.deepEqual(outcomes.map(({ passed, failed }) => [passed, failed]), Array(3).fill([1, 0]));
    assert.equal(done.length, 3);
    assert.equal(done.at(-1), "c_test.ts");
  });
});

Deno.test("paths, flags of deno test and flags of our own are told apart", () => {
  const asked = readArguments(["tests/runner", "--filter", "x y", "--fail-fast", "--quick"]);
  assert.deepEqual(asked.files, ["tests/runner/runner_test.ts"]);
  assert.deepEqual(asked.flags, ["--filter", "x y", "--fail-fast"]);
  assert.ok(asked.quick && !asked.record);
  assert.equal(readArguments(["--filter", "tests"]).files, undefined);
  assert.throws(() => readArguments(["tests/none"]), Deno.errors.NotFound);
});
