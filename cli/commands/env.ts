/** `plumb env`: what a bug report needs, and what stands between a graphics card and plumb. @module */

import { openDevice } from "../../core/mod.ts";
import { standardOutput } from "../../core/terminal.ts";
import { describeAdapter, isSoftware, listAdapters } from "../../core/device/webgpu/adapter.ts";
import { describeDriver } from "../../core/device/webgpu/driver.ts";
import { version } from "../../core/version.ts";
import { type Facts, gatherFacts } from "../doctor/facts.ts";
import { autoChoice, findings } from "../doctor/findings.ts";
import { wrap } from "../help.ts";
import { commandOptions } from "../../train/settings/script.ts";
import { section } from "../../train/settings/option.ts";
import { parse } from "../parse.ts";

const envOptions = section("Command", {
  config: commandOptions.config,
  threads: commandOptions.threads,
  debug: commandOptions.debug,
});

/** Features that some kernels use. */
const wellKnownFeatures = new Set<string>(["shader-f16", "subgroups", "timestamp-query"]);

type Line = readonly [name: string, value: string];

/** Prints platform, versions and devices. */
export const envCommand = {
  name: "env",
  options: envOptions,
  run: async (argv: readonly string[]): Promise<number> => {
    const { values } = parse(argv, envOptions);
    const adapters = await listAdapters();
    const facts = gatherFacts(adapters);
    const lines: Line[] = [
      ["plumb", version],
      [
        "Deno",
        `${Deno.version.deno} (V8 ${Deno.version.v8}, TypeScript ${Deno.version.typescript})`,
      ],
      ["Platform", platform(facts)],
      ["Memory", memory()],
      ["CPU device", await cpuDevice(values.threads)],
      ...adapterLines(adapters),
      ["auto takes", autoLine(facts)],
      ...cardLines(facts),
      ...Object.entries(facts.environment),
    ];
    print(lines);
    const found = findings(facts);
    if (found.length > 0) printText("");
    for (const { what, remedy } of found) {
      printWrapped(what, "");
      if (remedy !== undefined) printWrapped(remedy, "    ");
    }
    return 0;
  },
};

function platform({ container, wsl }: Facts): string {
  const place = wsl ? ", in Windows" : container === null ? "" : `, in a container (${container})`;
  const release = tried(() => ` ${Deno.osRelease()}`) ?? "";
  return `${Deno.build.os}${release}, ${Deno.build.arch}${place}`;
}

function memory(): string {
  const total = tried(() => Deno.systemMemoryInfo().total);
  return total === undefined
    ? "not told (run with --allow-sys)"
    : `${(total / 2 ** 30).toFixed(1)} GiB`;
}

async function cpuDevice(threads: number | undefined): Promise<string> {
  const cpu = await openDevice("cpu", threads === undefined ? {} : { threads });
  try {
    return cpu.description;
  } finally {
    cpu.destroy();
  }
}

/** A figure that Deno may have been forbidden to look at. */
function tried<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) return undefined;
    throw error;
  }
}

function adapterLines(adapters: readonly GPUAdapter[]): Line[] {
  if (adapters.length === 0) return [["WebGPU adapter", "none"]];
  const mebibytes = (bytes: number) => `${Math.floor(bytes / 2 ** 20)} MiB`;
  return adapters.flatMap(({ info, limits, features }): Line[] => {
    const known = [...features].filter((name) => wellKnownFeatures.has(name));
    return [
      [
        "WebGPU adapter",
        `${describeAdapter(info)}, ${describeDriver(info)}${isSoftware(info) ? " (software)" : ""}`,
      ],
      [
        "  limits",
        `largest buffer ${mebibytes(limits.maxBufferSize)}, largest binding ` +
        `${mebibytes(limits.maxStorageBufferBindingSize)}, ` +
        `${limits.maxStorageBuffersPerShaderStage} buffers per kernel`,
      ],
      ["  features", known.join(", ") || "none"],
    ];
  });
}

function autoLine(facts: Facts): string {
  const { device, adapter, because } = autoChoice(facts);
  return `${device === "cpu" ? "the CPU device" : adapter}. ${because}`;
}

function cardLines({ cards, nvidiaDriver }: Facts): Line[] {
  const access = { open: "", denied: ", may not be opened", absent: ", no file to reach it" };
  return [
    ...cards.map((card): Line => [
      "Card",
      `${card.vendor}${card.node ? ` at ${card.node}` : ""}${access[card.access]}`,
    ]),
    ...nvidiaDriver === null ? [] : [["NVIDIA driver", nvidiaDriver] as const],
  ];
}

function print(lines: readonly Line[]): void {
  const width = Math.max(...lines.map(([name]) => name.length));
  for (const [name, value] of lines) {
    const [first, ...more] = wrap(value, 80 - width - 2);
    printText(`${name.padEnd(width)}  ${first}`);
    for (const line of more) printText(" ".repeat(width + 2) + line);
  }
}

function printWrapped(text: string, indent: string): void {
  for (const line of wrap(text, 80 - indent.length)) printText(indent + line);
}

function printText(text: string): void {
  standardOutput.write(`${text}\n`);
}
