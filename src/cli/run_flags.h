// Flags that several verbs share: those of every verb that runs a model, and llama.cpp's sampling flags.
#pragma once

#include "flags.h"
#include "phial/engine.h"

namespace phial::cli {

/// Flags of every verb that runs a model, and the answers to llama.cpp's other common flags.
void add_run_flags(Flags& flags, RunOptions& options);
/// llama.cpp's sampling flags.
void add_sampler_flags(Flags& flags, SamplerParams& params, std::string& seed_text);
/// Seed text ("-1" = random) into params.
void apply_seed(const std::string& seed_text, SamplerParams& params);

}  // namespace phial::cli
