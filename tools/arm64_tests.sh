#!/bin/bash
# Runs the arm64 build in qemu: the operation tests with every instruction set and on processors that lack some, then the
# embedded model, whose logits must be those of this machine's own build, bit for bit.
# usage: tools/arm64_tests.sh ARM64_BUILD_FOLDER NATIVE_PHIAL
set -euo pipefail
build=${1:?usage: tools/arm64_tests.sh ARM64_BUILD_FOLDER NATIVE_PHIAL} phial=${2:?}
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
qemu() { qemu-aarch64 -L /usr/aarch64-linux-gnu -cpu "$@"; }

qemu max "$build/test_ops"
for cpu in cortex-a76 cortex-a72; do  # with dot products, and without
  qemu $cpu "$build/phial" doctor | head -2
  qemu $cpu "$build/test_ops" --test-case='*norm*,*bias and residual*,*refused*'
done

head -c 300 README.md >"$work/text.txt"
for type in q4_k_m q8_0; do
  "$phial" convert models/phial-tiny -o "$work/$type.gguf" --outtype $type --quiet
  "$phial" logits -m "$work/$type.gguf" -f "$work/text.txt" -o "$work/native.npy"
  for isa in i8mm neon; do
    qemu max "$build/phial" logits -m "$work/$type.gguf" -f "$work/text.txt" --isa $isa -o "$work/arm64.npy"
    cmp "$work/native.npy" "$work/arm64.npy"
    echo "$type: $isa gives the native build's bits"
  done
done
