// The quantizer: reads pieces of rows, decodes, checks, encodes on all threads, while another thread writes what is done.
// Memory: two windows of output and a piece per thread, whatever the size of the model.
#include "phial/quantize.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <future>
#include <optional>

#include "base/checked.h"
#include "base/fail.h"
#include "base/thread_pool.h"
#include "formats/gguf.h"
#include "formats/metadata_override.h"
#include "quant/codec.h"
#include "quant/encode.h"
#include "quant/imatrix.h"
#include "quant/recipe.h"

namespace phial {
namespace {

constexpr uint64_t kWindowBytes = 16u << 20;  // of source and of output
constexpr int64_t kPieceValues = 64 << 10;    // per thread and turn: stays in its cache
constexpr std::string_view kCopy = "COPY";

bool is_copy(const std::string& type) {
  return std::equal(type.begin(), type.end(), kCopy.begin(), kCopy.end(),
                    [](unsigned char a, char b) { return std::toupper(a) == b; });
}

std::string default_output(const std::string& input, std::string_view type) {
  const std::filesystem::path folder = std::filesystem::path(input).parent_path();
  return (folder / fmt::format("ggml-model-{}.gguf", type)).string();
}

std::string mebibytes(uint64_t n) { return fmt::format("{:.2f} MiB", static_cast<double>(n) / (1 << 20)); }

/// A tensor of the model and what is to become of it.
struct Job {
  const TensorEntry* from;
  GgufTensorPlan to;
  const std::vector<float>* importance = nullptr;
  bool is_fallback = false;

  bool is_copied() const { return from->dtype == to.dtype; }
};

class Quantizer {
 public:
  Quantizer(const QuantizeOptions& options, const ProgressFn& progress);
  QuantizeReport run();

 private:
  struct Scratch {
    std::vector<std::byte> raw;
    std::vector<float> values;
  };

  void plan();
  void attach_importance(Job& job, const TensorChoice& choice);
  void refuse_same_file() const;
  std::string line(size_t i) const;
  void report(const std::string& item, uint64_t done, const std::string& note) const;
  bool encode_rows(const Job& job, int64_t begin, int64_t n, std::byte* out, Scratch& scratch) const;
  void write_tensors(GgufWriter& writer);

  const QuantizeOptions& options_;
  const ProgressFn& progress_;
  GgufFile file_;
  Metadata metadata_;
  bool copy_ = false;
  Mix mix_ = Mix::Q4_K_M;
  std::string output_;
  GgufSplit split_;
  std::optional<ImportanceMatrix> imatrix_;
  std::vector<Job> jobs_;
  uint64_t source_bytes_ = 0;
};

Quantizer::Quantizer(const QuantizeOptions& options, const ProgressFn& progress) : options_(options), progress_(progress) {
  copy_ = is_copy(options.type);
  if (!copy_) mix_ = parse_mix(options.type);
  if (!options.include_weights.empty() && !options.exclude_weights.empty())
    fail(ErrorCode::argument, "--include-weights and --exclude-weights cannot be used together");
  file_ = GgufFile::open(options.input);
  output_ = options.output.empty() ? default_output(options.input, copy_ ? kCopy : mix_row(mix_).name) : options.output;
  if (!options.imatrix_file.empty()) {
    imatrix_ = ImportanceMatrix::open(options.imatrix_file);
    imatrix_->filter(options.include_weights, options.exclude_weights);
  }
  plan();
}

void Quantizer::attach_importance(Job& job, const TensorChoice& choice) {
  const TensorEntry& t = *job.from;
  if (imatrix_) job.importance = imatrix_->find(t.name);
  if (job.importance) {
    const auto columns = static_cast<uint64_t>(t.row_length());
    const uint64_t n_matrices = t.shape.size() > 2 ? t.n_rows() / static_cast<uint64_t>(t.shape[t.shape.size() - 2]) : 1;
    const uint64_t n = job.importance->size();
    if (n != columns && n != columns * n_matrices)
      fail(ErrorCode::shape,
           "{}: the importance of {} has {} values, the tensor has {} columns x {}; it belongs to another model",
           printable(options_.imatrix_file, 1024), printable(t.name), n, columns, n_matrices);
  } else if (choice.needs_importance) {
    fail(ErrorCode::argument, "{} needs an importance matrix for {}: give one that has it with --imatrix, or choose Q2_K",
         mix_row(mix_).name, printable(t.name));
  }
}

void Quantizer::plan() {
  metadata_ = file_.metadata();
  override_metadata(metadata_, options_.override_kv);
  RecipeOptions recipe;
  recipe.copy = copy_;
  recipe.mix = mix_;
  recipe.pure = options_.pure;
  recipe.leave_output_tensor = options_.leave_output_tensor;
  recipe.has_importance = imatrix_.has_value();
  recipe.output_tensor_type = options_.output_tensor_type;
  recipe.token_embedding_type = options_.token_embedding_type;
  recipe.tensor_types = options_.tensor_types;
  std::vector<RecipeTensor> tensors;
  for (const TensorEntry& t : file_.tensors()) tensors.push_back({t.name, t.shape, t.dtype});
  const std::vector<TensorChoice> choices = choose_types(recipe, metadata_, tensors);

  for (size_t i = 0; i < choices.size(); ++i) {
    const TensorEntry& t = file_.tensors()[i];
    Job job{&t, {t.name, choices[i].dtype, t.shape}, nullptr, choices[i].is_fallback()};
    if (!job.is_copied()) {
      if (format_info(t.dtype).is_quantized() && !options_.allow_requantize)
        fail(
            ErrorCode::argument,
            "{}: {} is {} already, and quantizing it again loses quality; start from an F32, F16 or BF16 model, or allow it with "
            "--allow-requantize",
            file_.where(t), printable(t.name), format_info(t.dtype).text);
      attach_importance(job, choices[i]);
    }
    source_bytes_ += t.n_bytes;
    jobs_.push_back(std::move(job));
    if (options_.keep_split) split_.shard_of.push_back(t.file);
  }
  if (!copy_) describe_mix(mix_, metadata_);
  if (imatrix_) imatrix_->describe(metadata_);
}

void Quantizer::refuse_same_file() const {
  const int n_shards = static_cast<int>(file_.files().size());
  for (const auto& input : file_.files())
    for (int i = 0; i < (options_.keep_split ? n_shards : 1); ++i) {
      const std::string path = options_.keep_split && n_shards > 1 ? gguf_shard_path(output_, i, n_shards) : output_;
      if (is_same_file(input->path(), path))
        fail(ErrorCode::argument, "{} would be written over the input; choose another output", printable(path, 1024));
    }
}

std::string Quantizer::line(size_t i) const {
  const Job& job = jobs_[i];
  std::string shape;
  for (size_t d = job.to.shape.size(); d-- > 0;) shape += std::to_string(job.to.shape[d]) + (d ? ", " : "");
  std::string text = fmt::format("[{:4}/{:4}] {:<36} [{}] {:>5}", i + 1, jobs_.size(), printable(job.to.name), shape,
                                 format_info(job.from->dtype).text);
  if (!job.is_copied()) text += fmt::format(" -> {:>5}", format_info(job.to.dtype).text);
  text += fmt::format(", {}", mebibytes(job.from->n_bytes));
  if (!job.is_copied()) text += fmt::format(" -> {}", mebibytes(job.to.n_bytes()));
  if (job.is_fallback) text += " (the rows do not fit the blocks of the wanted type)";
  if (imatrix_ && !job.is_copied() && !job.importance) text += " (no importance)";
  return text;
}

void Quantizer::report(const std::string& item, uint64_t done, const std::string& note) const {
  if (progress_ && !progress_({"quantize", item, done, source_bytes_, note}))
    fail(ErrorCode::cancelled, "quantizing was stopped; no file was written");
}

/// Rows [begin, begin + n) to bytes. The source comes from the file on the thread that needs it. False where values lie so
/// far beyond the range of F16, the type of a block's scale, that they were clipped.
bool Quantizer::encode_rows(const Job& job, int64_t begin, int64_t n, std::byte* out, Scratch& scratch) const {
  const TensorEntry& t = *job.from;
  const auto columns = static_cast<uint64_t>(t.row_length());
  const uint64_t in_row = t.n_bytes / std::max<uint64_t>(1, t.n_rows()), out_row = row_bytes(job.to.dtype, columns);
  const auto refuse = [&](std::string_view what) {
    fail(ErrorCode::nan, "{}: {} holds NaN or infinite values in rows {}..{}{}", file_.where(t), printable(t.name), begin,
         begin + n - 1, what);
  };
  const auto n_values = static_cast<int64_t>(static_cast<uint64_t>(n) * columns);
  const uint64_t in_begin = static_cast<uint64_t>(begin) * in_row, in_bytes = static_cast<uint64_t>(n) * in_row;
  if (job.is_copied()) {
    file_.read(t, in_begin, {out, in_bytes});
    if (!copy_ && codec(t.dtype).find_non_finite(out, n_values) >= 0)
      refuse("; the model is damaged (type COPY copies it as it is)");
    return true;
  }
  scratch.raw.resize(std::max<size_t>(scratch.raw.size(), in_bytes));
  scratch.values.resize(std::max<size_t>(scratch.values.size(), static_cast<size_t>(n_values)));
  file_.read(t, in_begin, {scratch.raw.data(), in_bytes});
  float* values = scratch.values.data();
  codec(t.dtype).decode(scratch.raw.data(), values, n_values);
  uint32_t largest = 0;
  for (int64_t i = 0; i < n_values; ++i) largest = std::max(largest, std::bit_cast<uint32_t>(values[i]) & 0x7FFFFFFFu);
  if (largest >= 0x7F800000u) refuse("; the model is damaged");
  if (job.to.dtype == DType::f16 && std::bit_cast<float>(largest) >= 65520.0f)
    fail(ErrorCode::argument, "{}: {} holds {:.6g}, too large for F16 (at most 65504); use BF16 or a quantized type",
         file_.where(t), printable(t.name), std::bit_cast<float>(largest));

  // An expert has its own importance.
  const bool shared = !job.importance || job.importance->size() == columns;
  const int64_t rows_per_matrix = shared ? begin + n : t.shape[t.shape.size() - 2];
  for (int64_t i = 0; i < n;) {
    const int64_t matrix = (begin + i) / rows_per_matrix;
    const int64_t m = std::min(n - i, (matrix + 1) * rows_per_matrix - (begin + i));
    quantize_rows(values + static_cast<uint64_t>(i) * columns, m, t.row_length(), job.to.dtype,
                  job.importance ? job.importance->data() + static_cast<uint64_t>(matrix) * columns : nullptr,
                  out + static_cast<uint64_t>(i) * out_row);
    i += m;
  }
  if (std::bit_cast<float>(largest) < 65520.0f || !format_info(job.to.dtype).is_quantized()) return true;
  codec(job.to.dtype).decode(out, values, n_values);
  float reached = 0;
  for (int64_t i = 0; i < n_values; ++i) reached = std::max(reached, std::abs(values[i]));
  return reached >= 0.5f * std::bit_cast<float>(largest);
}

void Quantizer::write_tensors(GgufWriter& writer) {
  ThreadPool pool(options_.n_threads);
  std::vector<Scratch> scratch(static_cast<size_t>(pool.size()));
  std::vector<std::byte> windows[2];
  std::future<void> writing;  // destroyed first: waits for its thread before the windows go
  size_t turn = 0;
  uint64_t done = 0;
  for (size_t i = 0; i < jobs_.size(); ++i) {
    const Job& job = jobs_[i];
    const auto n_rows = static_cast<int64_t>(job.from->n_rows());
    const uint64_t in_row = n_rows ? job.from->n_bytes / static_cast<uint64_t>(n_rows) : 0;
    const uint64_t out_row = n_rows ? job.to.n_bytes() / static_cast<uint64_t>(n_rows) : 0;
    const auto per_window =
        static_cast<int64_t>(std::max<uint64_t>(1, kWindowBytes / std::max<uint64_t>(1, std::max(in_row, out_row))));
    const int64_t per_piece = std::max<int64_t>(1, kPieceValues / std::max<int64_t>(1, job.from->row_length()));
    std::atomic<bool> clipped{false};
    for (int64_t begin = 0; begin < n_rows; begin += per_window) {
      const int64_t n = std::min(per_window, n_rows - begin);
      std::vector<std::byte>& window = windows[turn++ % 2];
      window.resize(std::max(window.size(), static_cast<size_t>(n) * out_row));
      pool.parallel_for(n, per_piece, [&](int64_t from, int64_t to, int worker) {
        if (!encode_rows(job, begin + from, to - from, window.data() + static_cast<uint64_t>(from) * out_row,
                         scratch[static_cast<size_t>(worker)]))
          clipped = true;
      });
      if (writing.valid()) writing.get();
      const std::span<const std::byte> bytes(window.data(), static_cast<size_t>(n) * out_row);
      writing = std::async(std::launch::async, [&writer, bytes] { writer.write(bytes); });
      report(job.to.name, done + static_cast<uint64_t>(begin + n) * in_row, "");
    }
    done += job.from->n_bytes;
    report(job.to.name, done, line(i) + (clipped ? " (values too large for F16 scales were clipped)" : ""));
  }
  if (writing.valid()) writing.get();
}

QuantizeReport Quantizer::run() {
  const auto start = std::chrono::steady_clock::now();
  QuantizeReport r;
  std::vector<GgufTensorPlan> plan;
  for (const Job& job : jobs_) {
    r.n_parameters += job.from->n_values();
    r.n_fallbacks += job.is_fallback;
    plan.push_back(job.to);
  }
  for (const auto& input : file_.files()) r.bytes_before += input->size();
  refuse_same_file();
  if (options_.dry_run) {
    r.bytes_after = gguf_file_bytes(metadata_, plan);
    for (size_t i = 0; i < jobs_.size(); ++i) report(jobs_[i].to.name, 0, line(i));
  } else {
    GgufWriter writer(output_, metadata_, std::move(plan), split_);
    write_tensors(writer);
    writer.finish();
    r.bytes_after = writer.total_bytes();
  }
  r.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return r;
}

}  // namespace

QuantizeReport quantize(const QuantizeOptions& options, const ProgressFn& progress) { return Quantizer(options, progress).run(); }

const std::vector<MixInfo>& quantization_mixes() {
  static const std::vector<MixInfo> mixes = [] {
    std::vector<MixInfo> out;
#define X(name, ftype, base, what) out.push_back({#name, ftype, what});
#include "quant/mixes.def"
#undef X
    out.push_back({"Q3_K", 12, "the same as Q3_K_M"});
    out.push_back({"Q4_K", 15, "the same as Q4_K_M"});
    out.push_back({"Q5_K", 17, "the same as Q5_K_M"});
    out.push_back({std::string(kCopy), -1, "every tensor as it is, into one file"});
    return out;
  }();
  return mixes;
}

}  // namespace phial
