/** How long dispatches take, by timestamp queries of the GPU. @module */

/** The most queries a set may have, and two of them are a dispatch's. */
const queriesPerSet = 4096;

/** A pause, in milliseconds, over which the GPU's clock is compared with the host's. */
const calibrationPause = 60;

/** Queries and buffers for so many dispatches. */
interface Room {
  readonly sets: readonly GPUQuerySet[];
  readonly resolved: GPUBuffer;
  readonly staging: GPUBuffer;
}

/** The timestamps of one run. */
export interface Marks {
  /** What the pass of dispatch `index` is begun with. */
  around(index: number): GPUComputePassTimestampWrites;
  /** Ends the command buffer: copies the timestamps to where they can be read. */
  resolve(encoder: GPUCommandEncoder): void;
  /**
   * Start and end of each dispatch, in pairs, in milliseconds on the axis of `performance.now()`.
   *
   * @param began When the host began to enqueue the run: no dispatch is said to be earlier.
   */
  read(began: number): Promise<Float64Array>;
}

/** Timestamp queries of a device, reused from run to run. */
export class Timestamps {
  readonly #device: GPUDevice;
  readonly #created: () => void;
  readonly #free: Room[] = [];
  #tick: Promise<number> | null = null;
  /** What is added to the GPU's milliseconds; its clock begins anywhere. */
  #shift = -Infinity;

  /** @param created Called for each object made. */
  constructor(device: GPUDevice, created: () => void) {
    this.#device = device;
    this.#created = created;
  }

  /** Timestamps for a run of so many dispatches. */
  take(dispatches: number): Marks {
    const room = this.#room(2 * dispatches);
    return {
      around: (index) => ({
        querySet: room.sets[Math.floor(2 * index / queriesPerSet)]!,
        beginningOfPassWriteIndex: 2 * index % queriesPerSet,
        endOfPassWriteIndex: 2 * index % queriesPerSet + 1,
      }),
      resolve: (encoder) => {
        for (let first = 0; first < 2 * dispatches; first += queriesPerSet) {
          const set = room.sets[first / queriesPerSet]!;
          const count = Math.min(queriesPerSet, 2 * dispatches - first);
          encoder.resolveQuerySet(set, 0, count, room.resolved, 8 * first);
        }
        encoder.copyBufferToBuffer(room.resolved, 0, room.staging, 0, 16 * dispatches);
      },
      read: async (began) => {
        const ticks = await this.#ticks(room, 2 * dispatches);
        // The first run is waited for before the second, so the GPU is idle now.
        const tick = await (this.#tick ??= this.#calibrate());
        this.#shift = Math.max(this.#shift, began - Number(ticks[0] ?? 0n) * tick);
        const shift = this.#shift;
        return Float64Array.from(ticks, (value) => Number(value) * tick + shift);
      },
    };
  }

  #room(queries: number): Room {
    const at = this.#free.findIndex(({ staging }) => staging.size >= 8 * queries);
    if (at >= 0) return this.#free.splice(at, 1)[0]!;
    const count = Math.max(1, Math.ceil(queries / queriesPerSet));
    const buffer = (usage: number) =>
      this.#device.createBuffer({ label: "timestamps", size: 8 * count * queriesPerSet, usage });
    for (let i = 0; i < count + 2; i++) this.#created();
    return {
      sets: Array.from(
        { length: count },
        () => this.#device.createQuerySet({ type: "timestamp", count: queriesPerSet }),
      ),
      resolved: buffer(GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC),
      staging: buffer(GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST),
    };
  }

  async #ticks({ staging, ...room }: Room, count: number): Promise<BigUint64Array> {
    await staging.mapAsync(GPUMapMode.READ, 0, 8 * count);
    const ticks = new BigUint64Array(staging.getMappedRange(0, 8 * count).slice(0));
    staging.unmap();
    this.#free.push({ staging, ...room });
    return ticks;
  }

  /**
   * Milliseconds of a tick. The standard says that a tick is a nanosecond, but implementations hand on the
   * hardware's ticks, so the clocks are compared, and a nanosecond it is unless that is plainly wrong.
   */
  async #calibrate(): Promise<number> {
    const first = await this.#now();
    await new Promise((resolve) => setTimeout(resolve, calibrationPause));
    const second = await this.#now();
    const measured = (second.host - first.host) / Number(second.ticks - first.ticks);
    return Math.abs(measured / 1e-6 - 1) < 0.25 ? 1e-6 : measured;
  }

  /** Both clocks. */
  async #now(): Promise<{ readonly host: number; readonly ticks: bigint }> {
    const room = this.#room(2);
    const encoder = this.#device.createCommandEncoder({ label: "calibration" });
    encoder.beginComputePass({
      timestampWrites: {
        querySet: room.sets[0]!,
        beginningOfPassWriteIndex: 0,
        endOfPassWriteIndex: 1,
      },
    }).end();
    encoder.resolveQuerySet(room.sets[0]!, 0, 2, room.resolved, 0);
    encoder.copyBufferToBuffer(room.resolved, 0, room.staging, 0, 16);
    const host = performance.now();
    this.#device.queue.submit([encoder.finish()]);
    const [ticks] = await this.#ticks(room, 2);
    return { host, ticks: ticks! };
  }
}

/** The span of each launch from those of its dispatches; one without any ends where the one before did. */
export function launchTimes(
  spans: Float64Array,
  steps: readonly { readonly launch: number }[],
  launches: number,
): Float64Array {
  const times = new Float64Array(2 * launches).fill(NaN);
  steps.forEach(({ launch }, i) => {
    if (Number.isNaN(times[2 * launch])) times[2 * launch] = spans[2 * i]!;
    times[2 * launch + 1] = spans[2 * i + 1]!;
  });
  for (let i = 0; i < launches; i++) {
    if (!Number.isNaN(times[2 * i])) continue;
    const before = i > 0 ? times[2 * i - 1]! : spans[0] ?? 0;
    times.fill(before, 2 * i, 2 * i + 2);
  }
  return times;
}
