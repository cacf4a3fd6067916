/** `plumb env`: what a bug report needs. @module */

import { openDevice } from "../../core/mod.ts";
import { findAdapter } from "../../core/device/webgpu/adapter.ts";
import configuration from "../../deno.json" with { type: "json" };
import { commandOptions } from "../options/script.ts";
import { section } from "../options/option.ts";
import { parse } from "../parse.ts";

const envOptions = section("Command", {
  config: commandOptions.config,
  threads: commandOptions.threads,
  debug: commandOptions.debug,
});

/** Prints platform, versions and devices. */
export const envCommand = {
  name: "env",
  summary: "Prints the platform, the versions and the devices that plumb finds here.",
  options: envOptions,
  run: async (argv: readonly string[]): Promise<number> => {
    const { values } = parse(argv, envOptions);
    const cpu = await openDevice(
      "cpu",
      values.threads === undefined ? {} : { threads: values.threads },
    );
    const lines: [string, string][] = [
      ["plumb", configuration.version],
      [
        "Deno",
        `${Deno.version.deno} (V8 ${Deno.version.v8}, TypeScript ${Deno.version.typescript})`,
      ],
      ["Platform", `${Deno.build.os} ${Deno.osRelease()}, ${Deno.build.arch}`],
      ["Memory", `${(Deno.systemMemoryInfo().total / 2 ** 30).toFixed(1)} GiB`],
      ["CPU device", cpu.description],
      ...await adapters(),
    ];
    cpu.destroy();
    const width = Math.max(...lines.map(([name]) => name.length));
    // deno-lint-ignore no-console -- this command's output
    for (const [name, value] of lines) console.log(`${name.padEnd(width)}  ${value}`);
    return 0;
  },
};

async function adapters(): Promise<[string, string][]> {
  const adapter = await findAdapter("any");
  if (!adapter) return [["WebGPU adapter", "none (no GPU driver was found)"]];
  const { info, limits, features } = adapter;
  const mebibytes = (bytes: number) => `${Math.floor(bytes / 2 ** 20)} MiB`;
  return [
    [
      "WebGPU adapter",
      `${info.description || info.device || info.vendor}${
        info.isFallbackAdapter ? " (software)" : ""
      }`,
    ],
    [
      "WebGPU limits",
      `largest buffer ${mebibytes(limits.maxBufferSize)}, largest binding ` +
      `${
        mebibytes(limits.maxStorageBufferBindingSize)
      }, ${limits.maxStorageBuffersPerShaderStage} buffers per kernel`,
    ],
    [
      "WebGPU features",
      [...features].filter((f) => ["shader-f16", "subgroups", "timestamp-query"].includes(f)).join(
        ", ",
      ) ||
      "none",
    ],
  ];
}
