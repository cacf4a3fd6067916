/** What a section of the measurement is. @module */

import type { Device } from "../../core/mod.ts";
import type { Row } from "../piece.ts";

/** What a section may use. */
export interface SectionContext {
  /** Miniatures of all work: to see that it runs, not how fast. */
  readonly small: boolean;
  /** Opens the adapter that is measured, and makes it the device that computes. */
  readonly device: () => Promise<Device>;
  /** A Python with torch and TRL, if one was named. */
  readonly python: string | undefined;
  /** Keeps a row, so that a section that is cut leaves those before. */
  readonly keep: (row: Row) => void;
}

/** A section: what it shows, and how long it may take. */
export interface Section {
  /** What `--only` chooses by. */
  readonly name: string;
  /** The heading of its table. */
  readonly title: string;
  /** Seconds after which it is cut. */
  readonly seconds: number;
  /** Whether it is parity: then anything but success is a failure of the whole. */
  readonly parity?: boolean;
  readonly run: (context: SectionContext) => Promise<void>;
}
