#!/bin/bash
# fuzz.sh SECONDS [target ...]: runs each libFuzzer program of build/fuzz that long (built by make fuzz). The corpus grows under
# build/fuzz/corpus from seeds that are made here; an input that fails is left there as crash-*, timeout-* or oom-*.
set -euo pipefail
cd "$(dirname "$0")/../build/fuzz"
seconds=${1:?seconds}
shift
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(gguf safetensors tokenizer_json tokenizer_model template messages)
for target in "${targets[@]}"; do
  ./write_corpus "corpus/$target" "$target"
  dictionary=()
  [ -s "corpus/$target.dict" ] && dictionary=("-dict=corpus/$target.dict")
  "./${target}_fuzz" -max_total_time="$seconds" -timeout=1 -rss_limit_mb=1024 -malloc_limit_mb=256 -max_len=16384 \
    -artifact_prefix="corpus/$target-" -print_final_stats=1 "${dictionary[@]}" "corpus/$target" >"corpus/$target.log" 2>&1 || {
    tail -40 "corpus/$target.log"
    echo "FAILED: $target; the input lies in build/fuzz/corpus"
    exit 1
  }
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "corpus/$target.log")
  covered=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "corpus/$target.log" | tail -1)
  echo "$target: $runs inputs in $seconds s, $covered edges covered, no fault"
done
