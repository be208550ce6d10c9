// The dry run, and the choice of the context.
#include "engine/memory_plan.h"

#include <algorithm>
#include <vector>

#include "base/checked.h"
#include "base/fail.h"
#include "model/decoder.h"
#include "tensor/plan_stream.h"

namespace phial {
namespace {

constexpr uint64_t kMaxLogitBytes = 64u << 20;  // of one step
constexpr int64_t kLeastContext = 256;
constexpr uint64_t kUnlimited = UINT64_MAX / 4;

double gib(uint64_t bytes) { return static_cast<double>(bytes) / (1u << 30); }

/// Runs one full step on nothing.
void dry_run(MemoryPlan& plan, const DecoderModel& model, const RopeTable& rope, const KvFormat& kv_format) {
  Workspace workspace(nullptr, kUnlimited);
  PlanStream stream(workspace);
  const std::vector<KvLayer> kv(model.layers.size(),
                                {nullptr, nullptr, kv_format.k, kv_format.v, 0, kv_format.n_kv_heads, kv_format.head_dim});
  StepInputs inputs;
  inputs.n_tokens = static_cast<int32_t>(plan.max_tokens);
  inputs.n_sequences = static_cast<int32_t>(plan.max_outputs);
  inputs.n_outputs = static_cast<int32_t>(plan.max_outputs);
  inputs.max_pages = static_cast<int32_t>(pages_for(plan.n_context));
  Step step{stream, inputs, workspace.tensor(plan.max_tokens, rope.n_rot())};
  model.forward(step, kv);
  // A backend may align its own scratch differently; untouched room costs nothing.
  plan.workspace_bytes = workspace.peak() + workspace.peak() / 4 + (16u << 20);
  plan.flops_per_token = stream.n_flops() / static_cast<uint64_t>(plan.max_tokens);
}

void choose_context(MemoryPlan& plan, const Config& config, uint64_t page_bytes, const RunOptions& options, uint64_t available) {
  const auto n_sequences = static_cast<uint64_t>(std::max(options.n_sequences, 1));
  const uint64_t fixed = plan.weight_bytes + plan.workspace_bytes;
  const uint64_t reserve = std::max<uint64_t>(512u << 20, available / 20);  // for the system and everything else
  const uint64_t room = available > fixed + reserve ? available - fixed - reserve : 0;
  const auto fitting = static_cast<int64_t>(std::min<uint64_t>(room / page_bytes / n_sequences * kPageTokens, INT32_MAX));
  plan.n_context = options.n_context > 0 ? options.n_context : config.max_position_embeddings;
  if (available > 0 && options.n_context == 0 && plan.n_context > fitting) {
    const int64_t least = std::min(kLeastContext, plan.n_context);
    if (fitting < least)
      fail(ErrorCode::no_memory,
           "weights take {:.2f} GiB and {} tokens of KV cache {:.2f} GiB; {:.2f} GiB are free: use a smaller "
           "quantization, --mmap, or ask for a context with -c",
           gib(fixed), least, gib(static_cast<uint64_t>(pages_for(least)) * page_bytes * n_sequences), gib(available));
    plan.note = fmt::format(
        "context lowered from the model's {} tokens to {}: {:.2f} GiB are free, weights take {:.2f} GiB and 1024 tokens "
        "{:.2f} GiB (-c N asks for more, -ctk q8_0 -ctv q8_0 halves a token)",
        plan.n_context, fitting, gib(available), gib(fixed), gib(page_bytes * (1024 / kPageTokens) * n_sequences));
    plan.n_context = fitting;
  }
  plan.n_pages = pages_for(plan.n_context) * static_cast<int64_t>(n_sequences);
  plan.kv_bytes = (CheckedSize(page_bytes) * static_cast<uint64_t>(plan.n_pages)).value();
  if (available > 0 && options.n_context > 0 && plan.kv_bytes > room + reserve)
    fail(ErrorCode::no_memory,
         "a context of {} tokens takes {:.2f} GiB beside {:.2f} GiB of weights; {:.2f} GiB are free, which hold {} tokens: "
         "lower -c, or use -ctk q8_0 -ctv q8_0",
         plan.n_context, gib(plan.kv_bytes), gib(fixed), gib(available), fitting);
}

}  // namespace

MemoryPlan plan_memory(const TensorFile& file, const Architecture& arch, const Config& config, const KvFormat& kv_format,
                       Device& device, const RunOptions& options, uint64_t available) {
  MemoryPlan plan;
  PlanDevice nothing(device);
  WeightLoader loader(file, nothing, {options.mmap, false, {}});
  const std::unique_ptr<DecoderModel> model = arch.build(config, loader);
  plan.weight_bytes = loader.n_bytes();
  plan.max_tokens = std::max(1, std::min(options.n_ubatch, options.n_batch));
  const uint64_t row = static_cast<uint64_t>(config.vocab_size) * sizeof(float);
  plan.max_outputs = std::clamp<int64_t>(static_cast<int64_t>(kMaxLogitBytes / std::max<uint64_t>(row, 1)), 1, plan.max_tokens);
  plan.n_context = options.n_context > 0 ? options.n_context : config.max_position_embeddings;
  const RopeTable rope(config.rope, config.rope.original_context ? config.rope.original_context : config.max_position_embeddings);
  dry_run(plan, *model, rope, kv_format);
  choose_context(plan, config, kv_bytes_per_page(kv_format, config.n_layers), options, available);
  return plan;
}

}  // namespace phial
