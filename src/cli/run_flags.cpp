// Flags that several verbs share.
#include "run_flags.h"

#include <cmath>
#include <cstring>
#include <sstream>

#include "files.h"
#include "llama_flags.h"
#include "process_flags.h"
#include "terminal.h"

namespace phial::cli {
namespace {

uint32_t parse_seed(const std::string& text) {
  int64_t seed = -1;
  if (!CLI::detail::lexical_cast(text, seed) || seed < -1 || seed > 0xFFFFFFFFll)
    throw Usage("--seed: '" + text + "' is not a number from -1 to 4294967295");
  return seed < 0 ? 0xFFFFFFFFu : static_cast<uint32_t>(seed);
}

/// "15043-1.5", "15043+inf"
std::pair<int32_t, float> parse_bias(const std::string& text) {
  const size_t sign = text.find_first_of("+-");
  std::pair<int32_t, float> bias;
  if (sign == std::string::npos || !CLI::detail::lexical_cast(text.substr(0, sign), bias.first) || bias.first < 0 ||
      !CLI::detail::lexical_cast(text.substr(sign), bias.second) || std::isnan(bias.second))
    throw Usage("--logit-bias wants TOKEN+BIAS or TOKEN-BIAS with a token's id, not '" + text + "'");
  return bias;
}

/// "a=int:1,b=str:x" are two; a comma inside a text stays.
void split_overrides(std::vector<std::string>& out, const std::string& text) {
  if (text.empty()) out.push_back(text);  // refused where it is read
  std::stringstream pieces(text);
  bool first = true;
  for (std::string piece; std::getline(pieces, piece, ',');) {
    const size_t equals = piece.find('=');
    bool begins = first;
    for (const char* type : {"=int:", "=float:", "=bool:", "=str:"})
      begins = begins || (equals != std::string::npos && piece.compare(equals, std::strlen(type), type) == 0);
    if (begins)
      out.push_back(piece);
    else
      out.back() += "," + piece;
    first = false;
  }
}

}  // namespace

void add_override_flag(Flags& f, std::vector<std::string>& overrides) {
  f.action("--override-kv", "KEY=TYPE:VALUE", "", "general.name=str:phi",
           "Replace metadata; types int, float, bool, str; several with commas or by repeating the flag",
           [&overrides](const std::string& text) { split_overrides(overrides, text); });
}

void add_run_flags(Flags& f, RunOptions& o) {
  f.group("Model and machine");
  f.text("--model,-m", o.model, "FILE", "phi.gguf", "GGUF file (the first shard of a split one)");
  f.integer("--threads,-t", o.n_threads, -1, 1024, "8", "Threads; 0 and -1 = physical cores of this process");
  f.integer("--threads-batch,-tb", o.n_threads_batch, -1, 1024, "16", "Threads for prompts; 0 and -1 = as --threads");
  f.integer("--ctx-size,-c", o.n_context, 0, int64_t{1} << 31, "8192",
            "Context in tokens; 0 = the model's own, lowered to what fits");
  f.integer("--batch-size,-b", o.n_batch, 1, 1 << 20, "1024", "Prompt tokens given to the engine at once");
  f.integer("--ubatch-size,-ub", o.n_ubatch, 1, 1 << 16, "128", "Tokens of one step");
  f.text("--cache-type-k,-ctk", o.cache_type_k, "f32|f16|i16|q8_0", "q8_0", "Keys in the cache");
  f.text("--cache-type-v,-ctv", o.cache_type_v, "f32|f16|i16|q8_0", "q8_0", "Values in the cache");
  f.integer("--gpu-layers,-ngl,--n-gpu-layers", o.n_gpu_layers, -1, 1 << 20, "10",
            "Layers on the GPU; without one, a line says so and the CPU runs them");
  f.meaning("--gpu-layers", "auto", "-1");
  f.meaning("--gpu-layers", "all", std::to_string(1 << 20));
  f.text("--device,-dev", o.device, "cpu|reference", "reference", "Where to run; empty = the best");
  f.meaning("--device", "none", "cpu");
  f.text("--isa", o.isa, "reference|generic|avx2|avx_vnni|avx512|avx512_bf16|amx|amx_fp16|neon|i8mm", "avx2",
         "Force an instruction set");
  f.toggle("--mmap", o.mmap, "Low-memory way: weights stay in the file's map, unpacked as they are used");
  f.toggle("--no-mmap", o.mmap, "Weights are packed into memory (the default)", false);
  add_load_mode_flag(f, o.mmap);
  f.toggle("--no-huge-pages", o.huge_pages, "Do not ask for 2 MiB pages", false);
  f.toggle("--check-tensors", o.check_tensors, "Look for NaN and Inf in every tensor while loading");
  add_override_flag(f, o.override_kv);
  add_process_flags(f);
  answer_llama_run_flags(f);
}

std::shared_ptr<Model> load_model(const RunOptions& options) {
  ProgressBar bar(false);
  auto model = Model::load(options, bar.callback());
  bar.clear();
  for (const std::string& text : model->info().notes) note(text);
  return model;
}

void add_sampler_flags(Flags& f, SamplerParams& p) {
  f.group("Sampling");
  f.action("--seed,-s", "N", "-1", "42", "Random seed; -1 = another one each time",
           [&p](const std::string& text) { p.seed = parse_seed(text); });
  f.real("--temp,--temperature", p.temperature, "0.2", "Temperature; 0 = greedy");
  f.integer("--top-k", p.top_k, -1, 1 << 30, "20", "Keep the K most likely tokens; 0 = all");
  f.real("--top-p", p.top_p, "0.9", "Keep the most likely tokens up to this probability; 1 = all");
  f.real("--min-p", p.min_p, "0.1", "Drop tokens below this share of the most likely one; 0 = none");
  f.real("--typical,--typical-p", p.typical_p, "0.9", "Locally typical sampling; 1 = off");
  f.real("--top-nsigma,--top-n-sigma", p.top_n_sigma, "1.5", "Keep logits within N standard deviations of the best; -1 = off");
  f.real("--xtc-probability", p.xtc_probability, "0.5", "Chance of leaving out the top choices; 0 = off");
  f.real("--xtc-threshold", p.xtc_threshold, "0.1", "Tokens above it may be left out; over 0.5 = off");
  f.real("--dynatemp-range", p.dynatemp_range, "0.4", "Dynamic temperature range; 0 = off");
  f.real("--dynatemp-exp", p.dynatemp_exponent, "2", "Dynamic temperature exponent");
  f.integer("--repeat-last-n", p.repeat_last_n, -1, 1 << 30, "256", "Tokens looked back for penalties; 0 = off, -1 = all");
  f.real("--repeat-penalty", p.repeat_penalty, "1.1", "Penalty on repeated tokens; 1 = off");
  f.real("--frequency-penalty", p.frequency_penalty, "0.2", "Penalty per occurrence; 0 = off");
  f.real("--presence-penalty", p.presence_penalty, "0.2", "Penalty once for a present token; 0 = off");
  f.real("--dry-multiplier", p.dry_multiplier, "0.8", "DRY: strength; 0 = off");
  f.real("--dry-base", p.dry_base, "1.75", "DRY: base");
  f.integer("--dry-allowed-length", p.dry_allowed_length, 0, 1 << 30, "3", "DRY: repeats up to this length are free");
  f.integer("--dry-penalty-last-n", p.dry_penalty_last_n, -1, 1 << 30, "512", "DRY: tokens looked back; -1 = all");
  f.action("--dry-sequence-breaker", "TEXT", "'\\n' ':' '\"' '*'", "'\\n'",
           "DRY: no repeat goes beyond this text; the first one replaces the defaults, none = no breakers",
           [&p, first = true](const std::string& text) mutable {
             if (first || text == "none") p.dry_sequence_breakers.clear();
             if (text != "none") p.dry_sequence_breakers.push_back(unescape(text));
             first = false;
           });
  f.integer("--mirostat", p.mirostat, 0, 2, "2", "Mirostat 1 or 2; 0 = off");
  f.real("--mirostat-ent", p.mirostat_tau, "4", "Mirostat: target entropy");
  f.real("--mirostat-lr", p.mirostat_eta, "0.2", "Mirostat: learning rate");
  f.real("--adaptive-target", p.adaptive_target, "0.6", "adaptive-p: target probability; -1 = off");
  f.real("--adaptive-decay", p.adaptive_decay, "0.95", "adaptive-p: decay of the history");
  f.toggle("--ignore-eos", p.ignore_eos, "Never end by itself");
  f.text("--samplers", p.samplers, "LIST", "top_k;top_p;temperature", "Samplers in order, separated by ';'");
  f.action("--sampler-seq,--sampling-seq", "LETTERS", "edskypmxt", "kpmt",
           "The same, a letter each as llama.cpp abbreviates them",
           [&p](const std::string& letters) { p.samplers = samplers_from_letters(letters); });
  f.action("--logit-bias,-l", "TOKEN+BIAS", "", "15043-1", "Add to the logit of a token id, -inf forbids it; may be repeated",
           [&p](const std::string& text) { p.logit_bias.push_back(parse_bias(text)); });
}

}  // namespace phial::cli
