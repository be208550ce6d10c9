#!/bin/bash
# Runs the arm64 build in qemu: the operation tests with every instruction set, and on processors that lack some.
# usage: tools/arm64_tests.sh BUILD_FOLDER
set -euo pipefail
build=${1:?usage: tools/arm64_tests.sh BUILD_FOLDER}
qemu() { qemu-aarch64 -L /usr/aarch64-linux-gnu -cpu "$@"; }
qemu max "$build/test_ops"
for cpu in cortex-a76 cortex-a72; do  # with dot products, and without
  qemu $cpu "$build/test_ops" --test-case='*norm*,*bias and residual*,*refused*'
done
