#!/bin/bash
# Installs the Debian packages Phial is built with, when one is missing; with --fuzz or --arm64 those of make fuzz or make arm64. README.md says what each is for.
set -euo pipefail
packages=(g++ make cmake ninja-build ccache pkg-config python3 python3-venv clang-format
  libfmt-dev nlohmann-json3-dev libcli11-dev libonig-dev libutf8proc-dev libxxhash-dev libedit-dev doctest-dev)
[ "${1:-}" = --fuzz ] && packages=(clang libclang-rt-14-dev)
[ "${1:-}" = --arm64 ] && packages=(g++-aarch64-linux-gnu qemu-user)
missing=()
for p in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing+=("$p")
done
[ ${#missing[@]} -eq 0 ] && exit 0
echo "installing: ${missing[*]}"
sudo=
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "error: run as root once: apt-get install ${missing[*]}" >&2; exit 2; }
  sudo=sudo
fi
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -q >/dev/null
$sudo apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null
