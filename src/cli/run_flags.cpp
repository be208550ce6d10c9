// Flags that several verbs share.
#include "run_flags.h"

namespace phial::cli {

void add_run_flags(Flags& f, RunOptions& o) {
  f.group("Model and machine");
  f.text("--model,-m", o.model, "FILE", "phi.gguf", "GGUF file (the first shard of a split one)");
  f.integer("--threads,-t", o.n_threads, 0, 1024, "8", "Threads; 0 = physical cores of this process");
  f.integer("--threads-batch,-tb", o.n_threads_batch, 0, 1024, "16", "Threads for prompts; 0 = as --threads");
  f.integer("--ctx-size,-c", o.n_context, 0, int64_t{1} << 31, "8192",
            "Context in tokens; 0 = the model's own, lowered to what fits");
  f.integer("--batch-size,-b", o.n_batch, 1, 1 << 20, "1024", "Prompt tokens given to the engine at once");
  f.integer("--ubatch-size,-ub", o.n_ubatch, 1, 1 << 16, "128", "Tokens of one step");
  f.text("--cache-type-k,-ctk", o.cache_type_k, "f32|f16|q8_0", "q8_0", "Keys in the cache");
  f.text("--cache-type-v,-ctv", o.cache_type_v, "f32|f16|q8_0", "q8_0", "Values in the cache");
  f.integer("--gpu-layers,-ngl,--n-gpu-layers", o.n_gpu_layers, -1, 1 << 20, "10",
            "Layers on the GPU; without one, a line says so and the CPU runs them");
  f.text("--device,-dev", o.device, "cpu|reference", "reference", "Where to run; empty = the best");
  f.text("--isa", o.isa, "reference|avx2|avx_vnni|avx512", "avx2", "Force an instruction set");
  f.toggle("--mmap", o.mmap, "Low-memory way: weights stay in the file's map, unpacked as they are used");
  f.toggle("--no-huge-pages", o.huge_pages, "Do not ask for 2 MiB pages", false);
  f.toggle("--check-tensors", o.check_tensors, "Look for NaN and Inf in every tensor while loading");
  f.list("--override-kv", o.override_kv, "KEY=TYPE:VALUE", "phi3.rope.freq_base=float:10000",
         "Replace metadata; types int, float, bool, str");
  f.accepted(
      "--no-mmap,--mlock,--no-warmup,--warmup,--jinja,--no-jinja,-nkvo,--no-kv-offload,--no-repack,--repack,-nr,--log-disable,-"
      "cb,--cont-batching,"
      "--log-prefix,--log-timestamps,--no-op-offload,--verbose-prompt,-v,--verbose,--simple-io,--perf,--no-context-shift,--"
      "offline",
      false);
  f.accepted(
      "-fa,--flash-attn,--poll,--prio,--numa,-sm,--split-mode,-mg,--main-gpu,-ts,--tensor-split,-lv,--verbosity,-lm,--load-mode,-"
      "-fit,-fit,-C,--cpu-mask,-dt,--defrag-thold",
      true);
  f.refused("--rope-scaling,--rope-scale,--rope-freq-base,--rope-freq-scale",
            "the model file says it; to change it use --override-kv");
  f.refused("-md,--model-draft,--spec-type", "speculative decoding is not built yet");
  f.refused("--lora,--lora-scaled,--control-vector", "adapters are not built yet");
  f.refused("-hf,--hf-repo,-hff,--hf-file,-mu,--model-url", "download the file first and give it with --model");
  f.refused("--grammar,--grammar-file,-j,--json-schema", "grammars are not built yet");
}

void add_sampler_flags(Flags& f, SamplerParams& p, std::string& seed_text) {
  f.group("Sampling");
  f.text("--seed,-s", seed_text, "N", "42", "Random seed; -1 = another one each time");
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
  f.integer("--mirostat", p.mirostat, 0, 2, "2", "Mirostat 1 or 2; 0 = off");
  f.real("--mirostat-ent", p.mirostat_tau, "4", "Mirostat: target entropy");
  f.real("--mirostat-lr", p.mirostat_eta, "0.2", "Mirostat: learning rate");
  f.real("--adaptive-target", p.adaptive_target, "0.6", "adaptive-p: target probability; -1 = off");
  f.real("--adaptive-decay", p.adaptive_decay, "0.95", "adaptive-p: decay of the history");
  f.toggle("--ignore-eos", p.ignore_eos, "Never end by itself");
  f.text("--samplers", p.samplers, "LIST", "top_k;top_p;temperature", "Samplers in order, separated by ';'");
}

void apply_seed(const std::string& seed_text, SamplerParams& params) {
  int64_t seed = -1;
  if (!CLI::detail::lexical_cast(seed_text, seed) || seed < -1 || seed > 0xFFFFFFFFll)
    throw Usage("--seed: '" + seed_text + "' is not a number from -1 to 4294967295");
  params.seed = seed < 0 || seed == 0xFFFFFFFFll ? 0xFFFFFFFFu : static_cast<uint32_t>(seed);
}

}  // namespace phial::cli
