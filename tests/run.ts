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
  const plain = tail.replaceAll(/\u001b\[[0-9;]*m/g, "");
  const summary = [...plain.matchAll(/(\d+) passed.*?\| (\d+) failed/g)].at(-1);
  const [passed, failed] = [Number(summary?.[1] ?? 0), Number(summary?.[2] ?? 0)];
  // A run that ends badly has failed, whatever it counted.
  const bad = code !== 0 || !summary;
  return { code: bad ? code || 1 : 0, passed, failed: bad ? Math.max(1, failed) : failed };
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
// Examples are run, not checked: what `--doc` imports for them is more than they use.
const runs = Deno.args.length > 0 ? [Deno.args] : [["tests"], ["--doc", "--no-check", ...examples]];
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
