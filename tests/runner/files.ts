/** The test files, and how long each takes. @module */

const root = new URL("../../", import.meta.url);
const costsFile = new URL("../costs.json", import.meta.url);

/** Seconds that each file took, by its path from the root; without the WebGPU adapter in `quick`. */
export interface Costs {
  /** With the software WebGPU adapter. */
  readonly full: Readonly<Record<string, number>>;
  /** Without. */
  readonly quick: Readonly<Record<string, number>>;
}

/** Files or folders as files: of a folder, the `*_test.ts` in it, sorted. */
export function expandPaths(paths: readonly string[]): string[] {
  return [
    ...new Set(
      paths.flatMap((path) =>
        Deno.statSync(path).isDirectory ? testFilesIn(path.replace(/\/+$/, "")) : [path]
      ),
    ),
  ];
}

function testFilesIn(folder: string): string[] {
  return [...Deno.readDirSync(folder)]
    .sort((a, b) => a.name < b.name ? -1 : 1)
    .flatMap(({ name, isDirectory }) => {
      const path = `${folder}/${name}`;
      if (isDirectory) return name === "fixtures" ? [] : testFilesIn(path);
      return name.endsWith("_test.ts") ? [path] : [];
    });
}

/** Reads the seconds that were measured last. */
export function readCosts(): Costs {
  return JSON.parse(Deno.readTextFileSync(costsFile));
}

/** Keeps new measurements beside those of files that did not run. */
export function writeCosts(costs: Costs): void {
  const sorted = (seconds: Readonly<Record<string, number>>) =>
    Object.fromEntries(
      Object.entries(seconds)
        .filter(([path]) => exists(path))
        .sort(([a], [b]) => a < b ? -1 : 1)
        .map(([path, value]) => [path, Math.round(value * 10) / 10]),
    );
  const text = JSON.stringify({ full: sorted(costs.full), quick: sorted(costs.quick) }, null, 2);
  Deno.writeTextFileSync(costsFile, `${text}\n`);
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(new URL(path, root)).isFile;
  } catch {
    return false;
  }
}
