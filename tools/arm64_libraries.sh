#!/bin/bash
# Unpacks Debian's arm64 packages of the libraries Phial uses into a folder, for cross-compiling: no root, and the
# system's packages stay as they are.  usage: tools/arm64_libraries.sh FOLDER
set -euo pipefail
packages=({libfmt9,libfmt-dev,libonig5,libonig-dev,libutf8proc2,libutf8proc-dev,libxxhash0,libxxhash-dev}:arm64
  {libedit2,libedit-dev,libbsd0,libmd0,libtinfo6}:arm64 nlohmann-json3-dev libcli11-dev doctest-dev)
folder=${1:?usage: tools/arm64_libraries.sh FOLDER}
[ -f "$folder/complete" ] && exit 0
echo "fetching arm64 libraries to $folder"
mkdir -p "$folder"/{lists,cache/archives}/partial "$folder/debs"
folder=$(realpath "$folder")
apt=(apt-get -q -o APT::Architectures::=amd64 -o APT::Architectures::=arm64 -o APT::Sandbox::User=
  -o Dir::State::lists="$folder/lists" -o Dir::Cache="$folder/cache" -o Debug::NoLocking=1)
"${apt[@]}" update >/dev/null
(cd "$folder/debs" && "${apt[@]}" download "${packages[@]}" >/dev/null)
for deb in "$folder"/debs/*.deb; do dpkg-deb -x "$deb" "$folder"; done
rm -rf "$folder"/{lists,cache,debs}
touch "$folder/complete"
