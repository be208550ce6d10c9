// Declaring, normalizing and parsing flags.
#include "flags.h"

#include <algorithm>
#include <random>
#include <sstream>

namespace phial::cli {
namespace {

std::vector<std::string> split_names(const std::string& names) {
  std::vector<std::string> out;
  std::stringstream stream(names);
  for (std::string name; std::getline(stream, name, ',');) out.push_back(name);
  return out;
}

size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substitute = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substitute});
    }
  }
  return row.back();
}

/// True for -x, -ngl, --name; false for "-", "-1", "-0.5" and plain words.
bool looks_like_flag(const std::string& arg) {
  return arg.size() > 1 && arg[0] == '-' && !(arg[1] >= '0' && arg[1] <= '9') && arg[1] != '.';
}

}  // namespace

std::string nearest(const std::string& word, const std::vector<std::string>& candidates) {
  std::string best;
  size_t best_distance = std::max<size_t>(2, word.size() / 3) + 1;
  for (const std::string& c : candidates) {
    const size_t d = edit_distance(word, c);
    if (d < best_distance) best_distance = d, best = c;
  }
  return best;
}

Flags::Flags(const std::string& command, const std::string& what, const std::string& examples)
    : app_(what, command), command_(command), examples_(examples) {
  app_.set_help_flag();  // --help is ours, so that every verb prints examples
  app_.get_formatter()->column_width(38);
  canonical_["--help"] = canonical_["-h"] = canonical_["--usage"] = "--help";
}

std::string Flags::declare(const std::string& names) {
  const auto all = split_names(names);
  std::string shown;
  for (const std::string& name : all) {
    canonical_[name] = all[0];
    if (name == all[0] || (name.size() == 2 && name[0] == '-' && name[1] != '-')) shown += (shown.empty() ? "" : ",") + name;
  }
  return shown;
}

CLI::Option* Flags::add(const std::string& names, CLI::Option* option) {
  std::string others;
  for (const std::string& name : split_names(names))
    if (name != split_names(names)[0] && name.size() > 2) others += (others.empty() ? "" : ", ") + name;
  if (!others.empty()) option->description(option->get_description() + " (also " + others + ")");
  return option->take_last();
}

void Flags::text(const std::string& names, std::string& target, const std::string& value, const std::string& what) {
  add(names, app_.add_option(declare(names), target, what))->type_name(value)->capture_default_str();
}

void Flags::integer(const std::string& names, int64_t& target, int64_t min, int64_t max, const std::string& what) {
  add(names, app_.add_option(declare(names), target, what))->check(CLI::Range(min, max))->type_name("N")->capture_default_str();
}

void Flags::integer(const std::string& names, int& target, int min, int max, const std::string& what) {
  add(names, app_.add_option(declare(names), target, what))->check(CLI::Range(min, max))->type_name("N")->capture_default_str();
}

void Flags::real(const std::string& names, float& target, const std::string& what) {
  add(names, app_.add_option(declare(names), target, what))->type_name("X")->capture_default_str();
}

void Flags::toggle(const std::string& names, bool& target, const std::string& what, bool value) {
  const std::string shown = declare(names);
  auto* option = app_.add_flag_function(
      shown, [&target, value](int64_t) { target = value; }, what);
  std::string others;
  for (const std::string& name : split_names(names))
    if (name != split_names(names)[0] && name.size() > 2) others += (others.empty() ? "" : ", ") + name;
  if (!others.empty()) option->description(what + " (also " + others + ")");
}

void Flags::list(const std::string& names, std::vector<std::string>& target, const std::string& value, const std::string& what) {
  app_.add_option(declare(names), target, what)
      ->type_name(value)
      ->allow_extra_args(false);  // one word per flag: what follows is positional
}

void Flags::positional(const std::string& name, std::string& target, bool required, const std::string& what) {
  auto* option = app_.add_option(name, target, what)->type_name("");
  if (required) option->required();
}

void Flags::accepted(const std::string& names, bool takes_value) {
  for (const std::string& name : split_names(names)) ignored_[name] = takes_value;
}

void Flags::refused(const std::string& names, const std::string& instead) {
  for (const std::string& name : split_names(names)) refused_[name] = instead;
}

std::vector<std::string> Flags::normalize(const std::vector<std::string>& args) const {
  std::vector<std::string> out;
  bool only_positionals = false;
  for (size_t i = 0; i < args.size(); ++i) {
    std::string arg = args[i];
    if (only_positionals || !looks_like_flag(arg) || arg == "--") {
      only_positionals = only_positionals || arg == "--";
      out.push_back(arg);
      continue;
    }
    std::string value;
    bool has_value = false;
    std::string name = arg;
    if (const size_t equals = arg.find('='); equals != std::string::npos && arg.compare(0, 2, "--") == 0) {
      name = arg.substr(0, equals);
      value = arg.substr(equals + 1);
      has_value = true;
    }
    // llama.cpp takes underscores for dashes.
    std::string dashed = name;
    if (dashed.compare(0, 2, "--") == 0) std::replace(dashed.begin(), dashed.end(), '_', '-');
    auto known = canonical_.find(name);
    if (known == canonical_.end()) known = canonical_.find(dashed);
    if (known != canonical_.end()) {
      out.push_back(known->second);
      if (has_value) {
        out.push_back(value);
      } else if (known->second != "--help") {
        // The value of an option is taken as it is, so that "-n -1" and "-p -x" work.
        const CLI::Option* option = app_.get_option_no_throw(known->second);
        if (option && option->get_expected_min() > 0 && option->get_type_size() > 0 && i + 1 < args.size())
          out.push_back(args[++i]);
      }
      continue;
    }
    if (auto r = refused_.find(dashed); r != refused_.end())
      throw Usage(name + " is not available in phial " + command_ + ": " + r->second);
    if (auto g = ignored_.find(dashed); g != ignored_.end()) {
      if (g->second && !has_value && i + 1 < args.size() && !looks_like_flag(args[i + 1])) ++i;
      continue;
    }
    std::vector<std::string> names;
    for (const auto& [spelling, canonical] : canonical_) names.push_back(spelling);
    const std::string guess = nearest(dashed, names);
    throw Usage("unknown flag " + name + (guess.empty() ? "" : "; did you mean " + guess + "?") + "\nSee: phial " + command_ +
                " --help");
  }
  return out;
}

void Flags::parse(const std::vector<std::string>& args) {
  std::vector<std::string> normalized = normalize(args);
  for (auto it = normalized.begin(); it != normalized.end(); ++it) {
    if (*it == "--") break;
    if (*it == "--help") {
      help_wanted = true;
      return;
    }
  }
  std::reverse(normalized.begin(), normalized.end());
  try {
    app_.parse(normalized);
  } catch (const CLI::ParseError& e) {
    throw Usage(std::string(e.what()) + "\nSee: phial " + command_ + " --help");
  }
}

std::string Flags::help() const {
  return app_.help("phial " + command_) + "  -h,--help                           This text\n\nExamples:\n" + examples_;
}

void add_run_flags(Flags& f, RunOptions& o) {
  f.text("--model,-m", o.model, "FILE", "GGUF file (the first shard of a split one)");
  f.integer("--threads,-t", o.n_threads, 0, 1024, "Threads; 0 = physical cores of this process");
  f.integer("--threads-batch,-tb", o.n_threads_batch, 0, 1024, "Threads for prompts; 0 = as --threads");
  f.integer("--ctx-size,-c", o.n_context, 0, int64_t{1} << 31, "Context in tokens; 0 = the model's own, lowered to what fits");
  f.integer("--batch-size,-b", o.n_batch, 1, 1 << 20, "Prompt tokens given to the engine at once");
  f.integer("--ubatch-size,-ub", o.n_ubatch, 1, 1 << 16, "Tokens of one step");
  f.text("--cache-type-k,-ctk", o.cache_type_k, "TYPE", "Keys in the cache: f32, f16 or q8_0");
  f.text("--cache-type-v,-ctv", o.cache_type_v, "TYPE", "Values in the cache: f32, f16 or q8_0");
  f.integer("--gpu-layers,-ngl,--n-gpu-layers", o.n_gpu_layers, -1, 1 << 20,
            "Layers on the GPU; without one, a line says so and the CPU runs them");
  f.text("--device,-dev", o.device, "NAME", "cpu or reference; empty = the best");
  f.text("--isa", o.isa, "NAME", "Force an instruction set: reference, avx2, avx_vnni, avx512");
  f.toggle("--mmap", o.mmap, "Low-memory way: weights stay in the file's map, unpacked as they are used");
  f.toggle("--no-huge-pages", o.huge_pages, "Do not ask for 2 MiB pages", false);
  f.toggle("--check-tensors", o.check_tensors, "Look for NaN and Inf in every tensor while loading");
  f.list("--override-kv", o.override_kv, "KEY=TYPE:VALUE", "Replace metadata; types int, float, bool, str");
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
  f.text("--seed,-s", seed_text, "N", "Random seed; -1 = another one each time");
  f.real("--temp,--temperature", p.temperature, "Temperature; 0 = greedy");
  f.integer("--top-k", p.top_k, -1, 1 << 30, "Keep the K most likely tokens; 0 = all");
  f.real("--top-p", p.top_p, "Keep the most likely tokens up to this probability; 1 = all");
  f.real("--min-p", p.min_p, "Drop tokens below this share of the most likely one; 0 = none");
  f.real("--typical,--typical-p", p.typical_p, "Locally typical sampling; 1 = off");
  f.real("--top-nsigma,--top-n-sigma", p.top_n_sigma, "Keep logits within N standard deviations of the best; -1 = off");
  f.real("--xtc-probability", p.xtc_probability, "Chance of leaving out the top choices; 0 = off");
  f.real("--xtc-threshold", p.xtc_threshold, "Tokens above it may be left out; over 0.5 = off");
  f.real("--dynatemp-range", p.dynatemp_range, "Dynamic temperature range; 0 = off");
  f.real("--dynatemp-exp", p.dynatemp_exponent, "Dynamic temperature exponent");
  f.integer("--repeat-last-n", p.repeat_last_n, -1, 1 << 30, "Tokens looked back for penalties; 0 = off, -1 = all");
  f.real("--repeat-penalty", p.repeat_penalty, "Penalty on repeated tokens; 1 = off");
  f.real("--frequency-penalty", p.frequency_penalty, "Penalty per occurrence; 0 = off");
  f.real("--presence-penalty", p.presence_penalty, "Penalty once for a present token; 0 = off");
  f.real("--dry-multiplier", p.dry_multiplier, "DRY: strength; 0 = off");
  f.real("--dry-base", p.dry_base, "DRY: base");
  f.integer("--dry-allowed-length", p.dry_allowed_length, 0, 1 << 30, "DRY: repeats up to this length are free");
  f.integer("--dry-penalty-last-n", p.dry_penalty_last_n, -1, 1 << 30, "DRY: tokens looked back; -1 = all");
  f.integer("--mirostat", p.mirostat, 0, 2, "Mirostat 1 or 2; 0 = off");
  f.real("--mirostat-ent", p.mirostat_tau, "Mirostat: target entropy");
  f.real("--mirostat-lr", p.mirostat_eta, "Mirostat: learning rate");
  f.real("--adaptive-target", p.adaptive_target, "adaptive-p: target probability; -1 = off");
  f.real("--adaptive-decay", p.adaptive_decay, "adaptive-p: decay of the history");
  f.toggle("--ignore-eos", p.ignore_eos, "Never end by itself");
  f.text("--samplers", p.samplers, "LIST", "Samplers in order, separated by ';'");
}

void apply_seed(const std::string& seed_text, SamplerParams& params) {
  int64_t seed = -1;
  if (!CLI::detail::lexical_cast(seed_text, seed) || seed < -1 || seed > 0xFFFFFFFFll)
    throw Usage("--seed: '" + seed_text + "' is not a number from -1 to 4294967295");
  params.seed = seed < 0 || seed == 0xFFFFFFFFll ? 0xFFFFFFFFu : static_cast<uint32_t>(seed);
}

std::string unescape(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    const char c = text[++i];
    if (c == 'n')
      out += '\n';
    else if (c == 't')
      out += '\t';
    else if (c == 'r')
      out += '\r';
    else if (c == '\\' || c == '"' || c == '\'')
      out += c;
    else if (c == 'x' && i + 2 < text.size() && isxdigit(static_cast<unsigned char>(text[i + 1])) &&
             isxdigit(static_cast<unsigned char>(text[i + 2]))) {
      out += static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16));
      i += 2;
    } else {
      out += '\\';
      out += c;
    }
  }
  return out;
}

}  // namespace phial::cli
