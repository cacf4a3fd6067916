/**
 * `deno task pack`: the npm package, as `deno pack` makes it, with what npm needs beside: the command, the engines, and
 * the exact versions of what it depends on.
 *
 *     deno task pack plumb.tgz
 *
 * @module
 */

import configuration from "../deno.json" with { type: "json" };

const root = new URL("..", import.meta.url).pathname;

async function run(command: string, ...args: readonly string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(command, { args: [...args], cwd: root })
    .output();
  if (!success) throw new Error(`${command} ${args[0]}: ${new TextDecoder().decode(stderr)}`);
}

/** Packs the project into a file. */
export async function pack(output: string): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const packed = `${folder}/packed.tgz`;
    await run(Deno.execPath(), "pack", "--quiet", "--allow-dirty", "--output", packed);
    await run("tar", "-xzf", packed, "-C", folder);
    for (const path of modulesLeft(`${folder}/package`)) await transpile(path);
    const file = `${folder}/package/package.json`;
    const description = JSON.parse(await Deno.readTextFile(file));
    await Deno.writeTextFile(file, JSON.stringify(completed(description), null, 2));
    await Deno.writeTextFile(`${folder}/package/plumb.js`, command);
    await run("tar", "-czf", output, "-C", folder, "package");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Modules that `deno pack` took along as they are: those of workers, which no other imports. */
function modulesLeft(folder: string): string[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) => {
    const path = `${folder}/${name}`;
    if (isDirectory) return modulesLeft(path);
    return name.endsWith(".ts") && !name.endsWith(".d.ts") ? [path] : [];
  });
}

/** Puts JavaScript in the place of a module. */
async function transpile(path: string): Promise<void> {
  const output = path.replace(/ts$/, "js");
  await run(Deno.execPath(), "transpile", "--quiet", "--source-map", "none", path, "-o", output);
  const text = await Deno.readTextFile(output);
  await Deno.writeTextFile(output, text.replaceAll(/(from "\..*?)\.ts"/g, '$1.js"'));
  await Deno.remove(path);
}

function completed(description: object): object {
  return {
    ...description,
    description:
      "Fine-tunes and aligns language models: SFT, DPO, GRPO and their kin, LoRA and QLoRA.",
    bin: { plumb: "./plumb.js" },
    // Node 22 has no shared 64-bit WebAssembly memory.
    engines: { deno: ">=2.9", node: ">=24" },
    dependencies: Object.fromEntries(
      Object.values(configuration.imports).filter((name) => name.startsWith("npm:"))
        .map((name) => /^npm:(.+)@(.+)$/.exec(name)!.slice(1)),
    ),
  };
}

/** The command runs in Deno. */
const command = `#!/usr/bin/env -S deno run -A
import { main } from "./cli/main.js";
Deno.exit(await main(Deno.args));
`;

if (import.meta.main) {
  const [output = `plumb-${configuration.version}.tgz`] = Deno.args;
  await pack(output.startsWith("/") ? output : `${Deno.cwd()}/${output}`);
}
