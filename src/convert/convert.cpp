// The conversion: plan from config and table, then one pass over the tensors into a file that appears when it is complete.
#include "phial/convert.h"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <filesystem>

#include "base/fail.h"
#include "convert/checkpoint.h"
#include "convert/general_metadata.h"
#include "convert/tensor_stream.h"
#include "formats/gguf.h"
#include "quant/recipe.h"
#include "tokenizer/vocab.h"

namespace phial {
namespace {

constexpr uint64_t kMaxOverrideBytes = 16u << 20;
constexpr size_t kNamedTensors = 5;  // of a longer list in a note

std::string in_case(std::string text, int (*change)(int)) {
  for (char& ch : text) ch = static_cast<char>(change(static_cast<unsigned char>(ch)));
  return text;
}

void replace_all(std::string& text, std::string_view from, const std::string& to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
}

/// auto: the type of the first matrix where it is F16, else BF16, which has the range of F32.
Mix mix_of(const std::string& outtype, const MatchedTensors& matched) {
  if (outtype != "auto") return parse_mix(outtype);
  for (const SourceTensor& t : matched.tensors)
    if (t.entry && t.expected.shape.size() > 1) return t.dtype() == DType::f16 ? Mix::F16 : Mix::BF16;
  return Mix::BF16;
}

std::string output_path(const ConvertOptions& o, const Checkpoint& checkpoint, const std::string& type) {
  const std::string upper = in_case(type, std::toupper), lower = in_case(type, std::tolower);
  if (o.output.empty()) return checkpoint.folder + "/" + checkpoint.folder_name + "-" + upper + ".gguf";
  std::string path = o.output;
  for (const char* name : {"{ftype}", "{outtype}"}) replace_all(path, name, lower);
  for (const char* name : {"{FTYPE}", "{OUTTYPE}"}) replace_all(path, name, upper);
  return path;
}

/// What each tensor becomes: vectors, norms and rope factors F32, the rest by the mix.
std::vector<GgufTensorPlan> plan_tensors(const MatchedTensors& matched, Mix mix, const Metadata& metadata) {
  std::vector<RecipeTensor> wanted;
  for (const SourceTensor& t : matched.tensors) wanted.push_back({t.expected.gguf, t.expected.shape, DType::f32});
  RecipeOptions recipe;
  recipe.mix = mix;
  std::vector<GgufTensorPlan> plan;
  for (const TensorChoice& choice : choose_types(recipe, metadata, wanted)) {
    const RecipeTensor& t = wanted[plan.size()];
    if (choice.needs_importance)
      fail(ErrorCode::argument,
           "{} needs an importance matrix for tensor {}: convert to F16, then use 'phial quantize --imatrix'", mix_row(mix).name,
           t.name);
    plan.push_back({t.name, choice.dtype, t.shape});
  }
  return plan;
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string out;
  for (size_t i = 0; i < shape.size(); ++i) out += (i ? " x " : "") + std::to_string(shape[i]);
  return out;
}

std::string list_of(const std::vector<std::string>& names) {
  std::string out;
  for (size_t i = 0; i < std::min(names.size(), kNamedTensors); ++i) out += (i ? ", " : "") + printable(names[i]);
  return out + (names.size() > kNamedTensors ? ", ..." : "");
}

class Report {
 public:
  Report(const ProgressFn& progress, uint64_t total) : progress_(progress), total_(total) {}
  void note(const std::string& text) { send("", text); }
  void piece(const std::string& item, uint64_t done_of_item) { send(item, "", done_of_item); }
  void tensor(const std::string& item, uint64_t n_bytes, const std::string& text) {
    done_ += n_bytes;
    send(item, text);
  }

 private:
  void send(const std::string& item, const std::string& note, uint64_t more = 0) {
    if (progress_ && !progress_({"convert", item, done_ + more, total_, note}))
      fail(ErrorCode::cancelled, "the conversion was stopped");
  }
  const ProgressFn& progress_;
  uint64_t total_, done_ = 0;
};

/// The vocabulary checked and stored, the metadata complete; reading them back must give a model of the same shape.
Metadata describe(const ConvertOptions& o, const Checkpoint& c, const MatchedTensors& matched, uint64_t n_parameters, Mix mix) {
  Metadata metadata;
  describe_model(c, o.model_name, n_parameters, metadata);
  c.architecture->to_metadata(c.config, metadata);
  describe_mix(mix, metadata);
  const Vocab vocab = vocab_from_folder(c.folder, c.config.vocab_size);
  check_vocab_of_folder(c.folder, vocab);
  vocab_to_metadata(vocab, metadata);
  if (!o.metadata_file.empty())
    apply_metadata_json(parse_json(read_text_file(o.metadata_file, kMaxOverrideBytes), printable(o.metadata_file, 1024)),
                        printable(o.metadata_file, 1024), metadata);
  const Config again = c.architecture->from_metadata(metadata);
  if (!matched.tensors.empty() && again.vocab_size != c.config.vocab_size)
    fail(ErrorCode::vocab, "the vocabulary would have {} tokens, the embedding has {} rows", again.vocab_size,
         c.config.vocab_size);
  return metadata;
}

}  // namespace

std::vector<std::string> supported_architectures() {
  std::vector<std::string> names;
  for (const Architecture* a : architectures())
    for (const char* name : a->hf_names) names.emplace_back(name);
  return names;
}

ConvertReport convert(const ConvertOptions& options, const ProgressFn& progress) {
  const auto start = std::chrono::steady_clock::now();
  if (options.outtype != "auto") parse_mix(options.outtype);  // a wrong word fails before any work
  const Checkpoint checkpoint = open_checkpoint(options.input);
  SafetensorsFile file;
  MatchedTensors matched;
  if (!options.vocab_only) {
    file = SafetensorsFile::open_folder(checkpoint.folder);
    matched = match_tensors(checkpoint, file);
  }
  const Mix mix = mix_of(options.outtype, matched);
  ConvertReport report;
  uint64_t source_bytes = 0;
  for (const SourceTensor& t : matched.tensors)
    if (t.entry) report.n_parameters += t.entry->n_values(), source_bytes += t.entry->n_bytes;
  const std::string path = output_path(options, checkpoint, options.vocab_only ? "vocab" : std::string(mix_row(mix).name));
  for (const auto& input : file.files())
    if (is_same_file(input->path(), path))
      fail(ErrorCode::argument, "{} is one of the checkpoint's own files", printable(path, 1024));

  const Metadata metadata = describe(options, checkpoint, matched, report.n_parameters, mix);
  const std::vector<GgufTensorPlan> plan = plan_tensors(matched, mix, metadata);
  Report out(progress, source_bytes);
  if (!matched.unused.empty())
    out.note(fmt::format("{} tensors are not part of {} and are left out: {}", matched.unused.size(),
                         checkpoint.architecture->hf_names[0], list_of(matched.unused)));
  auto line = [&](size_t i) {
    const SourceTensor& t = matched.tensors[i];
    return fmt::format("{:<28} {:>14}  {} -> {}", plan[i].name, shape_text(plan[i].shape), format_info(t.dtype()).text,
                       format_info(plan[i].dtype).text);
  };
  if (options.dry_run) {
    for (size_t i = 0; i < plan.size(); ++i)
      out.tensor(plan[i].name, matched.tensors[i].entry ? matched.tensors[i].entry->n_bytes : 0, line(i));
    report.files = {path};
    report.n_bytes = gguf_file_bytes(metadata, plan);
  } else {
    ThreadPool pool(options.n_threads);
    TensorStream stream(file, pool, checkpoint.config.head_dim);
    GgufWriter writer(path, metadata, plan, {options.split_max_tensors, options.split_max_bytes, {}});
    const std::function<void(std::span<const std::byte>)> sink = [&](std::span<const std::byte> bytes) { writer.write(bytes); };
    for (size_t i = 0; i < plan.size(); ++i) {
      const SourceTensor& t = matched.tensors[i];
      stream.copy(t, plan[i].dtype, sink, [&](uint64_t done) { out.piece(plan[i].name, t.entry ? done : 0); });
      out.tensor(plan[i].name, t.entry ? t.entry->n_bytes : 0, line(i));
    }
    if (!stream.non_finite().empty())
      out.note(fmt::format("warning: {} tensors hold NaN or infinite values, kept as they are: {}", stream.non_finite().size(),
                           list_of(stream.non_finite())));
    writer.finish();
    report.files = writer.paths();
    report.n_bytes = writer.total_bytes();
  }
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

}  // namespace phial
