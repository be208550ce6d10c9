#!/bin/bash
# The main job on the embedded model: convert, quantize, chat.
set -euo pipefail
out=build/demo
mkdir -p $out
run() { echo; echo "\$ $*"; "$@"; }
run ./convert_hf_to_gguf.py models/phial-tiny --outfile $out/phial-tiny_fp16.gguf
run ./llama-quantize $out/phial-tiny_fp16.gguf $out/phial-tiny_Q4_K_M.gguf Q4_K_M
run ./llama-cli --model $out/phial-tiny_Q4_K_M.gguf --prompt "<|user|>\nCan you introduce .NET<|end|>\n<|assistant|>\n" --gpu-layers 10 --temp 0
echo
echo "Next: ./phial run -m $out/phial-tiny_Q4_K_M.gguf   (a chat; ask it about the Moon, tea, GGUF...)"
