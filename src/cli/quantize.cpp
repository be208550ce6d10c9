// phial quantize (llama-quantize): [flags] IN [OUT] TYPE [threads].
#include "phial/quantize.h"

#include <fmt/core.h>

#include <sstream>

#include "files.h"
#include "run_flags.h"
#include "terminal.h"
#include "verb.h"

namespace phial::cli {
namespace {

constexpr const char* kExamples =
    "  phial quantize phi-3.5_fp16.gguf phi-3.5_Q4_K_M.gguf Q4_K_M\n"
    "  phial quantize --dry-run phi-3.5_fp16.gguf Q5_K_M\n"
    "  phial quantize --tensor-type 'ffn_down=q6_k' in.gguf out.gguf Q4_K_S 8\n";

std::string mixes() {
  std::string text;
  for (const MixInfo& m : quantization_mixes())
    text += fmt::format("  {:>4}  {:<8} {}\n", m.ftype < 0 ? "" : std::to_string(m.ftype), m.name, m.what);
  return text;
}

bool is_mix(const std::string& word) {
  for (const MixInfo& m : quantization_mixes()) {
    if (m.ftype >= 0 && word == std::to_string(m.ftype)) return true;
    if (word.size() == m.name.size() && std::equal(word.begin(), word.end(), m.name.begin(), [](char a, char b) {
          return std::toupper(static_cast<unsigned char>(a)) == std::toupper(static_cast<unsigned char>(b));
        }))
      return true;
  }
  return false;
}

void add_tensor_type(QuantizeOptions& o, const std::string& text) {
  const size_t equals = text.rfind('=');
  if (equals == std::string::npos) throw Usage("--tensor-type wants REGEX=TYPE, not '" + text + "'");
  o.tensor_types.emplace_back(text.substr(0, equals), text.substr(equals + 1));
}

}  // namespace

int quantize_verb(Flags& flags) {
  QuantizeOptions o;
  std::vector<std::string> words, tensor_types;
  std::string tensor_type_file;
  bool verbose = false, quiet = false;
  flags.about("Writes a smaller copy of a GGUF model.", kExamples);
  flags.positionals("IN [OUT] TYPE [THREADS]", words);
  flags.section("Types", mixes());
  flags.toggle("--allow-requantize", o.allow_requantize, "Quantize tensors that are quantized already (loses quality)");
  flags.toggle("--leave-output-tensor", o.leave_output_tensor, "Keep output.weight as it is");
  flags.toggle("--pure", o.pure, "All tensors to the base type, no mix");
  flags.toggle("--keep-split", o.keep_split, "Write as many shards as the input has");
  flags.toggle("--dry-run", o.dry_run, "Print types and the final size, write nothing");
  flags.text("--imatrix", o.imatrix_file, "FILE", "imatrix.gguf", "Importance matrix (GGUF or legacy .dat)");
  flags.list("--include-weights", o.include_weights, "NAME", "ffn_down", "Use the importance matrix for these tensors only");
  flags.list("--exclude-weights", o.exclude_weights, "NAME", "output", "Use the importance matrix for all but these tensors");
  flags.text("--output-tensor-type", o.output_tensor_type, "TYPE", "q6_k", "Type of output.weight");
  flags.text("--token-embedding-type", o.token_embedding_type, "TYPE", "q8_0", "Type of token_embd.weight");
  flags.list("--tensor-type", tensor_types, "REGEX=TYPE", "ffn_down=q6_k",
             "Type of the tensors whose name matches; may be repeated");
  flags.text("--tensor-type-file", tensor_type_file, "FILE", "types.txt", "A REGEX=TYPE per line");
  add_override_flag(flags, o.override_kv);
  flags.integer("--threads,-t", o.n_threads, 0, 1024, "8", "Threads; 0 = physical cores");
  flags.toggle("--verbose,-v", verbose, "A line per tensor, as --dry-run prints them");
  flags.toggle("--quiet,-q", quiet, "Print warnings and errors only");
  flags.refused("--prune-layers", "pruning layers is not built yet");
  if (!flags.parse()) return 0;
  if (words.size() < 2) throw Usage("usage: phial quantize [flags] IN [OUT] TYPE [THREADS]");
  o.input = words[0];
  size_t next = 1;
  // IN TYPE, IN TYPE THREADS, IN OUT TYPE, IN OUT TYPE THREADS: OUT is there unless the second word is a type and no type
  // follows.
  const bool second_is_type =
      is_mix(words[1]) && !(words.size() > 2 && is_mix(words[2]) && words[1].find_first_of("./") != std::string::npos);
  if (!second_is_type) o.output = words[next++];
  if (next >= words.size()) throw Usage("the type is missing: phial quantize IN OUT TYPE");
  o.type = words[next++];
  if (next < words.size()) {
    if (!CLI::detail::lexical_cast(words[next], o.n_threads) || o.n_threads < 0)
      throw Usage("threads: '" + words[next] + "' is not a number");
    ++next;
  }
  if (next < words.size()) throw Usage("one word too many: '" + words[next] + "'");
  for (const std::string& t : tensor_types) add_tensor_type(o, t);
  if (!tensor_type_file.empty()) {
    std::stringstream lines(read_input(tensor_type_file));
    for (std::string line; lines >> line;) add_tensor_type(o, line);
  }
  if (!is_mix(o.type)) {
    std::vector<std::string> names;
    for (const MixInfo& m : quantization_mixes()) names.push_back(m.name);
    std::string upper = o.type;
    for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    const std::string guess = nearest(upper, names);
    throw Usage("unknown type '" + o.type + "'" + (guess.empty() ? "" : "; did you mean " + guess + "?") +
                "\nSee: phial quantize --help");
  }
  watch_interrupt();
  ProgressBar bar(verbose || o.dry_run, quiet);
  const QuantizeReport r = quantize(o, bar.callback());
  bar.clear();
  if (quiet) return 0;
  const double bits = 8.0 * static_cast<double>(r.bytes_after) / static_cast<double>(std::max<uint64_t>(1, r.n_parameters));
  fmt::print("{}: {} -> {} ({:.2f} bits per weight), {:.2f} s\n", o.dry_run ? "would write" : "quantized",
             human_bytes(double(r.bytes_before)), human_bytes(double(r.bytes_after)), bits, r.seconds);
  if (r.n_fallbacks > 0)
    fmt::print("{} tensors took another type, because their rows do not fit the wanted one's blocks\n", r.n_fallbacks);
  return 0;
}

}  // namespace phial::cli
