// The list of verbs.
#include "verb.h"

namespace phial::cli {

const std::vector<Verb>& verbs() {
  static const std::vector<Verb> list = {
      {"run", {"llama-cli", "llama-completion"}, "Chat with a model, or complete a prompt", run_verb},
      {"convert", {}, "Hugging Face checkpoint -> GGUF of any type", convert_verb},
      {"quantize", {"llama-quantize"}, "GGUF -> smaller GGUF", quantize_verb},
      {"inspect", {}, "Look into a GGUF or safetensors file", inspect_verb},
      {"tokenize", {"llama-tokenize"}, "Text -> token ids", tokenize_verb},
      {"template", {}, "Render a chat template", template_verb},
      {"logits", {}, "Logits of every position, as .npy", logits_verb},
      {"bench", {"llama-bench"}, "Tokens per second, beside the measured limits of this machine", bench_verb},
      {"perplexity", {"llama-perplexity"}, "Perplexity, KL divergence and task scores of a model", perplexity_verb},
      {"plan", {}, "The memory a run will take, and the context that fits", plan_verb},
      {"doctor", {}, "What this machine has and what of it is used", doctor_verb},
      {"completion", {}, "Completion of flags for bash, zsh or fish", completion_verb},
      {"man", {}, "Manual pages", man_verb},
  };
  return list;
}

const Verb* find_verb(const std::string& name) {
  for (const Verb& v : verbs())
    if (name == v.name) return &v;
  return nullptr;
}

FlagTable flag_table(const Verb& verb) {
  Flags flags(verb.name, std::nullopt);
  verb.run(flags);
  return flags.table();
}

}  // namespace phial::cli
