/** Parity: the project's own tests of the WebGPU device, against float64, golden models and recorded runs. @module */

import type { Section, SectionContext } from "./section.ts";

/** Tests whose names say that they ran on WebGPU. */
interface Suite {
  readonly name: string;
  readonly title: string;
  readonly seconds: number;
  readonly files: readonly string[];
  /** In miniature, only the tests whose names match. */
  readonly few: string;
}

const suites: readonly Suite[] = [
  {
    name: "operators",
    title:
      "Parity: operators and their gradients against float64, attention, the output head, codes",
    seconds: 70,
    files: [
      "operators_test",
      "specials_test",
      "attention_oracle_test",
      "logit_stats_test",
      "quantized_test",
      "random_test",
    ]
      .map((file) => `tests/core/${file}.ts`),
    few: "/^(softmax|matmul|random).*webgpu/",
  },
  {
    name: "models",
    title: "Parity: logits, losses, gradients and AdamW steps of every family against transformers",
    seconds: 60,
    files: ["tests/nn/golden_test.ts"],
    few: "/^llama[^0-9_]*webgpu/",
  },
  {
    name: "runs",
    title: "Parity: whole runs of sft, dpo, grpo and LoRA against TRL, step by step",
    seconds: 60,
    files: ["sft", "preference", "online", "lora"].map((name) =>
      `tests/cli/${name}_recorded_test.ts`
    ),
    few: "/(sft-gpt2|grpo-kl).*webgpu/",
  },
  {
    name: "nf4",
    title: "Parity: adapters, and 8- and 4-bit bases that train",
    seconds: 30,
    files: ["quantize", "adapters", "lora_init"].map((name) => `tests/nn/${name}_test.ts`),
    few: "/(llama_lora: logits|nested_blocks).*webgpu/",
  },
];

/** The parity sections. */
export const paritySections: readonly Section[] = suites.map((suite) => ({
  name: suite.name,
  title: suite.title,
  seconds: suite.seconds,
  parity: true,
  run: (context) => runSuite(suite, context),
}));

async function runSuite({ files, few }: Suite, { small, keep }: SectionContext): Promise<void> {
  const root = new URL("../../", import.meta.url).pathname;
  const filter = small ? few : "webgpu";
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["test", "-A", "--no-check", "--quiet", "--filter", filter, ...files],
    cwd: root,
    env: { PLUMB_REQUIRE_WEBGPU: "1", NO_COLOR: "1" },
    stdout: "piped",
    stderr: "piped",
  }).output();
  const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  const [, passed = "0", failed = "0"] = text.match(/(\d+) passed.*?\| (\d+) failed/) ?? [];
  keep({ passed: Number(passed), failed: Number(failed) });
  const wrong = [...text.matchAll(/^(.+) \.\.\. .*FAILED/gm)].map(([, name]) => name!);
  for (const name of wrong) keep({ "failed test": name });
  if (code !== 0 || Number(passed) === 0) {
    throw new Error(wrong.length > 0 ? `${wrong.length} tests failed` : text.slice(-1500));
  }
}
