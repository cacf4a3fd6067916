/**
 * Packs everything that the measurement needs into `bench/gpu/packed/`, for a machine with a card and without a
 * network: the project, Deno, the packages from npm, and the Vulkan loader.
 *
 *     deno run -A bench/gpu/pack.ts [--without-project]
 *     bench/gpu/run.sh [flags of main.ts]     # on the other machine
 *
 * `--without-project` leaves the project out, where its checkout goes along anyway.
 *
 * @module
 */

const root = new URL("../../", import.meta.url).pathname;
const packed = new URL("packed/", import.meta.url).pathname;

/** What all of it may take: what people can carry in one go. */
const limit = 64 * 2 ** 20;

async function run(
  command: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<void> {
  const { code, stderr } = await new Deno.Command(command, { args: [...args], cwd: root, env })
    .output();
  if (code !== 0) {
    throw new Error(`${command} ${args[0]} failed: ${new TextDecoder().decode(stderr)}`);
  }
}

const loaders = ["x86_64", "aarch64"].map((cpu) => `/usr/lib/${cpu}-linux-gnu/libvulkan.so.1`);

await Deno.remove(packed, { recursive: true }).catch(() => {});
await Deno.mkdir(packed);
// The project as it is committed; what is measured has a name.
if (!Deno.args.includes("--without-project")) {
  await run("git", ["archive", "--format=tar.gz", "-o", `${packed}/project.tar.gz`, "HEAD"]);
}
const cache = await Deno.makeTempDir({ prefix: "plumb-pack-" });
try {
  const tests = ["core", "nn", "cli", "train"].map((part) => `tests/${part}`);
  const modules: string[] = [];
  for (const directory of tests) {
    for await (const { name } of Deno.readDir(root + directory)) {
      if (name.endsWith(".ts")) modules.push(`${directory}/${name}`);
    }
  }
  await run(Deno.execPath(), [
    "cache",
    "--no-check",
    "cli/main.ts",
    "bench/gpu/main.ts",
    ...modules,
  ], {
    DENO_DIR: cache,
  });
  // What Deno makes of the project's own files it makes again; the packages are what a network is needed for.
  await run("tar", ["-C", cache, "-czf", `${packed}/npm.tar.gz`, "npm"]);
} finally {
  await Deno.remove(cache, { recursive: true });
}
const deno = await Deno.open(await Deno.realPath(Deno.execPath()));
const compressed = await Deno.create(`${packed}/deno.gz`);
await deno.readable.pipeThrough(new CompressionStream("gzip")).pipeTo(compressed.writable);
for (const path of loaders) {
  const real = await Deno.realPath(path).catch(() => undefined);
  if (real) await Deno.copyFile(real, `${packed}/libvulkan.so.1`);
}

let total = 0;
for await (const { name } of Deno.readDir(packed)) {
  const { size } = await Deno.stat(packed + name);
  total += size;
  // deno-lint-ignore no-console -- what was packed
  console.log(`${(size / 2 ** 20).toFixed(1).padStart(6)} MiB  ${name}`);
}
// deno-lint-ignore no-console -- what was packed
console.log(
  `${(total / 2 ** 20).toFixed(1).padStart(6)} MiB  together (at most ${limit / 2 ** 20})`,
);
if (total > limit) Deno.exit(1);
