// What verbs that run a model share: their flags, loading, and llama.cpp's sampling flags.
#pragma once

#include "flags.h"
#include "phial/engine.h"

namespace phial::cli {

/// Flags of every verb that runs a model, and the answers to llama.cpp's other common flags.
void add_run_flags(Flags& flags, RunOptions& options);
/// --override-kv, with llama.cpp's comma-separated lists.
void add_override_flag(Flags& flags, std::vector<std::string>& overrides);
/// Loads the model with a progress bar; its notes are shown.
std::shared_ptr<Model> load_model(const RunOptions& options);
/// llama.cpp's sampling flags.
void add_sampler_flags(Flags& flags, SamplerParams& params);

}  // namespace phial::cli
