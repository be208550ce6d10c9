// phial plan: what a run will take, and the context that fits.
#include "phial/plan.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "run_flags.h"
#include "terminal.h"
#include "verb.h"

namespace phial::cli {
namespace {

constexpr const char* kExamples =
    "  phial plan -m phi.gguf                        the model's own context, as run takes it\n"
    "  phial plan -m phi.gguf -c 8192 -ctk q8_0 -ctv q8_0\n"
    "  phial plan -m phi.gguf --fit 4GiB             the largest context that fits\n"
    "  phial plan -m phi.gguf --json\n";

struct Part {
  const char* key;
  const char* name;
  const char* what;
  uint64_t DevicePlan::*bytes;
};

constexpr Part kParts[] = {
    {"weight_bytes", "weights", "as the device holds them", &DevicePlan::weight_bytes},
    {"mapped_bytes", "file's map", "at most; the system may drop these pages", &DevicePlan::mapped_bytes},
    {"kv_bytes", "KV cache", "when the context is full", &DevicePlan::kv_bytes},
    {"workspace_bytes", "workspace", "of the largest step", &DevicePlan::workspace_bytes},
    {"program_bytes", "program", "code, vocabulary, sampler", &DevicePlan::program_bytes},
};

void print_json(const RunPlan& plan) {
  nlohmann::ordered_json j = {{"model", plan.model},
                              {"architecture", plan.architecture},
                              {"file_type", plan.file_type},
                              {"n_context", plan.n_context},
                              {"n_context_train", plan.n_context_train},
                              {"kv_bytes_per_token", plan.kv_bytes_per_token},
                              {"total_bytes", plan.total_bytes}};
  for (const Part& part : kParts) {
    uint64_t sum = 0;
    for (const DevicePlan& d : plan.devices) sum += d.*part.bytes;
    j[part.key] = sum;
  }
  j["available_bytes"] = plan.available_bytes;
  j["fits"] = plan.fits;
  for (const DevicePlan& d : plan.devices) {
    nlohmann::ordered_json device = {{"device", d.device}, {"total_bytes", d.total_bytes()}};
    for (const Part& part : kParts) device[part.key] = d.*part.bytes;
    j["devices"].push_back(std::move(device));
  }
  j["notes"] = plan.notes;
  fmt::print("{}\n", j.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

void print_table(const RunPlan& plan) {
  fmt::print("{}{}{}, context {} of {} tokens\n\n", plan.model.empty() ? plan.architecture : plan.model,
             plan.file_type.empty() ? "" : " ", plan.file_type, plan.n_context, plan.n_context_train);
  for (const DevicePlan& d : plan.devices) {
    fmt::print("{}{}{}\n", style(1, kBold), d.device, style(1, kReset));
    for (const Part& part : kParts)
      if (d.*part.bytes > 0)
        fmt::print("  {:<12} {:>12}   {}\n", part.name, human_bytes(static_cast<double>(d.*part.bytes)), part.what);
    fmt::print("  {:<12} {:>12}\n", "total", human_bytes(static_cast<double>(d.total_bytes())));
  }
  fmt::print("\n1024 tokens of context take {}.\n", human_bytes(static_cast<double>(plan.kv_bytes_per_token) * 1024));
  if (plan.available_bytes > 0)
    fmt::print("This machine has {} free: {}.\n", human_bytes(static_cast<double>(plan.available_bytes)),
               plan.fits ? "it fits" : "it does not fit");
  for (const std::string& note : plan.notes) fmt::print("{}note:{} {}\n", style(1, kYellow), style(1, kReset), note);
}

/// A size as people write it: "4GiB", "800M", "6e9"; K, M, G, T alone and KiB.. count in 1024, KB.. in 1000.
uint64_t parse_bytes(const std::string& text, const std::string& flag) {
  const auto wrong = [&] { return Usage(flag + ": '" + text + "' is no size; write 4GiB, 800MiB or a number of bytes"); };
  char* end = nullptr;
  double value = std::strtod(text.c_str(), &end);
  if (end == text.c_str() || !(value > 0)) throw wrong();
  std::string unit(end);
  std::transform(unit.begin(), unit.end(), unit.begin(), [](unsigned char c) { return std::tolower(c); });
  if (!unit.empty() && unit != "b") {
    const size_t power = std::string("kmgt").find(unit[0]);
    const std::string rest = unit.substr(1);
    if (power == std::string::npos || (rest != "" && rest != "b" && rest != "ib")) throw wrong();
    value *= std::pow(rest == "b" ? 1000.0 : 1024.0, static_cast<double>(power) + 1);
  }
  if (value < 1 || value > 1e18) throw wrong();
  return static_cast<uint64_t>(value);
}

}  // namespace

int plan_verb(Flags& flags) {
  RunOptions run;
  std::string fit;
  bool json = false;
  flags.about("The memory a run will take, by device and purpose, before anything is loaded.", kExamples);
  add_run_flags(flags, run);
  flags.group("Plan");
  flags.integer("--parallel,-np", run.n_sequences, 1, 1 << 16, "4", "Texts at once, each with its own context");
  flags.text("--fit", fit, "SIZE", "4GiB", "Find the largest context that fits into this size: 4GiB, 800MiB, 6e9");
  flags.toggle("--json", json, "Machine-readable: total_bytes and its parts");
  if (!flags.parse()) return 0;
  if (run.model.empty()) throw Usage("--model is missing: phial plan -m FILE.gguf");
  const bool fits = flags.given("--fit");
  if (fits && run.n_context > 0) throw Usage("--fit finds the context; leave --ctx-size out");
  const RunPlan plan = fits ? plan_run_within(run, parse_bytes(fit, "--fit")) : plan_run(run);
  if (json)
    print_json(plan);
  else
    print_table(plan);
  return 0;
}

}  // namespace phial::cli
