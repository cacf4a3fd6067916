import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { digestOf, plumb, smallRun, temporary } from "./run_command.ts";

Deno.test("profile shows a table of kernels, writes a timeline, and changes no number", async () => {
  using profiled = temporary();
  using plain = temporary();
  const flags = { max_steps: 5, logging_steps: 2 };
  const shown = await plumb("sft", { ...smallRun(profiled.path, flags), profile: true });
  assert.equal(shown.code, 0, shown.stderr);
  assert.match(shown.stderr, /Profile of 3 steps on /);
  assert.match(shown.stderr, /^kernel +ms +share +launches/m);
  assert.match(shown.stderr, /^matmul \d+x\d+x\d+ f32/m);
  const trace = JSON.parse(Deno.readTextFileSync(`${profiled.path}/trace.json`));
  const names = trace.traceEvents.map(({ name }: { readonly name: string }) => name);
  assert.deepEqual(
    names.filter((name: string) => name.startsWith("step ")),
    ["step 1", "step 2", "step 3"],
  );

  const quiet = await plumb("sft", smallRun(plain.path, flags));
  assert.equal(quiet.code, 0, quiet.stderr);
  assert.doesNotMatch(quiet.stderr, /Profile of/);
  assert.ok(!existsSync(`${plain.path}/trace.json`));
  assert.equal(
    digestOf(`${profiled.path}/model.safetensors`),
    digestOf(`${plain.path}/model.safetensors`),
  );
});

Deno.test("a run that is too short for a profile says so", async () => {
  using output = temporary();
  const { code, stderr } = await plumb("sft", {
    ...smallRun(output.path, { max_steps: 2 }),
    profile: true,
  });
  assert.equal(code, 0, stderr);
  assert.match(stderr, /Nothing was profiled: the run had 2 steps, and the first 2/);
  assert.ok(!existsSync(`${output.path}/trace.json`));
});
