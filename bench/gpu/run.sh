#!/bin/sh
# Unpacks what pack.ts packed and measures: needs no network, no Deno and no Node. Flags go to main.ts.
# What it writes is in $OUT, or in ./gpu-results.
set -eu
packed=$(cd "$(dirname "$0")" && pwd)/packed
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 143' INT TERM
out=${OUT:-$PWD/gpu-results}
mkdir -p "$work/project" "$work/cache" "$work/lib" "$out"
if [ -e "$packed/project.tar.gz" ]; then
  tar -C "$work/project" -xzf "$packed/project.tar.gz"
else
  cp -R "$packed/../../../." "$work/project/"
fi
tar -C "$work/cache" -xzf "$packed/npm.tar.gz"
gzip -dc "$packed/deno.gz" >"$work/deno"
chmod +x "$work/deno"
if [ -e "$packed/libvulkan.so.1" ] && ! ldconfig -p 2>/dev/null | grep -q 'libvulkan\.so\.1'; then
  cp "$packed/libvulkan.so.1" "$work/lib/"
  export LD_LIBRARY_PATH="$work/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
fi
# Some machines keep the driver's file where no loader looks.
if [ -z "${VK_DRIVER_FILES:-}" ]; then
  for file in /usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json /usr/share/glvnd/nvidia_icd.json; do
    if [ -e "$file" ]; then export VK_DRIVER_FILES="$file"; fi
  done
fi
export DENO_DIR="$work/cache" DENO_NO_UPDATE_CHECK=1 NO_COLOR=1
cd "$work/project"
"$work/deno" run -A --no-check cli/main.ts env >"$out/env.txt" 2>&1 || true
cat "$out/env.txt"
"$work/deno" run -A --no-check --cached-only bench/gpu/main.ts --out "$out" "$@"
