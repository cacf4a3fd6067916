/** What a run did beside what the machine can do: one short probe, kept for the next run. @module */

import type { Device } from "../../core/mod.ts";
import { measureRoofline } from "../../core/profile/roofline.ts";
import { version } from "../../core/version.ts";
import type { LogRecord } from "./progress.ts";

/** Runs shorter than this, in seconds, are not worth the probe. */
const worthProbing = 20;

/** Counts a run's arithmetic and time. */
export interface RoofGauge {
  /** Takes note of the run's begin and end. */
  readonly follow: (record: LogRecord) => void;
  /**
   * After the run: `43 % of the machine's 374 GFLOP/s`, what the matrix products would need at their best over what
   * the run took; undefined where it was short, or the probe failed.
   */
  readonly share: () => Promise<string | undefined>;
}

/** A gauge for a device. */
export function roofGauge(device: Device): RoofGauge {
  let began = 0;
  let did: { readonly flops: number; readonly seconds: number } | undefined;
  return {
    follow: ({ kind, elapsedSeconds }) => {
      const { flops } = device.counters();
      if (kind === "begin") began = flops;
      if (kind === "end") did = { flops: flops - began, seconds: elapsedSeconds };
    },
    share: async () => {
      if (did === undefined || did.seconds < worthProbing || did.flops === 0) return undefined;
      const rate = did.flops / did.seconds;
      const roof = await roofOf(device, rate);
      if (roof === undefined) return undefined;
      return `${Math.round(100 * rate / roof)} % of the machine's ${
        (roof / 1e9).toFixed(0)
      } GFLOP/s`;
    },
  };
}

/**
 * The best rate of a large product, in FLOP/s: the highest that was ever measured here, for other work on the machine
 * only ever lowers it. Undefined where it cannot be measured.
 *
 * @param reached A rate that was reached: a kept roof below it was measured on a busy machine.
 */
async function roofOf(device: Device, reached: number): Promise<number | undefined> {
  const path = cacheFile();
  const kept = path === undefined ? {} : readRoofs(path);
  const key = `plumb ${version}, ${device.description}`;
  const known = kept[key];
  if (known !== undefined && known >= reached) return known;
  try {
    const { flopsPerMs } = await measureRoofline(device);
    const roof = Math.max(flopsPerMs * 1000, known ?? 0);
    if (path !== undefined) writeRoofs(path, { ...kept, [key]: roof });
    return Math.max(roof, reached);
  } catch {
    return undefined; // no memory left for the probe, or a lost device: the run itself is done
  }
}

function cacheFile(): string | undefined {
  try {
    const home = Deno.env.get("HOME") ?? Deno.env.get("USERPROFILE");
    const cache = Deno.env.get("XDG_CACHE_HOME") ??
      (home === undefined ? undefined : `${home}/.cache`);
    return cache === undefined ? undefined : `${cache}/plumb/roofs.json`;
  } catch {
    return undefined; // the environment may not be read
  }
}

function readRoofs(path: string): Readonly<Record<string, number>> {
  try {
    const entries = Object.entries(JSON.parse(Deno.readTextFileSync(path)) as object);
    return Object.fromEntries(entries.filter(([, roof]) => typeof roof === "number" && roof > 0));
  } catch {
    return {}; // not there yet, or damaged: it is measured anew
  }
}

function writeRoofs(path: string, roofs: Readonly<Record<string, number>>): void {
  try {
    Deno.mkdirSync(path.replace(/\/[^/]*$/, ""), { recursive: true });
    Deno.writeTextFileSync(`${path}.tmp`, JSON.stringify(roofs, null, 2));
    Deno.renameSync(`${path}.tmp`, path);
  } catch {
    // A read-only home: the next run measures again.
  }
}
