// Running a model: a Model is loaded weights, a Session one running text with its KV cache.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "phial/progress.h"
#include "phial/sampler.h"
#include "phial/tokenizer.h"

namespace phial {

/// Flags every verb that runs a model takes.
struct RunOptions {
  std::string model;
  int n_threads = 0;        // -t; 0 = physical cores
  int n_threads_batch = 0;  // -tb; 0 = n_threads
  int64_t n_context = 0;    // -c; 0 = the model's own, lowered to what fits memory
  int n_batch = 2048;       // -b: tokens given to the engine at once
  int n_ubatch = 512;       // -ub: tokens of one step
  int n_sequences = 1;
  std::string cache_type_k = "i16";  // -ctk: f32, f16, i16, q8_0
  std::string cache_type_v = "i16";  // -ctv
  int n_gpu_layers = -1;             // -ngl; accepted, there is no GPU backend yet: a note says so
  std::string device;                // --device: "" = best; "reference"
  std::string isa;                   // --isa
  bool mmap = false;                 // --mmap: low-memory way, weights stay in the file's map
  bool huge_pages = true;
  bool check_tensors = false;
  std::vector<std::string> override_kv;
};

struct ModelInfo {
  std::string name, architecture, file_type, device;
  uint64_t n_parameters = 0, file_bytes = 0, weight_bytes = 0, kv_bytes = 0, workspace_bytes = 0;
  uint64_t matrix_values = 0;  // of the layers' matrices: each token of a prompt is multiplied with them
  uint64_t matrix_bytes = 0;   // of the layers' matrices and the output head, as held: read for each decoded token
  int64_t n_context_train = 0, n_context = 0, n_layers = 0, hidden_size = 0;
  int32_t vocab_size = 0;
  int n_threads = 0;
  std::vector<std::string> notes;  // lines a person should see once ("no GPU here: running on the CPU")
};

struct Timings {
  int64_t n_prompt = 0, n_cached = 0, n_generated = 0;
  double load_seconds = 0, prompt_seconds = 0, generate_seconds = 0, first_token_seconds = 0;
};

enum class StopReason { end_of_generation, length, context_full, cancelled };

class Session;

/// Many texts whose logits are wanted, as their owner gives and takes them.
class LogitsJob {
 public:
  struct Text {
    std::vector<int32_t> tokens;
    int64_t begin = 0, end = 0;  // rows are wanted of the positions begin .. end - 1; tokens from `end` on are not computed
  };
  virtual ~LogitsJob() = default;
  /// Fills in the next text, which is number 0, 1, ...; false = there are no more.
  virtual bool next(Text& text) = 0;
  /// The logits after the token at `position`. Called from several threads at once; the row is valid during the call.
  virtual void row(int64_t text, int64_t position, std::span<const float> logits) = 0;
  /// All rows of the text were given. Texts end in order.
  virtual void done(int64_t text) = 0;
  /// Between steps, with the number of tokens the last one computed; false stops: CANCELLED.
  virtual bool go_on(int64_t n_tokens) = 0;
};

class Model {
 public:
  static std::shared_ptr<Model> load(const RunOptions& options, const ProgressFn& progress = {});
  virtual ~Model() = default;
  virtual const ModelInfo& info() const = 0;
  virtual std::shared_ptr<const Tokenizer> tokenizer() const = 0;
  virtual std::unique_ptr<Session> open_session() = 0;  // throws BUSY beyond n_sequences
  /// f32 logits of every position: sink(position, row of vocab_size) in order. Throws CONTEXT.
  virtual void logits(std::span<const int32_t> tokens, const std::function<void(int64_t, std::span<const float>)>& sink) = 0;
  /// Logits of many texts, computed in the same steps; they equal those of each alone, bit for bit. What a text
  /// and the one before have in common at their beginning is computed once. Throws CONTEXT, TOKEN.
  virtual void logits(LogitsJob& job) = 0;
  /// Several texts decoded together, each with its own parameters; results equal those of each alone, bit for bit.
  struct GenerateRequest {
    std::vector<int32_t> prompt;
    SamplerParams sampling;
    int64_t n_predict = -1;
    std::function<void(int32_t)> on_token{};  // told of each token between steps; may be empty
  };
  struct GenerateResult {
    std::vector<int32_t> tokens;  // an end-of-generation token included
    StopReason reason = StopReason::length;
    std::string error;  // not empty: this request alone failed ("NUMERICAL: ..."), tokens are those until then
  };
  virtual std::vector<GenerateResult> generate(std::span<const GenerateRequest> requests) = 0;
};

/// One sequence. Not for use from two threads at once.
class Session {
 public:
  virtual ~Session() = default;
  /// Makes `tokens` the whole text of the sequence: the common prefix with what is cached is kept, the rest is computed.
  /// cancel() is asked between steps. Throws CONTEXT with both numbers when it does not fit.
  virtual void set_tokens(std::span<const int32_t> tokens, const std::function<bool()>& cancel = {}) = 0;
  /// Samples until the end; on_token(id) returns false to stop. The tokens, an end-of-generation token included, become part
  /// of the text.
  virtual StopReason generate(const SamplerParams& params, int64_t n_predict, const std::function<bool(int32_t)>& on_token) = 0;
  /// Writes the text with its KV cache, and a note of the caller's, to a file (whole or not at all). The first save or load of
  /// a model reads the model's files once, to know them by their hash.
  virtual void save(const std::string& path, const std::string& note = "") = 0;
  /// Goes on where save() stopped, bit for bit, and returns the note. A file that is damaged or belongs to another model, KV
  /// type or version is refused (TRUNC, MAGIC, VERSION, STATE; CONTEXT when it does not fit) and the session stays as it was.
  virtual std::string load(const std::string& path) = 0;
  virtual std::span<const int32_t> tokens() const = 0;
  virtual std::span<const float> last_logits() const = 0;
  virtual const Timings& timings() const = 0;
};

}  // namespace phial
