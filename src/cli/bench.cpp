// phial bench (llama-bench): tokens per second of prompts and of decoding, beside the machine's measured limits.
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "llama_flags.h"
#include "phial/engine.h"
#include "phial/error.h"
#include "phial/limits.h"
#include "process_flags.h"
#include "terminal.h"
#include "verb.h"

namespace phial::cli {
namespace {

constexpr const char* kExamples =
    "  phial bench -m phi.gguf                        512 prompt tokens and 128 decoded, 5 times\n"
    "  phial bench -m phi.gguf -p 128,512 -n 32 -t 1-4*2 -o csv\n"
    "  phial bench -m phi.gguf -pg 512,64 -d 0,4096\n"
    "  phial bench -m phi.gguf -p 0 -n 64 -npl 1,2,4,8       sequences decoded together\n"
    "  phial bench --limits\n";

/// "a,b", "a-b", "a-b+s", "a-b*m", as llama-bench reads them.
std::vector<int> numbers(const std::string& text, const std::string& flag) {
  std::vector<int> out;
  std::stringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) {
    int first = 0, last = 0, step = 1;
    char op = '+';
    int used = 0;
    const int n = std::sscanf(part.c_str(), "%d-%d%c%d%n", &first, &last, &op, &step, &used);
    const bool ok = (n == 1 && part.find_first_not_of("0123456789") == std::string::npos) || (n == 2 && last >= first) ||
                    (n == 4 && used == static_cast<int>(part.size()) && last >= first &&
                     ((op == '+' && step > 0) || (op == '*' && step > 1 && first > 0)));
    if (!ok) throw Usage(flag + ": '" + part + "' is not a number or a range (a-b, a-b+s, a-b*m)");
    if (n == 1) last = first;
    for (int64_t v = first; v <= last && out.size() < 1000; v = op == '*' ? v * step : v + step)
      out.push_back(static_cast<int>(v));
  }
  return out;
}

std::vector<std::string> words(const std::string& text) {
  std::vector<std::string> out;
  std::stringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) out.push_back(part);
  return out;
}

struct Test {
  int n_prompt, n_gen, n_depth;
  int n_parallel = 1;  // sequences that decode together
  std::string name() const {
    std::string text = n_prompt && n_gen ? fmt::format("pp{}+tg{}", n_prompt, n_gen)
                       : n_prompt        ? fmt::format("pp{}", n_prompt)
                                         : fmt::format("tg{}", n_gen);
    if (n_parallel > 1) text += fmt::format(" x{}", n_parallel);
    return n_depth ? text + fmt::format(" @ d{}", n_depth) : text;
  }
};

struct Row {
  RunOptions run;
  ModelInfo info;
  Test test;
  std::vector<double> seconds;

  double n_tokens() const { return test.n_prompt + test.n_gen * test.n_parallel; }
  std::vector<double> rates() const {
    std::vector<double> r;
    for (double s : seconds) r.push_back(n_tokens() / s);
    return r;
  }
};

double mean(const std::vector<double>& v) {
  double sum = 0;
  for (double x : v) sum += x;
  return v.empty() ? 0 : sum / static_cast<double>(v.size());
}

double deviation(const std::vector<double>& v) {
  if (v.size() < 2) return 0;
  const double m = mean(v);
  double sum = 0;
  for (double x : v) sum += (x - m) * (x - m);
  return std::sqrt(sum / static_cast<double>(v.size() - 1));
}

/// Tokens whose values do not matter, the same in every run.
std::vector<int32_t> filler(int n, int32_t vocab_size) {
  std::vector<int32_t> ids(n);
  uint32_t state = 1;
  for (int32_t& id : ids) {
    state = state * 1664525u + 1013904223u;
    id = static_cast<int32_t>((state >> 8) % static_cast<uint32_t>(vocab_size));
  }
  return ids;
}

/// Several sequences decoded together: what n_gen tokens of each take after the step that reads all beginnings.
void measure_parallel(Model& model, Row& row, int repetitions, bool warm_up) {
  const Test& t = row.test;
  SamplerParams greedy;
  greedy.temperature = 0;
  greedy.ignore_eos = true;
  const auto ids = filler(t.n_parallel * (t.n_depth + 1), row.info.vocab_size);
  int n_tokens = 0;
  double begin = 0;
  const auto count = [&](int32_t) {
    if (++n_tokens == t.n_parallel) begin = now_seconds();
  };
  for (int r = warm_up ? -1 : 0; r < repetitions && !g_interrupted; ++r) {
    std::vector<Model::GenerateRequest> requests;
    for (auto at = ids.begin(); at < ids.end(); at += t.n_depth + 1)
      requests.push_back({{at, at + t.n_depth + 1}, greedy, 1 + (r < 0 ? 1 : t.n_gen), count});
    n_tokens = 0;
    for (const auto& result : model.generate(requests))
      if (!result.error.empty()) throw phial::Error(ErrorCode::internal, result.error);
    if (r >= 0) row.seconds.push_back(now_seconds() - begin);
  }
}

void measure(Model& model, Row& row, int repetitions, bool warm_up) {
  if (row.test.n_parallel > 1) return measure_parallel(model, row, repetitions, warm_up);
  const Test& t = row.test;
  const auto all = filler(t.n_depth + std::max(1, t.n_prompt), row.info.vocab_size);
  const std::span<const int32_t> depth(all.data(), t.n_depth);
  const std::span<const int32_t> whole(all.data(), t.n_depth + std::max(1, t.n_prompt));
  SamplerParams greedy;
  greedy.temperature = 0;
  greedy.ignore_eos = true;
  for (int r = warm_up ? -1 : 0; r < repetitions && !g_interrupted; ++r) {
    auto session = model.open_session();
    if (t.n_depth > 0) session->set_tokens(depth);
    double seconds = 0;
    const double begin = now_seconds();
    session->set_tokens(whole);
    const double prompt = now_seconds() - begin;
    if (t.n_prompt > 0) seconds += prompt;
    double generate = 0;
    if (t.n_gen > 0) {
      const double start = now_seconds();
      session->generate(greedy, r < 0 ? 1 : t.n_gen, [](int32_t) { return true; });
      generate = now_seconds() - start;
      seconds += generate;
    }
    if (r >= 0) row.seconds.push_back(seconds);
  }
}

/// Share of the limit: int8 (or float) peak for prompts, memory read rate for decoding; "" when it does not apply.
std::string share(const Row& row, const Limits* limits) {
  if (!limits || row.seconds.empty() || (row.test.n_prompt && row.test.n_gen)) return "";
  const double best = *std::min_element(row.seconds.begin(), row.seconds.end());
  const double rate = row.n_tokens() / best, n_steps = rate / row.test.n_parallel;
  if (row.test.n_prompt) {
    const std::string& type = row.info.file_type;
    const double peak = type == "BF16"  ? limits->best_bf16()
                        : type == "F16" ? limits->best_f16()
                        : type == "F32" ? limits->f32_flops
                                        : limits->int8_ops();
    if (peak <= 0) return "";
    const bool is_float = type == "BF16" || type == "F16" || type == "F32";
    return fmt::format("{:.0f} % of {}", 200.0 * rate * static_cast<double>(row.info.matrix_values) / peak,
                       !is_float                  ? "int8"
                       : peak > limits->f32_flops ? (type == "F16" ? "f16" : "bf16")
                                                  : "f32");
  }
  return limits->best_read() > 0
             ? fmt::format("{:.0f} % of read", 100.0 * n_steps * static_cast<double>(row.info.matrix_bytes) / limits->best_read())
             : "";
}

std::string model_text(const ModelInfo& info) {
  const auto n = static_cast<double>(info.n_parameters);
  const std::string size = n < 1e9 ? fmt::format("{:.1f}M", n / 1e6) : fmt::format("{:.1f}B", n / 1e9);
  return fmt::format("{} {} {}", info.architecture, size, info.file_type);
}

nlohmann::ordered_json record(const Row& row, const Limits* limits) {
  const auto rates = row.rates();
  std::vector<uint64_t> ns;
  for (double s : row.seconds) ns.push_back(static_cast<uint64_t>(s * 1e9));
  double mean_ns = mean(row.seconds) * 1e9, deviation_ns = deviation(row.seconds) * 1e9;
  char time[32];
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  std::strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
  return {{"build_commit", PHIAL_VERSION},
          {"build_number", 0},
          {"cpu_info", limits ? limits->machine : row.info.device},
          {"gpu_info", ""},
          {"backends", "CPU"},
          {"model_filename", row.run.model},
          {"model_type", model_text(row.info)},
          {"model_size", row.info.file_bytes},
          {"model_n_params", row.info.n_parameters},
          {"n_batch", row.run.n_batch},
          {"n_ubatch", row.run.n_ubatch},
          {"n_threads", row.info.n_threads},
          {"type_k", row.run.cache_type_k},
          {"type_v", row.run.cache_type_v},
          {"n_gpu_layers", 0},
          {"n_prompt", row.test.n_prompt},
          {"n_gen", row.test.n_gen},
          {"matrix_values", row.info.matrix_values},
          {"matrix_bytes", row.info.matrix_bytes},
          {"n_depth", row.test.n_depth},
          {"n_parallel", row.test.n_parallel},
          {"test_time", time},
          {"avg_ns", static_cast<uint64_t>(mean_ns)},
          {"stddev_ns", static_cast<uint64_t>(deviation_ns)},
          {"avg_ts", mean(rates)},
          {"stddev_ts", deviation(rates)},
          {"share_of_limit", share(row, limits)},
          {"samples_ns", ns},
          {"samples_ts", rates}};
}

std::string cell(const nlohmann::ordered_json& v) { return v.is_string() ? v.get<std::string>() : v.dump(); }

void print_rows(const std::vector<Row>& rows, const Limits* limits, const std::string& format) {
  if (format == "json") {
    auto all = nlohmann::ordered_json::array();
    for (const Row& r : rows) all.push_back(record(r, limits));
    fmt::print("{}\n", all.dump(2));
    return;
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    auto r = record(rows[i], limits);
    if (format == "jsonl") {
      fmt::print("{}\n", r.dump());
      continue;
    }
    r.erase("samples_ns");
    r.erase("samples_ts");
    if (format == "csv") {
      std::string head, line;
      for (const auto& [key, value] : r.items()) {
        std::string text = cell(value);
        for (size_t at = 0; (at = text.find('"', at)) != std::string::npos; at += 2) text.insert(at, "\"");
        head += (head.empty() ? "" : ",") + key;
        line += (line.empty() ? "\"" : ",\"") + text + "\"";
      }
      if (i == 0) fmt::print("{}\n", head);
      fmt::print("{}\n", line);
    } else if (format == "sql") {
      std::string columns, values, schema;
      for (const auto& [key, value] : r.items()) {
        std::string text = cell(value);
        for (size_t at = 0; (at = text.find('\'', at)) != std::string::npos; at += 2) text.insert(at, "'");
        columns += (columns.empty() ? "" : ", ") + key;
        values += (values.empty() ? "'" : ", '") + text + "'";
        schema += (schema.empty() ? "  " : ",\n  ") + key +
                  (value.is_string()         ? " TEXT"
                   : value.is_number_float() ? " REAL"
                                             : " INTEGER");
      }
      if (i == 0) fmt::print("CREATE TABLE IF NOT EXISTS test (\n{}\n);\n\n", schema);
      fmt::print("INSERT INTO test ({}) VALUES ({});\n", columns, values);
    } else {
      if (i == 0)
        fmt::print(
            "| model                          |       size |     params | backend    | threads |            test |               "
            "   t/s |        of limit |\n"
            "| ------------------------------ | ---------: | ---------: | ---------- | ------: | --------------: | "
            "-------------------: | --------------: |\n");
      const Row& row = rows[i];
      const auto rates = row.rates();
      fmt::print("| {:<30} | {:>10} | {:>8.2f} {} | {:<10} | {:>7} | {:>15} | {:>20} | {:>15} |\n", model_text(row.info),
                 human_bytes(double(row.info.file_bytes)),
                 double(row.info.n_parameters) / (row.info.n_parameters >= 1000000000 ? 1e9 : 1e6),
                 row.info.n_parameters >= 1000000000 ? "B" : "M", "CPU", row.info.n_threads, row.test.name(),
                 fmt::format("{:.2f} \u00b1 {:.2f}", mean(rates), deviation(rates)), share(row, limits));
    }
  }
  if (format == "md" && !rows.empty()) fmt::print("\nbuild: phial {}; {}\n", PHIAL_VERSION, rows[0].info.device);
}

int print_limits(int n_threads, const std::string& format) {
  const Limits l = measure_limits(n_threads, 5.0);
  if (format == "json" || format == "jsonl") {
    nlohmann::ordered_json j = {{"machine", l.machine},
                                {"n_threads", l.n_threads},
                                {"int8_vnni_ops", l.int8_vnni_ops},
                                {"int8_amx_ops", l.int8_amx_ops},
                                {"bf16_flops", l.bf16_flops},
                                {"bf16_amx_flops", l.bf16_amx_flops},
                                {"f16_amx_flops", l.f16_amx_flops},
                                {"f32_flops", l.f32_flops},
                                {"barrier_ns", l.barrier_ns}};
    for (const ReadRate& r : l.read)
      j["read"].push_back({{"n_threads", r.n_threads}, {"small_pages", r.small_pages}, {"huge_pages", r.huge_pages}});
    fmt::print("{}\n", j.dump(format == "json" ? 2 : -1));
    return 0;
  }
  fmt::print("{}, {} threads\n\n| limit | measured |\n| --- | ---: |\n", l.machine, l.n_threads);
  const auto row = [](const char* name, double value, const char* unit) {
    fmt::print("| {} | {} |\n", name, value > 0 ? fmt::format("{:.1f} {}", value / 1e9, unit) : "not on this machine");
  };
  row("int8 products, VNNI", l.int8_vnni_ops, "GOP/s");
  row("int8 products, AMX", l.int8_amx_ops, "GOP/s");
  row("bf16 products, AVX-512", l.bf16_flops, "GFLOP/s");
  row("bf16 products, AMX", l.bf16_amx_flops, "GFLOP/s");
  row("f16 products, AMX", l.f16_amx_flops, "GFLOP/s");
  row("f32 products", l.f32_flops, "GFLOP/s");
  for (const ReadRate& r : l.read) {
    row(fmt::format("memory read, {} thread{}, 4 KiB pages", r.n_threads, r.n_threads > 1 ? "s" : "").c_str(), r.small_pages,
        "GB/s");
    row(fmt::format("memory read, {} thread{}, 2 MiB pages", r.n_threads, r.n_threads > 1 ? "s" : "").c_str(), r.huge_pages,
        "GB/s");
  }
  fmt::print("| barrier | {:.0f} ns |\n", l.barrier_ns);
  return 0;
}

}  // namespace

int bench_verb(Flags& flags) {
  RunOptions base;
  std::string models, prompts = "512", gens = "128", depths = "0", parallel = "1", batches = "2048", ubatches = "512",
                      threads = "0", types_k = RunOptions().cache_type_k, types_v = RunOptions().cache_type_v, output = "md";
  std::vector<std::string> pairs;
  int repetitions = 5, delay = 0;
  bool limits_only = false, no_limits = false, no_warmup = false;
  flags.about("Tokens per second, as llama-bench counts them, beside this machine's measured limits.", kExamples);
  flags.comma_list("--model,-m", models, "FILE", "a.gguf,b.gguf", "GGUF files, separated by commas");
  flags.comma_list("--n-prompt,-p", prompts, "N", "128,512", "Prompt lengths; lists a,b and ranges a-b, a-b+s, a-b*m; 0 = none");
  flags.comma_list("--n-gen,-n", gens, "N", "32", "Tokens to decode; 0 = none");
  flags.list("--prompt-gen,-pg", pairs, "PP,TG", "512,64", "A prompt of PP tokens, then TG decoded, as one test");
  flags.comma_list("--n-depth,-d", depths, "N", "0,4096", "Tokens in the cache before the test");
  flags.comma_list("--parallel,-npl", parallel, "N", "1,8", "Sequences that decode together, of the tests of --n-gen");
  flags.comma_list("--batch-size,-b", batches, "N", "512,2048", "Prompt tokens given at once");
  flags.comma_list("--ubatch-size,-ub", ubatches, "N", "128,512", "Tokens of one step");
  flags.comma_list("--threads,-t", threads, "N", "1-8*2", "Threads; 0 = physical cores");
  flags.comma_list("--cache-type-k,-ctk", types_k, "TYPE", "f16,q8_0", "Keys in the cache: f32, f16, i16, q8_0");
  flags.comma_list("--cache-type-v,-ctv", types_v, "TYPE", "f16,q8_0", "Values in the cache: f32, f16, i16, q8_0");
  flags.text("--isa", base.isa, "reference|generic|avx2|avx_vnni|avx512|avx512_bf16|amx|amx_fp16|neon|i8mm", "avx2",
             "Force an instruction set");
  flags.text("--device,-dev", base.device, "cpu|reference", "reference", "Where to run; empty = the best");
  flags.action(
      "--mmap,-mmp", "0|1", "0", "1", "Low-memory way: weights stay in the file's map",
      [&base](const std::string& on) { base.mmap = on == "1"; }, "1");
  flags.toggle("--no-mmap", base.mmap, "The same as --mmap 0", false);
  add_load_mode_flag(flags, base.mmap);
  flags.toggle("--no-huge-pages", base.huge_pages, "Do not ask for 2 MiB pages", false);
  flags.integer("--repetitions,-r", repetitions, 1, 1000, "3", "Repetitions of each test");
  flags.text("--output,-o", output, "md|csv|json|jsonl|sql", "csv", "Format of the results");
  flags.integer("--delay", delay, 0, 3600, "5", "Seconds of rest before each test");
  flags.toggle("--no-warmup", no_warmup, "No uncounted run before each test");
  flags.toggle("--warmup", no_warmup, "An uncounted run before each test (the default)", false);
  flags.toggle("--limits", limits_only, "Only measure the limits of this machine");
  flags.toggle("--no-limits", no_limits, "Do not measure the limits");
  add_process_flags(flags);
  answer_llama_bench_flags(flags);
  if (!flags.parse()) return 0;
  if (output != "md" && output != "csv" && output != "json" && output != "jsonl" && output != "sql")
    throw Usage("--output: '" + output + "' is not md, csv, json, jsonl or sql");
  const auto thread_counts = numbers(threads, "--threads");
  if (limits_only) return print_limits(thread_counts.empty() ? 0 : thread_counts[0], output);
  if (models.empty()) throw Usage("--model is missing: phial bench -m FILE.gguf");

  std::vector<Test> tests;
  for (int d : numbers(depths, "--n-depth")) {
    for (int p : numbers(prompts, "--n-prompt"))
      if (p > 0) tests.push_back({p, 0, d});
    for (int n : numbers(gens, "--n-gen"))
      for (int together : numbers(parallel, "--parallel"))
        if (n > 0 && together > 0) tests.push_back({0, n, d, together});
    for (const std::string& pair : pairs) {
      const auto both = numbers(pair, "-pg");
      if (both.size() != 2) throw Usage("-pg wants PP,TG, not '" + pair + "'");
      tests.push_back({both[0], both[1], d});
    }
  }
  if (tests.empty()) throw Usage("nothing to test: -p, -n and -pg are all 0");
  int64_t context = 0;
  int n_sequences = 1;
  const auto step_sizes = numbers(ubatches, "--ubatch-size");
  for (const Test& t : tests) {
    context = std::max<int64_t>(context, t.n_depth + std::max(1, t.n_prompt) + t.n_gen + (t.n_parallel > 1));
    n_sequences = std::max(n_sequences, t.n_parallel);
    for (int step : step_sizes)  // else the first sequences would decode while others still read their prompts
      if (t.n_parallel > 1 && int64_t{t.n_parallel} * (t.n_depth + 1) > step)
        throw Usage(fmt::format("--parallel {}: the beginnings of {} + 1 tokens do not fit one step of {}; raise --ubatch-size",
                                t.n_parallel, t.n_depth, step));
  }

  watch_interrupt();
  std::map<int, Limits> limits;
  std::vector<Row> rows;
  for (const std::string& path : words(models))
    for (int t : thread_counts)
      for (int b : numbers(batches, "--batch-size"))
        for (int ub : step_sizes)
          for (const std::string& k : words(types_k))
            for (const std::string& v : words(types_v)) {
              RunOptions run = base;
              run.model = path;
              run.n_threads = t;
              run.n_batch = b;
              run.n_ubatch = ub;
              run.cache_type_k = k;
              run.cache_type_v = v;
              run.n_context = context;
              run.n_sequences = n_sequences;
              ProgressBar bar(false);
              auto model = Model::load(run, bar.callback());
              bar.clear();
              const int n = model->info().n_threads;
              if (!no_limits && !limits.count(n)) limits[n] = measure_limits(n);
              for (const Test& test : tests) {
                if (g_interrupted) return 130;
                Row row{run, model->info(), test, {}};
                if (is_terminal(2)) fmt::print(stderr, "\r\033[K{} {}", path, test.name());
                if (delay > 0) sleep(static_cast<unsigned>(delay));
                measure(*model, row, repetitions, !no_warmup);
                if (is_terminal(2)) fmt::print(stderr, "\r\033[K");
                rows.push_back(row);
              }
            }
  print_rows(rows, no_limits || rows.empty() ? nullptr : &limits.at(rows[0].info.n_threads), output);
  return g_interrupted ? 130 : 0;
}

}  // namespace phial::cli
