/** By what an adapter is reached. @module */

/** What the system calls the ways to a card, and `DENO_WEBGPU_BACKEND` their names. */
const backends: Readonly<Record<string, string>> = {
  vulkan: "Vulkan",
  metal: "Metal",
  dx12: "Direct3D 12",
  gl: "OpenGL",
};

const usual: Readonly<Record<string, string>> = { darwin: "metal", windows: "dx12" };

const nvidia = "4318"; // 0x10de, as adapters write their makers

/**
 * The way to an adapter, and its driver's version where the system tells: `Vulkan, driver 550.54.14`. WebGPU itself
 * tells neither.
 */
export function describeDriver({ vendor }: Pick<GPUAdapterInfo, "vendor">): string {
  const asked = quietly(() => Deno.env.get("DENO_WEBGPU_BACKEND"))?.split(",")[0]?.trim();
  const name = asked ?? usual[Deno.build.os] ?? "vulkan";
  const version = vendor === nvidia && Deno.build.os === "linux"
    ? quietly(() => Deno.readTextFileSync("/proc/driver/nvidia/version"))
      ?.match(/Module\s+([\d.]+)/)?.[1]
    : undefined;
  return (backends[name] ?? name) + (version === undefined ? "" : `, driver ${version}`);
}

/** What may not be looked at, or is not there, is not told. */
function quietly<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}
