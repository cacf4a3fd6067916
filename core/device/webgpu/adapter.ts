/** Finding an adapter of the system. @module */

/** Classes of adapters; `software` ones (llvmpipe, SwiftShader) run on the processor. */
export type AdapterClass = "hardware" | "software" | "any";

/** What to ask for, in order. A GPU, if there is one, is what the first request gives. */
const requests: Readonly<Record<AdapterClass, readonly GPURequestAdapterOptions[]>> = {
  hardware: [{ powerPreference: "high-performance" }],
  software: [{ forceFallbackAdapter: true }, {}],
  any: [{ powerPreference: "high-performance" }, {}, { forceFallbackAdapter: true }],
};

/** The first adapter of a class; undefined when there is none. */
export async function findAdapter(wanted: AdapterClass): Promise<GPUAdapter | undefined> {
  for (const request of requests[wanted]) {
    const adapter = await requestQuietly(request);
    if (adapter === null) continue;
    if (wanted === "any" || isSoftware(adapter.info) === (wanted === "software")) return adapter;
  }
  return undefined;
}

/**
 * Asks for an adapter. Drivers of Mesa complain on standard error where the session has no runtime directory, which
 * they do not need for this; they are given one meanwhile.
 */
async function requestQuietly(request: GPURequestAdapterOptions): Promise<GPUAdapter | null> {
  const name = "XDG_RUNTIME_DIR";
  const missing = Deno.build.os === "linux" && mayUse(name) && Deno.env.get(name) === undefined;
  if (missing) Deno.env.set(name, "/tmp");
  try {
    return await navigator.gpu.requestAdapter(request);
  } catch {
    return null; // Without any driver the request may throw; that is no adapter either.
  } finally {
    if (missing) Deno.env.delete(name);
  }
}

function mayUse(variable: string): boolean {
  return Deno.permissions.querySync({ name: "env", variable }).state === "granted";
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
