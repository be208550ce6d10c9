// The list of verbs.
#include "verb.h"

namespace phial::cli {
namespace {

constexpr Verb kVerbs[] = {
    {"run", "llama-cli", "Chat with a model, or complete a prompt", run_verb},
    {"convert", nullptr, "Hugging Face checkpoint -> GGUF, quantized on the way if asked", convert_verb},
    {"quantize", "llama-quantize", "GGUF -> smaller GGUF", quantize_verb},
    {"inspect", nullptr, "Look into a GGUF or safetensors file", inspect_verb},
    {"tokenize", "llama-tokenize", "Text -> token ids", tokenize_verb},
    {"template", nullptr, "Render a chat template", template_verb},
    {"logits", nullptr, "Logits of every position, as .npy", logits_verb},
    {"bench", "llama-bench", "Tokens per second, beside the measured limits of this machine", bench_verb},
    {"perplexity", "llama-perplexity", "Perplexity, KL divergence and task scores of a model", perplexity_verb},
    {"doctor", nullptr, "What this machine has and what of it is used", doctor_verb},
};

}  // namespace

std::span<const Verb> verbs() { return kVerbs; }

FlagTable flag_table(const Verb& verb) {
  Flags flags(verb.name, std::nullopt);
  verb.run(flags);
  return flags.table();
}

}  // namespace phial::cli
