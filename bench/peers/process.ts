/** Processes measured from outside, so that nobody's clock is trusted but ours. @module */

/** What to run. */
export interface Command {
  readonly path: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** A line that a process printed. */
export interface Line {
  /** Milliseconds since the process was started. */
  readonly ms: number;
  readonly text: string;
}

/** What was seen of a process. */
export interface Seen {
  /** Lines of standard output and standard error, in the order of their arrival. */
  readonly lines: readonly Line[];
  /** The most memory it held, in bytes; null where the system does not tell. */
  readonly peakBytes: number | null;
}

/** How often memory is looked at, in milliseconds; the system keeps the peak, and only the end is missed. */
const lookEvery = 25;

/** Runs a process to its end. Throws, with its last words, if it fails. */
export async function runSeen(command: Command): Promise<Seen> {
  const started = performance.now();
  const child = new Deno.Command(command.path, {
    args: [...command.args],
    ...(command.env ? { env: { ...command.env } } : {}),
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const lines: Line[] = [];
  let peakBytes: number | null = null;
  const look = () => peakBytes = peakOf(child.pid) ?? peakBytes;
  const timer = setInterval(look, lookEvery);
  const read = async (stream: ReadableStream<Uint8Array>) => {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of stream) {
      const ms = performance.now() - started;
      look();
      const [...whole] = (rest + decoder.decode(chunk, { stream: true })).split(/\r?\n|\r/);
      rest = whole.pop() ?? "";
      for (const text of whole) lines.push({ ms, text });
    }
    if (rest !== "") lines.push({ ms: performance.now() - started, text: rest });
  };
  try {
    const [status] = await Promise.all([child.status, read(child.stdout), read(child.stderr)]);
    if (status.code !== 0) {
      const words = lines.slice(-30).map(({ text }) => text).join("\n");
      throw new Error(`${command.path} ${command.args.join(" ")} failed:\n${words}`);
    }
  } finally {
    clearInterval(timer);
  }
  return { lines, peakBytes };
}

/** The most memory a process held so far, where the system tells (Linux). */
function peakOf(pid: number): number | null {
  try {
    const status = Deno.readTextFileSync(`/proc/${pid}/status`);
    const match = /^VmHWM:\s*(\d+) kB$/m.exec(status);
    return match ? 1024 * Number(match[1]) : null;
  } catch {
    return null;
  }
}
