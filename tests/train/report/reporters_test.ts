import assert from "node:assert/strict";
import { join } from "node:path";
import { terminal } from "../../../core/terminal.ts";
import type { LogRecord } from "../../../train/report/progress.ts";
import { answersFile, formatAnswers } from "../../../train/report/answer_reporters.ts";
import {
  allReporters,
  consoleReporter,
  formatJsonRow,
  jsonlReporter,
} from "../../../train/report/reporters.ts";

const at = { totalSteps: 4, epoch: 0.5, elapsedSeconds: 1.23456 };
const begin = (step: number, resumed: boolean): LogRecord => ({
  kind: "begin",
  step,
  ...at,
  resumed,
});
const progress: LogRecord = { kind: "progress", step: 1, ...at, tokensPerSecond: 10 };
const train: LogRecord = { kind: "train", step: 2, ...at, values: { loss: 2.5, grad_norm: NaN } };
const notice: LogRecord = { kind: "notice", step: 2, ...at, text: "Note." };
const end: LogRecord = { kind: "end", step: 4, ...at, interrupted: false, values: {} };

/** A reporter on a list of written texts, with a clock set by hand. */
function recorded({ bar, ...options }: { readonly bar: boolean; readonly notices?: boolean }) {
  const written: string[] = [];
  const clock = { now: 0 };
  const reporter = consoleReporter({
    ...options,
    terminal: terminal((text) => written.push(text), () => bar),
    columns: () => 41,
    now: () => clock.now,
  });
  return { written, clock, reporter };
}

Deno.test("without a terminal each row is one plain line and progress says nothing", () => {
  const { written, reporter } = recorded({ bar: false });
  for (const record of [progress, train, notice, end]) reporter.report(record);
  reporter.close();
  assert.deepEqual(written, [
    "step 2/4  epoch 0.5000  loss 2.500  grad_norm NaN\n",
    "Note.\n",
    "step 4/4  done  in 00:01\n",
  ]);
});

Deno.test("on a terminal the bar is redrawn below the rows and gone at the end", () => {
  const { written, reporter } = recorded({ bar: true });
  for (const record of [progress, train, end]) reporter.report(record);
  reporter.close();
  const erase = "\r\x1b[2K";
  assert.deepEqual(written, [
    `[#####${"-".repeat(15)}]  1/4  tokens/s 10`,
    `${erase}step 2/4  epoch 0.5000  loss 2.500\n  grad_norm NaN\n` +
    "[####----]  2/4  loss 2.500  tokens/s 10",
    `${erase}step 4/4  done  in 00:01\n`,
  ]);
});

Deno.test("the bar is not redrawn more often than can be seen", () => {
  const { written, clock, reporter } = recorded({ bar: true });
  reporter.report(progress);
  clock.now = 10;
  reporter.report({ ...progress, step: 2 });
  assert.equal(written.length, 1);
  clock.now = 60;
  reporter.report({ ...progress, step: 3 });
  assert.equal(written.length, 2);
  reporter.close();
  assert.equal(written[2], "\r\x1b[2K");
});

Deno.test("notices can be hidden", () => {
  const { written, reporter } = recorded({ bar: false, notices: false });
  reporter.report(notice);
  assert.deepEqual(written, []);
});

Deno.test("a JSON row has the kind, the place in the run and the metrics", () => {
  assert.deepEqual(JSON.parse(formatJsonRow(train, { run_name: "a" }) ?? ""), {
    kind: "train",
    run_name: "a",
    step: 2,
    total_steps: 4,
    epoch: 0.5,
    elapsed_seconds: 1.235,
    loss: 2.5,
    grad_norm: null,
  });
  assert.match(formatJsonRow({ ...end, interrupted: true }) ?? "", /"interrupted":true/);
  assert.match(formatJsonRow({ kind: "save", step: 1, ...at, path: "p" }) ?? "", /"path":"p"/);
  assert.equal(formatJsonRow(progress), undefined);
});

Deno.test("the JSONL log is appended to, row by row, and never joins a half-written line", () => {
  const directory = Deno.makeTempDirSync();
  const path = join(directory, "log.jsonl");
  try {
    const first = jsonlReporter(path);
    first.report(progress);
    first.report(train);
    assert.equal(Deno.readTextFileSync(path), `${formatJsonRow(train)}\n`);
    first.close();
    first.close();
    Deno.writeTextFileSync(path, '{"kind":"tr', { append: true });
    const second = allReporters([jsonlReporter(path)]);
    second.report(end);
    second.close();
    assert.deepEqual(Deno.readTextFileSync(path).split("\n"), [
      formatJsonRow(train),
      '{"kind":"tr',
      formatJsonRow(end),
      "",
    ]);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("a run that begins replaces a file of rows, a resumed one the rows of the steps it does again", () => {
  const directory = Deno.makeTempDirSync();
  const [log, answers] = [join(directory, "log.jsonl"), join(directory, "completions.jsonl")];
  const reported = (records: readonly LogRecord[]) => {
    const reporter = allReporters([jsonlReporter(log), answersFile(answers)]);
    records.forEach(reporter.report);
    reporter.close();
    const linesOf = (path: string) => Deno.readTextFileSync(path).split("\n");
    return { log: linesOf(log), answers: linesOf(answers) };
  };
  const steps = [1, 2, 3].flatMap((step): LogRecord[] => [
    { kind: "answers", step, ...at, table: { completion: ["ü", `${step}`] } },
    { ...train, step },
  ]);
  try {
    const whole = reported([notice, begin(0, false), ...steps]);
    assert.equal(whole.log.length, 5);
    assert.equal(whole.answers.length, 7);
    assert.deepEqual(reported([notice, begin(0, false), ...steps]), whole, "begun anew");
    assert.deepEqual(reported([notice]), whole, "it failed before it began");
    for (const path of [log, answers]) {
      Deno.writeTextFileSync(path, '{"step":3,"half', { append: true });
    }
    const { log: rows, answers: texts } = reported([notice, begin(2, true), ...steps.slice(4)]);
    assert.deepEqual(texts, whole.answers);
    assert.deepEqual(rows, whole.log.toSpliced(3, 0, formatJsonRow(notice)!));
    assert.deepEqual(reported([begin(3, true)]).log, rows);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("a log that cannot be opened is refused by name", () => {
  const directory = Deno.makeTempDirSync();
  try {
    const path = join(directory, "absent", "log.jsonl");
    assert.throws(() => jsonlReporter(path), /^UserError: Cannot write .*--report_to/);
  } finally {
    Deno.removeSync(directory);
  }
});

Deno.test("lines on a screen break between words, and no bar is drawn before the steps are counted", () => {
  const { written, reporter } = recorded({ bar: true });
  const text = "Rows that are longer than the screen are broken where a word ends.";
  reporter.report({ ...notice, totalSteps: 0, text } as LogRecord);
  reporter.close();
  assert.equal(
    written.join(""),
    "Rows that are longer than the screen are\nbroken where a word ends.\n",
  );
});

Deno.test("a table of answers fits the screen, its texts wrapped at words", () => {
  const table = {
    prompt: ["What is the capital of France, and how many people live in it?", "Short?"],
    completion: ["word ".repeat(200).trim(), "Yes."],
    accuracy_reward: [1, 0],
    advantage: [0.70711, -0.70711],
  };
  const text = formatAnswers(table, { width: 79 });
  const lines = text.split("\n");
  assert.ok(lines.every((line) => line.length <= 79), text);
  assert.match(lines[0]!, /^prompt +│ completion +│ accuracy_reward │ advantage$/);
  const [, ...cells] = lines.slice(2).map((line) => line.split("│").map((part) => part.trim()));
  const first = lines.slice(2, 8).map((line) => line.split("│")[0]!.trim()).join(" ").trim();
  assert.equal(first, table.prompt[0]);
  assert.match(lines[7]!, /…/);
  assert.ok(cells.some(([prompt, , reward]) => prompt === "Short?" && reward === "0.000"));
});
