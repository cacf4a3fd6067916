/** Finding an adapter of the system. @module */

import { deno } from "../../runtime.ts";

/** Classes of adapters; `software` ones (llvmpipe, SwiftShader) run on the processor. */
export type AdapterClass = "hardware" | "software" | "any";

/** An adapter that is looked for. */
export interface AdapterWish {
  /** Its class; any by default. */
  readonly class?: AdapterClass;
  /** Which of several; `high-performance` is the card of a laptop with two. */
  readonly power?: GPUPowerPreference;
  /** A part of its name, in any case of letters. */
  readonly name?: string;
}

/** All that the system can be asked for. It gives one adapter to each request, and cannot be asked for a list. */
const requests: readonly GPURequestAdapterOptions[] = [
  { powerPreference: "high-performance" },
  { powerPreference: "low-power" },
  { forceFallbackAdapter: true },
];

/** The first adapter that is as wished; undefined when there is none. */
export async function findAdapter(wish: AdapterWish = {}): Promise<GPUAdapter | undefined> {
  const { class: wanted = "any", power, name } = wish;
  const ordered = power === undefined ? requests : [{ powerPreference: power }];
  for (const request of ordered) {
    if (wanted === "hardware" && request.forceFallbackAdapter) continue;
    const adapter = await requestQuietly(request);
    if (adapter === null) continue;
    if (wanted !== "any" && isSoftware(adapter.info) !== (wanted === "software")) continue;
    if (
      name !== undefined &&
      !describeAdapter(adapter.info).toLowerCase().includes(name.toLowerCase())
    ) continue;
    return adapter;
  }
  return undefined;
}

/** The adapters that the system gives, the most powerful first, each once. */
export async function listAdapters(): Promise<readonly GPUAdapter[]> {
  const found = new Map<string, GPUAdapter>();
  for (const request of requests) {
    const adapter = await requestQuietly(request);
    if (adapter === null) continue;
    const { vendor, device } = adapter.info;
    const key = `${vendor} ${device} ${describeAdapter(adapter.info)}`;
    if (!found.has(key)) found.set(key, adapter);
  }
  return [...found.values()];
}

/**
 * Asks for an adapter. Drivers of Mesa complain on standard error where the session has no runtime directory, which
 * they do not need for this; they are given one meanwhile.
 */
async function requestQuietly(request: GPURequestAdapterOptions): Promise<GPUAdapter | null> {
  const name = "XDG_RUNTIME_DIR";
  const missing = deno?.build.os === "linux" && mayUse(name) && !deno.env.get(name);
  if (missing) deno?.env.set(name, "/tmp");
  try {
    return await navigator.gpu.requestAdapter(request);
  } catch {
    return null; // Without any driver the request may throw; that is no adapter either.
  } finally {
    if (missing) deno?.env.delete(name);
  }
}

function mayUse(variable: string): boolean {
  return deno?.permissions.querySync({ name: "env", variable }).state === "granted";
}

/** Whether an adapter imitates a GPU on the processor. */
export function isSoftware(info: GPUAdapterInfo): boolean {
  return info.isFallbackAdapter ||
    /llvmpipe|lavapipe|swiftshader|software|basic render/i.test(
      `${info.description} ${info.device}`,
    );
}

/** An adapter's name, for people. */
export function describeAdapter(info: GPUAdapterInfo): string {
  return info.description || [info.vendor, info.architecture, info.device].join(" ").trim();
}

/** The message of something thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
