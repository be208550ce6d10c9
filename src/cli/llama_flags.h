// llama.cpp's flags that Phial does not have: an answer to each.
#pragma once

#include "flags.h"

namespace phial::cli {

/// For verbs that run a model: what llama-cli, llama-completion and llama-perplexity take.
void answer_llama_run_flags(Flags& flags);
/// For llama-bench.
void answer_llama_bench_flags(Flags& flags);

}  // namespace phial::cli
