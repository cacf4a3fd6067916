/** Finding an adapter of the system. @module */

/** Classes of adapters; `software` ones (llvmpipe, SwiftShader) run on the processor. */
export type AdapterClass = "hardware" | "software" | "any";

/** The first adapter of a class, the fastest asked for first; undefined when there is none. */
export async function findAdapter(wanted: AdapterClass): Promise<
  GPUAdapter | undefined
> {
  const requests: GPURequestAdapterOptions[] = [
    { powerPreference: "high-performance" },
    {},
    { forceFallbackAdapter: true },
  ];
  for (const request of requests) {
    let adapter: GPUAdapter | null = null;
    try {
      adapter = await navigator.gpu.requestAdapter(request);
    } catch {
      continue; // Without any driver the request may throw; that is no adapter either.
    }
    if (adapter === null) continue;
    if (wanted === "any" || isSoftware(adapter.info) === (wanted === "software")) return adapter;
  }
  return undefined;
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
