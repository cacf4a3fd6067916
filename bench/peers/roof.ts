/**
 * Measures what a device can do at best; prints it as a line of JSON.
 *
 *     deno run -A bench/peers/roof.ts cpu+blas|cpu|webgpu
 *
 * @module
 */

import process from "node:process";
import { measureRoofline } from "../../core/profile/roofline.ts";
import { type BackendName, openBackend } from "../backend.ts";

if (import.meta.main) {
  const backend = await openBackend(Deno.args[0] as BackendName);
  if (backend === undefined) throw new Error(`There is no ${Deno.args[0]} on this system.`);
  process.stdout.write(`${JSON.stringify(await measureRoofline(backend.device))}\n`);
  backend.device.destroy();
}
