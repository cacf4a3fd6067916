/** What the doctor says of situations, each a file of facts. @module */

import assert from "node:assert/strict";
import { autoChoice, findings } from "../../../cli/doctor/findings.ts";
import { type Facts, linuxCards, type System } from "../../../cli/doctor/facts.ts";
import { fixture } from "../../data/fixture_files.ts";

interface Situation {
  readonly situation: string;
  readonly facts: Facts;
  readonly auto: unknown;
  readonly findings: unknown;
}

const situations = Array.from(
  Deno.readDirSync(fixture("doctor")),
  ({ name }): Situation => JSON.parse(Deno.readTextFileSync(fixture(`doctor/${name}`))),
);

for (const { situation, facts, auto, findings: right } of situations) {
  Deno.test(`the doctor knows ${situation}, and what auto takes there`, () => {
    // As in a file, where what is undefined is not written.
    assert.deepEqual(JSON.parse(JSON.stringify(findings(facts))), right);
    assert.deepEqual(JSON.parse(JSON.stringify(autoChoice(facts))), auto);
  });
}

Deno.test("auto never takes software, whatever else there is", () => {
  for (const { facts } of situations) {
    const software = facts.adapters.filter((adapter) => adapter.software);
    assert.equal(autoChoice({ ...facts, adapters: software }).device, "cpu");
  }
});

/** A system of files: a directory ends in a slash, and what is marked "denied" may not be opened. */
function systemOf(files: Readonly<Record<string, string>>): System {
  return {
    text: (path) => files[path],
    names: (path) => [
      ...new Set(
        Object.keys(files).filter((file) => file.startsWith(`${path}/`))
          .map((file) => file.slice(path.length + 1).split("/")[0]!),
      ),
    ],
    exists: (path) =>
      Object.keys(files).some((file) => file === path || file.startsWith(`${path}/`)),
    opens: (path) => path in files && files[path] !== "denied",
    variable: () => undefined,
  };
}

Deno.test("cards are those that can compute: a server's console is none", () => {
  const render = "/sys/class/drm/renderD128/device/vendor";
  assert.deepEqual(linuxCards(systemOf({ "/sys/class/drm/card0/device/vendor": "0x1a03" })), []);
  assert.deepEqual(
    linuxCards(systemOf({ [render]: "0x1002\n", "/dev/dri/renderD128": "denied" })),
    [
      { vendor: "amd", node: "/dev/dri/renderD128", access: "denied" },
    ],
  );
  assert.deepEqual(linuxCards(systemOf({ [render]: "0x8086\n" })), [
    { vendor: "intel", node: null, access: "absent" },
  ]);
  const slot = "/sys/bus/pci/devices/0000:01:00.0";
  assert.deepEqual(
    linuxCards(systemOf({ [`${slot}/vendor`]: "0x10de", [`${slot}/class`]: "0x030200" })),
    [
      { vendor: "nvidia", node: null, access: "absent" },
    ],
  );
  const sound = { [`${slot}/vendor`]: "0x10de", [`${slot}/class`]: "0x040300" };
  assert.deepEqual(linuxCards(systemOf(sound)), []);
  assert.deepEqual(
    linuxCards(systemOf({ "/dev/nvidia0": "", [render]: "0x10de", "/dev/nvidiactl": "" })),
    [
      { vendor: "nvidia", node: "/dev/nvidia0", access: "open" },
    ],
  );
});
