/** Opening the device that a command was asked for, and what is to be said of it. @module */

import { type Device, type DeviceName, openDevice } from "../core/mod.ts";
import { linuxCards } from "./doctor/facts.ts";
import { cardsIn } from "./doctor/findings.ts";

/** What a command says of its device. */
export interface AskedDevice {
  /** The device's name. */
  readonly device: DeviceName;
  /** Threads of the CPU device. */
  readonly threads?: number | undefined;
}

/**
 * Opens a device, and says which, and whether a card is left unused.
 *
 * @throws {UserError} as `openDevice`
 */
export async function openAskedDevice(
  { device: name, threads }: AskedDevice,
  say: (text: string) => void,
): Promise<Device> {
  const device = await openDevice(name, threads === undefined ? {} : { threads });
  say(device.description);
  const cards = name === "auto" && device.kind === "cpu" && Deno.build.os === "linux"
    ? linuxCards()
    : [];
  if (cards.length > 0) {
    say(
      `${
        cardsIn(cards)
      } is here and cannot be used: \`plumb env\` says how to mend that. The CPU computes.`
        .replace(/^(The .*) is here/, "$1 are here"),
    );
  }
  return device;
}
