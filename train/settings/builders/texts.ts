/** Options that are a text, a path or the name of a device. @module */

import { type DeviceName, parseDeviceName } from "../../../core/device/choice.ts";
import type { Option, Reading } from "../option.ts";
import { type Always, bad, declare, good, isNone, type Spec, text } from "./declare.ts";

/** Any text; `shown` is the placeholder in the help (TEXT, PATH). */
export function string(
  spec: Always<string, Spec<string> & { readonly shown?: string }>,
): Option<string>;
/** The same, undefined where it is not set. */
export function string(
  spec: Spec<string> & { readonly shown?: string },
): Option<string | undefined>;
export function string(
  spec: Spec<string> & { readonly shown?: string },
): Option<string | undefined> {
  return declare(spec, {
    type: "string",
    shown: spec.shown ?? "TEXT",
    expected: "text (in YAML, quote what would read as a number or a truth value)",
    noneIsText: true,
    read: (raw) => {
      const value = text(raw);
      return value === undefined ? bad : good(value);
    },
  });
}

/** What a model may be given for. */
interface ModelSpec extends Spec<string> {
  /** What of it is wanted; the model itself by default. */
  readonly names?: Option<string>["names"];
}

/** A model by its directory or by its name on the Hub, or what comes with models. */
export function model(spec: Always<string, ModelSpec>): Option<string>;
/** The same, undefined where it is not set. */
export function model(spec: ModelSpec): Option<string | undefined>;
export function model(spec: ModelSpec): Option<string | undefined> {
  return declare(spec, {
    type: "string",
    shown: "MODEL",
    names: spec.names ?? "model",
    expected: "a directory, or a name on the Hub such as Qwen/Qwen2.5-0.5B",
    noneIsText: true,
    read: (raw) => {
      const value = text(raw);
      return value === undefined || value === "" ? bad : good(value);
    },
  });
}

/** The name of a device. */
export function device(
  spec: Spec<DeviceName> & { readonly default: DeviceName },
): Option<DeviceName> {
  const read = (raw: unknown): Reading<DeviceName> => {
    try {
      parseDeviceName(String(raw));
      return good(raw as DeviceName);
    } catch {
      return bad;
    }
  };
  const option = declare(spec, {
    type: "DeviceName",
    shown: "auto|cpu|webgpu[:WHICH]",
    expected:
      "auto, cpu, webgpu, webgpu:high-performance, webgpu:low-power or webgpu:PART_OF_A_NAME",
    noneIsText: true,
    read,
  });
  return { ...option, default: spec.default, read };
}

/** A path, or a bare flag: `--resume_from_checkpoint` or `--resume_from_checkpoint out/checkpoint-10`. */
export function pathOrTrue(spec: Spec<string | true>): Option<string | true | undefined> {
  return declare<string | true | undefined>(spec, {
    type: "string | true",
    shown: "[PATH]",
    expected: "a path, or true for the newest one",
    arity: "optional",
    negatable: true,
    read: (raw) => {
      // Only the words, so that a directory may be called "1" or "y".
      const word = typeof raw === "string" ? raw.toLowerCase() : raw;
      if (word === true || word === "true") return good(true as const);
      if (word === false || word === "false") return good(undefined);
      return typeof raw === "string" && raw !== "" && !isNone(raw) ? good(raw) : bad;
    },
  });
}
