/** What a system shows of its graphics cards: facts, which others judge. @module */

import { describeAdapter, isSoftware } from "../../core/device/webgpu/adapter.ts";

/** Makers of cards, and what is none of theirs. */
export type Vendor = "nvidia" | "amd" | "intel" | "other";

/** A card on the system's buses. */
export interface Card {
  /** Who made it. */
  readonly vendor: Vendor;
  /** The file by which programs reach it; null where the system offers none. */
  readonly node: string | null;
  /** Whether this user may open that file. */
  readonly access: "open" | "denied" | "absent";
}

/** A file that names a Vulkan driver. */
export interface DriverFile {
  /** Its path. */
  readonly path: string;
  /** The library it names; null where the file cannot be read. */
  readonly library: string | null;
  /** Whether that library is there. */
  readonly present: boolean;
}

/** An adapter that WebGPU gives. */
export interface AdapterFact {
  /** Its name. */
  readonly name: string;
  /** Whether it computes on the processor. */
  readonly software: boolean;
}

/** Everything that the doctor looks at. */
export interface Facts {
  /** The operating system. */
  readonly os: "linux" | "darwin" | "windows" | "other";
  /** What WebGPU gives, the most powerful first. */
  readonly adapters: readonly AdapterFact[];
  /** Cards on the buses, as far as the system shows them. */
  readonly cards: readonly Card[];
  /** Version of NVIDIA's kernel driver; null where it is not loaded. */
  readonly nvidiaDriver: string | null;
  /** Whether the Vulkan loader is there. */
  readonly loader: boolean;
  /** The Vulkan drivers that the loader would find. */
  readonly drivers: readonly DriverFile[];
  /** The variables that matter, as far as they are set. */
  readonly environment: Readonly<Record<string, string>>;
  /** The container this runs in; null outside. */
  readonly container: "docker" | "podman" | "kubernetes" | "apptainer" | "container" | null;
  /** Windows' Linux. */
  readonly wsl: boolean;
  /** Whether Windows hands its card through. */
  readonly dxg: boolean;
}

/** Variables of loaders, drivers and containers that decide which adapters there are. */
export const deviceVariables = [
  "DENO_WEBGPU_BACKEND",
  "VK_DRIVER_FILES",
  "VK_ICD_FILENAMES",
  "VK_ADD_DRIVER_FILES",
  "VK_LOADER_DEVICE_SELECT",
  "VK_LOADER_DRIVERS_SELECT",
  "VK_LOADER_DRIVERS_DISABLE",
  "MESA_VK_DEVICE_SELECT",
  "DRI_PRIME",
  "NVIDIA_VISIBLE_DEVICES",
  "NVIDIA_DRIVER_CAPABILITIES",
  "CUDA_VISIBLE_DEVICES",
] as const;

/** Where the system keeps what is looked at; another root in tests. */
export interface System {
  /** The text of a file; undefined where it cannot be read. */
  readonly text: (path: string) => string | undefined;
  /** Names in a directory; none where it cannot be read. */
  readonly names: (path: string) => readonly string[];
  /** Whether something is at a path. */
  readonly exists: (path: string) => boolean;
  /** Whether a file may be opened to read and write. */
  readonly opens: (path: string) => boolean;
  /** A variable of the environment. */
  readonly variable: (name: string) => string | undefined;
}

/** Runs what may fail for lack of a file or of a permission. */
function quietly<T>(read: () => T, otherwise: T): T {
  try {
    return read();
  } catch {
    return otherwise;
  }
}

/** This system; what may not be looked at counts as not there. */
export const thisSystem: System = {
  text: (path) => quietly(() => Deno.readTextFileSync(path), undefined),
  names: (path) => quietly(() => Array.from(Deno.readDirSync(path), ({ name }) => name).sort(), []),
  exists: (path) => quietly(() => Deno.statSync(path) !== undefined, false),
  opens: (path) =>
    quietly(() => {
      Deno.openSync(path, { read: true, write: true }).close();
      return true;
    }, false),
  variable: (name) => quietly(() => Deno.env.get(name), undefined),
};

/** Looks at the system. @param adapters What WebGPU gives. */
export function gatherFacts(
  adapters: readonly Pick<GPUAdapter, "info">[],
  system: System = thisSystem,
): Facts {
  const { os } = Deno.build;
  return {
    os: os === "linux" || os === "darwin" || os === "windows" ? os : "other",
    adapters: adapters.map(({ info }) => ({
      name: describeAdapter(info),
      software: isSoftware(info),
    })),
    ...os === "linux" ? linuxFacts(system) : noLinux,
    environment: Object.fromEntries(
      deviceVariables.map((name) => [name, system.variable(name)] as const)
        .filter((entry): entry is readonly [typeof entry[0], string] => entry[1] !== undefined),
    ),
  };
}

const noLinux = {
  cards: [],
  nvidiaDriver: null,
  loader: true,
  drivers: [],
  container: null,
  wsl: false,
  dxg: false,
} as const;

function linuxFacts(system: System): Omit<Facts, "os" | "adapters" | "environment"> {
  return {
    cards: linuxCards(system),
    nvidiaDriver: system.text("/proc/driver/nvidia/version")?.match(/Module\s+([\d.]+)/)?.[1] ??
      system.text("/sys/module/nvidia/version")?.trim() ?? null,
    loader: libraryIsThere(system, "libvulkan.so.1"),
    drivers: driverFiles(system),
    container: containerOf(system),
    wsl: /microsoft/i.test(system.text("/proc/version") ?? ""),
    dxg: system.exists("/dev/dxg"),
  };
}

const vendors: Readonly<Record<string, Vendor>> = {
  "0x10de": "nvidia",
  "0x1002": "amd",
  "0x8086": "intel",
};

/** The cards of Linux that can compute: what no driver of a card serves (a server's console) is left out. */
export function linuxCards(system: System = thisSystem): readonly Card[] {
  const cards: Card[] = [];
  for (const name of system.names("/dev").filter((n) => /^nvidia\d+$/.test(n))) {
    const node = `/dev/${name}`;
    cards.push({ vendor: "nvidia", node, access: system.opens(node) ? "open" : "denied" });
  }
  for (const name of system.names("/sys/class/drm").filter((n) => /^renderD\d+$/.test(n))) {
    const vendor = vendors[system.text(`/sys/class/drm/${name}/device/vendor`)?.trim() ?? ""];
    if (vendor === undefined || (vendor === "nvidia" && cards.some((c) => c.vendor === "nvidia"))) {
      continue;
    }
    const node = `/dev/dri/${name}`;
    const access = !system.exists(node) ? "absent" : system.opens(node) ? "open" : "denied";
    cards.push({ vendor, node: access === "absent" ? null : node, access });
  }
  // A card whose driver is not loaded is on the bus and nowhere else. Class 03: it drives displays or computes.
  for (
    const slot of cards.some((c) => c.vendor === "nvidia")
      ? []
      : system.names("/sys/bus/pci/devices")
  ) {
    const of = (what: string) => system.text(`/sys/bus/pci/devices/${slot}/${what}`)?.trim();
    if (of("vendor") === "0x10de" && of("class")?.startsWith("0x03")) {
      cards.push({ vendor: "nvidia", node: null, access: "absent" });
    }
  }
  return cards;
}

const libraryDirectories = [
  ...["/usr/lib", "/usr/local/lib", "/lib", "/usr/lib64", "/lib64"],
  ...["x86_64", "aarch64"].flatMap((cpu) => [`/usr/lib/${cpu}-linux-gnu`, `/lib/${cpu}-linux-gnu`]),
];

function libraryIsThere(system: System, name: string): boolean {
  if (name.startsWith("/")) return system.exists(name);
  const own = (system.variable("LD_LIBRARY_PATH") ?? "").split(":").filter((path) => path !== "");
  return [...own, ...libraryDirectories].some((directory) => system.exists(`${directory}/${name}`));
}

/** The drivers that the loader would find: those of the variables that name some, else those of its directories. */
function driverFiles(system: System): readonly DriverFile[] {
  const named = system.variable("VK_DRIVER_FILES") ?? system.variable("VK_ICD_FILENAMES");
  const home = system.variable("HOME") ?? "";
  const paths = named !== undefined ? named.split(":").filter((path) => path !== "") : [
    "/usr/local/etc/vulkan/icd.d",
    "/etc/vulkan/icd.d",
    "/usr/local/share/vulkan/icd.d",
    "/usr/share/vulkan/icd.d",
    `${home}/.local/share/vulkan/icd.d`,
  ].flatMap((directory) =>
    system.names(directory).filter((name) => name.endsWith(".json")).map((name) =>
      `${directory}/${name}`
    )
  );
  return paths.map((path) => {
    const library = system.text(path)?.match(/"library_path"\s*:\s*"([^"]+)"/)?.[1] ?? null;
    return { path, library, present: library !== null && libraryOf(system, path, library) };
  });
}

/** A library with a slash in its name stands relative to the file that names it. */
function libraryOf(system: System, path: string, library: string): boolean {
  const beside = library.includes("/") && !library.startsWith("/");
  return libraryIsThere(system, beside ? `${path.replace(/[^/]*$/, "")}${library}` : library);
}

function containerOf(system: System): Facts["container"] {
  if (system.variable("KUBERNETES_SERVICE_HOST") !== undefined) return "kubernetes";
  if (system.variable("APPTAINER_CONTAINER") ?? system.variable("SINGULARITY_CONTAINER")) {
    return "apptainer";
  }
  if (system.exists("/run/.containerenv")) return "podman";
  if (system.exists("/.dockerenv")) return "docker";
  return system.variable("container") !== undefined ? "container" : null;
}
