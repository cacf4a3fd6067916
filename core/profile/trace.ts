/**
 * A timeline in the Trace Event Format, which Perfetto (ui.perfetto.dev) and chrome://tracing open: a track
 * for the host, one for the device, and the host's waits.
 *
 * @module
 */

/** An event of the format; times are microseconds. */
interface TraceEvent {
  readonly name: string;
  /** `X` is a span, `b` and `e` are the ends of one that may overlap others, `M` names a track. */
  readonly ph: "X" | "b" | "e" | "M";
  readonly pid: number;
  readonly tid: number;
  readonly ts?: number;
  readonly dur?: number;
  readonly cat?: string;
  readonly id?: number;
  readonly args?: Readonly<Record<string, unknown>>;
}

/** Tracks of a timeline. */
export type Track = "host" | "device";

const tracks: Readonly<Record<Track, number>> = { host: 1, device: 2 };

/** Collects events and writes them as JSON. Times are milliseconds of `performance.now()`. */
export class Trace {
  readonly #events: TraceEvent[] = [];
  readonly #origin: number;
  #waits = 0;

  /** @param origin The time shown as 0. */
  constructor(origin: number, device: string) {
    this.#origin = origin;
    const name = (ph: string, tid: number, name: string) =>
      this.#events.push({ name: ph, ph: "M", pid: 1, tid, args: { name } });
    name("process_name", tracks.host, "plumb");
    name("thread_name", tracks.host, "host");
    name("thread_name", tracks.device, `device: ${device}`);
  }

  /** Something that lasted. Spans of a track are apart, or one lies within the other. */
  span(
    track: Track,
    name: string,
    [began, ended]: readonly [number, number],
    args?: Readonly<Record<string, unknown>>,
  ): void {
    const ts = this.#microseconds(began);
    const dur = Math.max(0, Math.round((ended - began) * 1e6) / 1e3);
    const event: TraceEvent = { name, ph: "X", pid: 1, tid: tracks[track], ts, dur };
    this.#events.push(args === undefined ? event : { ...event, args });
  }

  /** The host waiting, which it may do for several things at once. */
  wait(name: string, [began, ended]: readonly [number, number]): void {
    const common = { name, cat: "wait", id: ++this.#waits, pid: 1, tid: tracks.host };
    this.#events.push({ ...common, ph: "b", ts: this.#microseconds(began) });
    this.#events.push({ ...common, ph: "e", ts: this.#microseconds(ended) });
  }

  /** The file's text. */
  json(): string {
    const lines = this.#events.map((event) => JSON.stringify(event)).join(",\n");
    return `{"displayTimeUnit": "ms", "traceEvents": [\n${lines}\n]}\n`;
  }

  #microseconds(ms: number): number {
    return Math.round((ms - this.#origin) * 1e6) / 1e3;
  }
}
