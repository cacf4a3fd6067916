/** The WebGPU adapter of the tests, if there is to be one. @module */

import type { Device } from "../core/device/device.ts";
import { openWebGpu } from "../core/device/webgpu/device.ts";

/**
 * Opens the adapter, a software one too. Where there is none its tests are skipped, and that is printed; with
 * `PLUMB_REQUIRE_WEBGPU=1` they fail. `PLUMB_REQUIRE_WEBGPU=0` leaves the adapter alone.
 *
 * @throws {Error} When an adapter is required and there is none.
 */
export async function openAdapter(
  options?: Parameters<typeof openWebGpu>[0],
): Promise<Device | undefined> {
  const required = Deno.env.get("PLUMB_REQUIRE_WEBGPU");
  const gpu = required === "0" ? undefined : await openWebGpu(options);
  if (gpu) return gpu;
  if (required === "1") {
    throw new Error("PLUMB_REQUIRE_WEBGPU=1, but the system has no WebGPU adapter.");
  }
  // deno-lint-ignore no-console -- a skipped half of the tests must be seen
  console.log(
    required === "0" ? "skipped: the tests on WebGPU" : "skipped: no WebGPU adapter on this system",
  );
  return undefined;
}
