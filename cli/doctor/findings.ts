/** What stands between a graphics card and plumb: a pure function of facts. @module */

import type { Card, Facts, Vendor } from "./facts.ts";

/** Something to know, and the line that mends it. */
export interface Finding {
  /** What is so. */
  readonly what: string;
  /** What to do, where something is to be done. */
  readonly remedy?: string;
}

/** What `auto` takes, and why. */
export interface AutoChoice {
  /** The device. */
  readonly device: "webgpu" | "cpu";
  /** The adapter's name, for webgpu. */
  readonly adapter?: string;
  /** Why, in one sentence. */
  readonly because: string;
}

/** What `auto` takes: a hardware adapter if there is one, else the CPU; never software. */
export function autoChoice({ adapters, cards }: Facts): AutoChoice {
  const hardware = adapters.find(({ software }) => !software);
  if (hardware) {
    const others = adapters.filter((adapter) => !adapter.software).length - 1;
    return {
      device: "webgpu",
      adapter: hardware.name,
      because: others > 0
        ? `It is the most powerful of ${others + 1} hardware adapters.`
        : "It is a hardware adapter.",
    };
  }
  if (cards.length > 0) {
    return { device: "cpu", because: `${cardsIn(cards)} cannot be used through WebGPU.` };
  }
  return {
    device: "cpu",
    because: adapters.length > 0
      ? `The only adapter, ${
        adapters[0]!.name
      }, computes on the processor, where the CPU device is faster.`
      : "There is no WebGPU adapter.",
  };
}

const vendorNames: Readonly<Record<Vendor, string>> = {
  nvidia: "NVIDIA",
  amd: "AMD",
  intel: "Intel",
  other: "graphics",
};

/** The cards in words: "An NVIDIA card", "The NVIDIA and Intel cards". */
export function cardsIn(cards: readonly Card[]): string {
  const names = [...new Set(cards.map(({ vendor }) => vendorNames[vendor]))];
  if (cards.length === 1) return `${/^[AIN]/.test(names[0]!) ? "An" : "A"} ${names[0]} card`;
  return `The ${names.join(" and ")} cards`;
}

/** What is to be known and done, the most important first. */
export function findings(facts: Facts): readonly Finding[] {
  const hardware = facts.adapters.filter(({ software }) => !software);
  if (hardware.length > 0) return several(facts);
  return [
    ...cause(facts),
    ...facts.adapters.length > 0
      ? [{
        what:
          `${
            facts.adapters[0]!.name
          } is software: it proves correctness and is slow. auto never takes it; ` +
          "--device webgpu does.",
      }]
      : [],
  ];
}

/** How to choose among the adapters there are. */
function several({ adapters, os }: Facts): readonly Finding[] {
  const hardware = adapters.filter(({ software }) => !software);
  if (hardware.length < 2) return [];
  return [{
    what: `There are ${hardware.length} hardware adapters: ${
      hardware.map(({ name }) => name).join(", ")
    }.`,
    remedy: "Choose with --device webgpu:low-power, or with a part of the name: --device webgpu:" +
      `${wordOf(hardware[1]!.name, hardware[0]!.name)}` +
      (os === "linux"
        ? ". Cards of one kind are told apart by the drivers alone: VK_LOADER_DEVICE_SELECT, or " +
          "MESA_VK_DEVICE_SELECT=list for Mesa's."
        : "."),
  }];
}

/** A word of a name that tells it from another. */
function wordOf(name: string, other: string): string {
  const words = name.match(/[A-Za-z0-9]{3,}/g) ?? [name];
  return words.find((word) => !other.toLowerCase().includes(word.toLowerCase())) ?? words[0]!;
}

/** Why there is no hardware adapter. */
function cause(facts: Facts): readonly Finding[] {
  const { os, environment, cards, wsl, dxg } = facts;
  const backend = environment["DENO_WEBGPU_BACKEND"];
  const own = { linux: "vulkan", darwin: "metal", windows: "dx12", other: "vulkan" }[os];
  if (backend !== undefined && !backend.split(",").some((name) => name.trim() === own)) {
    return [{
      what: `DENO_WEBGPU_BACKEND is "${backend}", which hides the adapters of ${own}.`,
      remedy: "unset DENO_WEBGPU_BACKEND",
    }];
  }
  if (os === "darwin") {
    return [{
      what:
        "macOS gives no Metal device: in a virtual machine without a graphics card there is none.",
      remedy: "Run on the machine itself.",
    }];
  }
  if (os === "windows") {
    return [{
      what:
        "Windows gives no Direct3D 12 adapter of hardware: the card's driver is missing or too old, or a remote " +
        "desktop hides it.",
      remedy: "Install the maker's current driver, and run at the console.",
    }];
  }
  if (wsl) {
    return [{
      what: dxg
        ? "This is Windows' Linux: the card is there for CUDA and Direct3D, and Vulkan reaches it only through Mesa's " +
          "driver dzn, which most distributions leave out."
        : "This is Windows' Linux, and Windows hands no card through (/dev/dxg is missing).",
      remedy: dxg
        ? "Run plumb in Windows itself, where it uses Direct3D 12."
        : "wsl --update, and a current driver in Windows; or run plumb in Windows itself.",
    }];
  }
  if (cards.length === 0) return noCard(facts);
  return [
    ...new Map(
      cards.map((card) => card.vendor === "nvidia" ? nvidia(facts, card) : mesa(facts, card))
        .map((finding) => [finding.what, finding]),
    ).values(),
  ];
}

/** No card in sight: in a container it may have been left outside. */
function noCard({ container, environment, adapters }: Facts): readonly Finding[] {
  const finding: Finding = container !== null
    ? {
      what: "No graphics card is visible in this container.",
      remedy: `If the machine has one, hand it in: ${handIn(container, environment)}`,
    }
    : { what: "This machine shows no graphics card; the CPU device is the one to use." };
  if (adapters.length > 0) return [finding];
  return [finding, {
    what: "There is no software adapter either; only tests of the WebGPU device need one.",
    remedy: "Debian, Ubuntu: apt-get install mesa-vulkan-drivers",
  }];
}

function handIn(
  container: NonNullable<Facts["container"]>,
  environment: Facts["environment"],
): string {
  const nvidiaImage = environment["NVIDIA_VISIBLE_DEVICES"] !== undefined;
  switch (container) {
    case "kubernetes":
      return "a resource limit nvidia.com/gpu: 1 (or amd.com/gpu, gpu.intel.com/i915), and for NVIDIA the variable " +
        "NVIDIA_DRIVER_CAPABILITIES=all.";
    case "apptainer":
      return "apptainer run --nv (NVIDIA) or --rocm (AMD).";
    default:
      return nvidiaImage
        ? `${
          container === "podman" ? "podman" : "docker"
        } run --gpus all -e NVIDIA_DRIVER_CAPABILITIES=all …`
        : "docker run --gpus all -e NVIDIA_DRIVER_CAPABILITIES=all … (NVIDIA), or --device /dev/dri (AMD, Intel).";
  }
}

/** Whether drivers were named by hand, and none of them is the card's. */
function namedDrivers({ environment, drivers }: Facts, ours: RegExp): Finding | undefined {
  const variable = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"].find((name) =>
    environment[name] !== undefined
  );
  if (
    variable === undefined || drivers.some((d) => d.present && ours.test(`${d.path} ${d.library}`))
  ) {
    return undefined;
  }
  const broken = drivers.find(({ library }) => library === null);
  return {
    what: broken
      ? `${variable} names ${broken.path}, which is not there or cannot be read.`
      : `${variable} leaves only ${
        drivers.map(({ path }) => path).join(", ") || "no driver"
      }, and none is the card's.`,
    remedy: `unset ${variable}`,
  };
}

const installLoader =
  "Debian, Ubuntu: apt-get install libvulkan1. Fedora: dnf install vulkan-loader";

function nvidia(facts: Facts, card: Card): Finding {
  const { environment, container, nvidiaDriver, loader, drivers } = facts;
  if (card.access === "denied") {
    return {
      what: `${card.node} may not be opened by this user.`,
      remedy:
        `sudo chmod a+rw ${card.node} /dev/nvidiactl, or add the user to the group that owns it.`,
    };
  }
  if (card.access === "absent") {
    if (container !== null) {
      return {
        what: "An NVIDIA card is on the bus, but it was not handed into this container.",
        remedy: handIn(container, { ...environment, NVIDIA_VISIBLE_DEVICES: "all" }),
      };
    }
    return nvidiaDriver === null
      ? {
        what: "An NVIDIA card is on the bus, and its kernel driver is not loaded.",
        remedy:
          "Install NVIDIA's driver (Debian: nvidia-driver, Ubuntu: ubuntu-drivers install) and restart.",
      }
      : {
        what:
          `NVIDIA's kernel driver ${nvidiaDriver} is loaded, and its files /dev/nvidia* are missing.`,
        remedy: "sudo nvidia-modprobe -u -c 0",
      };
  }
  const capabilities = environment["NVIDIA_DRIVER_CAPABILITIES"];
  const named = namedDrivers(facts, /nvidia/i);
  if (named) return named;
  const own = drivers.filter(({ path, library }) => /nvidia/i.test(`${path} ${library}`));
  const graphics = capabilities !== undefined && /\b(all|graphics)\b/.test(capabilities);
  if (container !== null && !graphics && !own.some(({ present }) => present)) {
    return {
      what:
        `The container has the card for ${
          capabilities ?? "compute and utility"
        } only: without the capability ` +
        '"graphics" NVIDIA\'s Vulkan driver is left outside.',
      remedy: container === "kubernetes"
        ? "Set the variable NVIDIA_DRIVER_CAPABILITIES=all in the pod's container."
        : container === "apptainer"
        ? "apptainer run --nv with NVIDIA_DRIVER_CAPABILITIES=all, or --nvccli"
        : `${
          container === "podman" ? "podman" : "docker"
        } run --gpus all -e NVIDIA_DRIVER_CAPABILITIES=all …`,
    };
  }
  if (!loader) {
    return { what: "The Vulkan loader (libvulkan.so.1) is missing.", remedy: installLoader };
  }
  if (own.length === 0) {
    return {
      what:
        "No file tells the Vulkan loader of NVIDIA's driver (nvidia_icd.json in /usr/share/vulkan/icd.d or " +
        "/etc/vulkan/icd.d).",
      remedy:
        "Debian: apt-get install nvidia-vulkan-icd. Ubuntu: apt-get install libnvidia-gl-<version of the driver>. " +
        "Where the file lies elsewhere: export VK_DRIVER_FILES=/path/to/nvidia_icd.json",
    };
  }
  const broken = own.find(({ present }) => !present);
  if (broken) {
    return {
      what: `${broken.path} names ${broken.library ?? "no library"}, which is not there.`,
      remedy: `Install the graphics half of NVIDIA's driver${
        nvidiaDriver ? ` ${nvidiaDriver}` : ""
      } (Ubuntu: libnvidia-gl-${nvidiaDriver?.split(".")[0] ?? "<version>"}).`,
    };
  }
  return {
    what: `NVIDIA's Vulkan driver${
      nvidiaDriver ? ` ${nvidiaDriver}` : ""
    } is installed, and gives no adapter.`,
    remedy:
      "vulkaninfo --summary shows its error; often the library and the kernel driver are of different versions, " +
      "which a restart mends. Libraries that it needs may be missing: libegl1, libx11-6, libxext6.",
  };
}

function mesa(facts: Facts, card: Card): Finding {
  const { container, loader, drivers } = facts;
  const name = vendorNames[card.vendor];
  if (card.access === "absent") {
    return {
      what: `The system has ${
        name === "graphics" ? "a" : "an"
      } ${name} card, and its file in /dev/dri is not here.`,
      remedy: container !== null
        ? `${container === "podman" ? "podman" : "docker"} run --device /dev/dri …`
        : "Load the card's kernel driver (amdgpu, i915 or xe).",
    };
  }
  if (card.access === "denied") {
    return {
      what: `${card.node} may not be opened by this user.`,
      remedy: container !== null
        ? "docker run --group-add $(stat -c %g /dev/dri/renderD128) …"
        : "sudo usermod -aG render,video $USER, and log in anew.",
    };
  }
  const pattern =
    { amd: /radeon|amd/i, intel: /intel/i, nvidia: /nvidia|nouveau/i, other: /./ }[card.vendor];
  const named = namedDrivers(facts, pattern);
  if (named) return named;
  if (!loader) {
    return { what: "The Vulkan loader (libvulkan.so.1) is missing.", remedy: installLoader };
  }
  if (!drivers.some((d) => d.present && pattern.test(`${d.path} ${d.library}`))) {
    return {
      what: `No Vulkan driver for the ${name} card is installed.`,
      remedy:
        "Debian, Ubuntu: apt-get install mesa-vulkan-drivers. Fedora: dnf install mesa-vulkan-drivers. Arch: " +
        `pacman -S vulkan-${card.vendor === "amd" ? "radeon" : "intel"}`,
    };
  }
  return {
    what: `A Vulkan driver for the ${name} card is installed, and gives no adapter.`,
    remedy: "vulkaninfo --summary shows its error; the card may be too old for Vulkan.",
  };
}
