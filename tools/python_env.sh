#!/bin/bash
# Makes the Python environment of the tests and benchmarks: oracle (transformers), clients and peers.
set -euo pipefail
venv=${1:?usage: python_env.sh FOLDER}
want=$(cat tests/requirements.txt bench/requirements.txt tools/python_env.sh | sha256sum | cut -d' ' -f1)
[ -f "$venv/.stamp" ] && [ "$(cat "$venv/.stamp")" = "$want" ] && exit 0
echo "Python environment in $venv (once; the peer is compiled, which takes minutes)"
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
pip="$venv/bin/python -m pip --disable-pip-version-check -q"
# The tests want PyTorch's CPU build. Where only the CUDA build is offered, stop instead of fetching gigabytes.
torch=$(grep '^torch==' tests/requirements.txt)
if ! "$venv/bin/python" -c 'import torch' 2>/dev/null; then
  if $pip install --dry-run "$torch" 2>/dev/null | grep -qi nvidia; then
    echo "error: '$torch' would bring the CUDA build (gigabytes). Install a CPU build of it into $venv, then run this again." >&2
    exit 2
  fi
  $pip install "$torch"
fi
# GCC 12 drops stores to the tile configuration of AMX as dead, and the peer built for such a machine dies of it. A wheel that
# was once built without these flags is not taken from pip's cache.
peer=$(grep '^llama-cpp-python' tests/requirements.txt)
no_dse="-fno-tree-dse -fno-dse"
CMAKE_ARGS="-DCMAKE_C_FLAGS='$no_dse' -DCMAKE_CXX_FLAGS='$no_dse'" CMAKE_BUILD_PARALLEL_LEVEL=$(nproc) \
  $pip install --no-cache-dir --force-reinstall --no-deps "$peer"
$pip install -r tests/requirements.txt -r bench/requirements.txt
echo "$want" > "$venv/.stamp"
