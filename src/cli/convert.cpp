// phial convert: a checkpoint folder to GGUF, with the flags of llama.cpp's convert_hf_to_gguf.py.
#include "phial/convert.h"

#include <fmt/core.h>

#include <cctype>
#include <limits>

#include "flags.h"
#include "terminal.h"
#include "verb.h"

namespace phial::cli {
namespace {

constexpr const char* kExamples =
    "  phial convert ./Phi-3.5-mini-instruct\n"
    "  phial convert ./Phi-3.5-mini-instruct -o phi.gguf --outtype q4_k_m\n"
    "  phial convert ./Phi-3.5-mini-instruct --outtype bf16 --split-max-size 4G --dry-run\n";
constexpr const char* kOutputTypes =
    "  auto (f16 for an F16 checkpoint, else bf16), f32, f16, bf16, q8_0, and every type of 'phial quantize --help'.\n";

/// "4G", "500M": llama.cpp's spelling, powers of 1000.
uint64_t parse_size(const std::string& text) {
  uint64_t value = 0;
  size_t i = 0;
  for (; i < text.size() && std::isdigit(static_cast<unsigned char>(text[i])) && value < 1'000'000'000; ++i)
    value = value * 10 + static_cast<uint64_t>(text[i] - '0');
  const char unit = i + 1 == text.size() ? text[i] : '\0';
  if (i == 0 || value == 0 || (unit != 'M' && unit != 'G'))
    throw Usage("--split-max-size wants a number with M or G, as 500M or 4G, not '" + text + "'");
  return value * (unit == 'M' ? 1'000'000 : 1'000'000'000);
}

}  // namespace

int convert_verb(Flags& flags) {
  ConvertOptions o;
  std::string split_size;
  bool print_supported = false, verbose = false, quiet = false;
  flags.about(
      "Converts a Hugging Face checkpoint folder (config.json, *.safetensors, tokenizer files) to GGUF, quantized on the way if "
      "asked.",
      kExamples);
  flags.section("Output types", kOutputTypes);
  flags.positional("DIR", o.input, "DIR");
  flags.text("--outfile,-o,--output", o.output, "FILE", "phi.gguf",
             "Output; default DIR/NAME-TYPE.gguf. {ftype} and {FTYPE} stand for the type");
  flags.text("--outtype", o.outtype, "TYPE", "q4_k_m", "Type of the weights");
  flags.toggle("--vocab-only", o.vocab_only, "Only metadata and vocabulary, no tensors");
  flags.text("--model-name", o.model_name, "NAME", "my-phi", "general.name; default: the folder's name");
  flags.text("--metadata", o.metadata_file, "FILE", "keys.json", "JSON of metadata keys to add or replace");
  flags.integer("--split-max-tensors", o.split_max_tensors, 0, std::numeric_limits<int>::max(), "128",
                "Tensors per output file; 0 = no limit");
  flags.text("--split-max-size", split_size, "N(M|G)", "4G", "Bytes of weights per output file");
  flags.toggle("--dry-run", o.dry_run, "Print the plan and the final size, write nothing");
  flags.toggle("--print-supported-models", print_supported, "Print the architectures that can be converted");
  flags.integer("--threads,-t", o.n_threads, 0, 1024, "8", "Threads; 0 = physical cores");
  flags.toggle("--verbose,-v", verbose, "A line per tensor");
  flags.toggle("--quiet,-q", quiet, "Print warnings and errors only");
  flags.accepted("--use-temp-file,--no-lazy", false);
  flags.noted("--no-tensor-first-split", false, "the first file holds tensors too");
  flags.noted("--disable-mistral-community-chat-template", false, "the template is the checkpoint's own");
  flags.refused("--bigendian", "big-endian files are not written; every machine that runs GGUF today reads little-endian");
  flags.refused("--remote", "download the checkpoint first, for example with: huggingface-cli download NAME --local-dir DIR");
  flags.refused(
      "--mmproj,--mtp,--no-mtp,--mistral-format,--sentence-transformers-dense-modules,--fuse-gate-up-exps,--fp8-as-q8,--target-"
      "model-dir",
      "only the text part of dense models is converted; leave the flag out");
  if (!flags.parse()) return 0;
  if (print_supported) {
    for (const std::string& name : supported_architectures()) fmt::print("{}\n", name);
    return 0;
  }
  if (o.input.empty()) throw Usage("the folder is missing: phial convert DIR [-o FILE] [--outtype TYPE]");
  if (!split_size.empty()) o.split_max_bytes = parse_size(split_size);
  watch_interrupt();
  ProgressBar bar(verbose || o.dry_run, quiet);
  const ConvertReport r = convert(o, bar.callback());
  bar.clear();
  if (quiet) return 0;
  const std::string more = r.files.size() > 1 ? fmt::format(" and {} more", r.files.size() - 1) : "";
  fmt::print("{} {}{}: {}, {:.1f} M parameters, {:.2f} s\n", o.dry_run ? "would write" : "wrote", r.files.at(0), more,
             human_bytes(static_cast<double>(r.n_bytes)), static_cast<double>(r.n_parameters) / 1e6, r.seconds);
  return 0;
}

}  // namespace phial::cli
