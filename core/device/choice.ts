/** Names of devices, and what each asks for. @module */

import { UserError } from "../errors.ts";
import type { AdapterWish } from "./webgpu/adapter.ts";

/**
 * Names of devices. `auto` is a hardware WebGPU adapter if there is one, else the CPU; `webgpu` is the first adapter,
 * of software too. Behind a colon stands which adapter: `webgpu:high-performance`, `webgpu:low-power`, or a part of its
 * name such as `webgpu:4090`.
 */
export type DeviceName = "auto" | "cpu" | "webgpu" | `webgpu:${string}`;

/** What a name asks for: the CPU, an adapter, or (`otherwise`) the CPU where there is no such adapter. */
export interface DeviceWish {
  /** The adapter that is looked for; undefined for the CPU. */
  readonly adapter?: AdapterWish;
  /** Whether the CPU will do where there is no such adapter. */
  readonly orCpu: boolean;
}

/**
 * Reads the name of a device.
 *
 * @throws {UserError} if it is none
 */
export function parseDeviceName(name: string): DeviceWish {
  const [kind, ...rest] = name.split(":");
  const which = rest.join(":").trim();
  if (rest.length > 0 && (kind !== "webgpu" || which === "")) {
    throw new UserError(
      `"${name}" is no device: "webgpu:" is followed by high-performance, low-power or a part of the adapter's name.`,
    );
  }
  switch (kind) {
    case "cpu":
      return { orCpu: true };
    case "auto":
      return { adapter: { class: "hardware" }, orCpu: true };
    case "webgpu":
      if (which === "") return { adapter: {}, orCpu: false };
      return which === "high-performance" || which === "low-power"
        ? { adapter: { power: which }, orCpu: false }
        : { adapter: { name: which }, orCpu: false };
    default:
      throw new UserError(
        `There is no device "${name}". Devices: auto, cpu, webgpu, webgpu:high-performance, webgpu:low-power, ` +
          "webgpu:<part of an adapter's name>.",
      );
  }
}

/** The error for an adapter that is not there. @param present The names of those that are. */
export function missingAdapterError(name: string, present: readonly string[]): UserError {
  return new UserError(
    present.length === 0
      ? "There is no WebGPU adapter here: no GPU driver was found. `plumb env` says what is in the way; compute on the " +
        "device cpu meanwhile."
      : `No WebGPU adapter is "${name.replace(/^webgpu:/, "")}". There ${
        present.length === 1 ? "is" : "are"
      }: ${present.join(", ")}.`,
  );
}
