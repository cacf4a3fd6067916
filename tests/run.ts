/**
 * Runs all tests, and the examples in doc comments, and ends with a line `N passed, N failed`.
 *
 *     deno task test [paths or flags of deno test]
 *
 * @module
 */

/** Runs `deno test` and gives its exit code and counts. */
async function run(
  args: readonly string[],
): Promise<{ code: number; passed: number; failed: number }> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["test", "-A", ...args],
    stdout: "piped",
  }).spawn();
  const decoder = new TextDecoder();
  let tail = "";
  for await (const chunk of child.stdout) {
    Deno.stdout.writeSync(chunk);
    tail = (tail + decoder.decode(chunk, { stream: true })).slice(-2000);
  }
  const { code } = await child.status;
  // deno-lint-ignore no-control-regex -- the summary may be coloured
  const summary = tail.replaceAll(/\u001b\[[0-9;]*m/g, "").match(/(\d+) passed.*?\| (\d+) failed/);
  return {
    code,
    passed: Number(summary?.[1] ?? 0),
    failed: Number(summary?.[2] ?? (code === 0 ? 0 : 1)),
  };
}

const documented = [
  "mod.ts",
  "core/mod.ts",
  "core/jit.ts",
  "core/create.ts",
  "core/grad.ts",
  "nn/mod.ts",
];
const examples = [...documented, "nn/generate.ts", "rl/mod.ts", "data/mod.ts", "train/mod.ts"];
const runs = Deno.args.length > 0 ? [Deno.args] : [["tests"], ["--doc", ...examples]];
let [passed, failed, code] = [0, 0, 0];
for (const args of runs) {
  const result = await run(args);
  passed += result.passed;
  failed += result.failed;
  code ||= result.code;
}
// deno-lint-ignore no-console -- the closing line
console.log(`${passed} passed, ${failed} failed`);
Deno.exit(code);
