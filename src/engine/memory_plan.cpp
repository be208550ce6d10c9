// The dry run, and the choice of the context.
#include "engine/memory_plan.h"

#include <algorithm>
#include <vector>

#include "base/checked.h"
#include "base/fail.h"
#include "base/system_memory.h"
#include "engine/candidates.h"

namespace phial {
namespace {

constexpr uint64_t kMaxLogitBytes = 64u << 20;  // of one step
constexpr int64_t kLeastContext = 256;
constexpr uint64_t kUnlimited = UINT64_MAX / 4;
constexpr uint64_t kFaultAround = 2u << 20;  // the most of a file that the kernel brings into a process for one access

double gib(uint64_t bytes) { return static_cast<double>(bytes) / (1u << 30); }

}  // namespace

MemoryPlanner::MemoryPlanner(const OpenedModel& model, const RunOptions& options)
    : model_(model),
      options_(options),
      nothing_(*model.device),
      rope_(model.config.rope,
            model.config.rope.original_context ? model.config.rope.original_context : model.config.max_position_embeddings) {
  WeightLoader loader(*model.file, nothing_, {options.mmap, false, {}});
  decoder_ = model.arch->build(model.config, loader);
  weight_bytes_ = loader.n_bytes();
}

uint64_t MemoryPlanner::reserve(uint64_t available) { return std::max<uint64_t>(512u << 20, available / 20); }

void MemoryPlanner::dry_run(MemoryPlan& plan, int64_t n_tokens, int64_t n_outputs, uint64_t& peak, uint64_t& own) const {
  Workspace workspace(nullptr, kUnlimited);
  const std::unique_ptr<PlanStream> stream = model_.device->open_plan_stream(workspace);
  const KvFormat& f = model_.kv;
  const std::vector<KvLayer> kv(decoder_->layers.size(), {nullptr, nullptr, f.k, f.v, 0, f.n_kv_heads, f.head_dim});
  StepInputs inputs;
  inputs.n_tokens = static_cast<int32_t>(n_tokens);
  inputs.n_sequences = static_cast<int32_t>(std::min<int64_t>(n_tokens, options_.n_sequences));
  inputs.n_outputs = static_cast<int32_t>(n_outputs);
  inputs.max_pages = static_cast<int32_t>(pages_for(plan.n_context));
  Step step{*stream, inputs, workspace.tensor(n_tokens, rope_.n_rot())};
  decoder_->forward(step, kv);
  peak = std::max(peak, workspace.peak());
  own = std::max(own, stream->own_bytes());
  plan.flops_per_token = stream->n_flops() / static_cast<uint64_t>(n_tokens);
}

MemoryPlan MemoryPlanner::at(int64_t n_context) const {
  const Config& config = model_.config;
  const auto n_sequences = static_cast<int64_t>(options_.n_sequences);
  MemoryPlan plan;
  plan.n_context = n_context;
  plan.weight_bytes = weight_bytes_;
  plan.max_tokens = std::max(1, std::min(options_.n_ubatch, options_.n_batch));
  const uint64_t row = static_cast<uint64_t>(config.vocab_size) * sizeof(float);
  plan.max_outputs = std::clamp<int64_t>(static_cast<int64_t>(kMaxLogitBytes / std::max<uint64_t>(row, 1)), 1, plan.max_tokens);

  // Room for the largest step there can be; what an answer uses of it is a step of the prompt and one of the answer.
  uint64_t largest = 0, used = 0, own = 0;
  dry_run(plan, plan.max_tokens, plan.max_outputs, largest, own);
  own = 0;
  const int64_t n_deciding = std::min(n_sequences, plan.max_outputs);
  dry_run(plan, n_deciding, n_deciding, used, own);
  dry_run(plan, std::min(plan.max_tokens, n_context * n_sequences), n_deciding, used, own);
  // A backend may align its own scratch differently; untouched room costs nothing.
  plan.workspace_capacity = largest + largest / 4 + (16u << 20);
  const uint64_t page = page_bytes(options_.huge_pages);
  plan.workspace_bytes = CheckedSize(used).aligned(page).value() + own;

  // A table in the file's map costs the rows looked up, each with its surroundings; tied to a mapped matrix, nothing more.
  plan.mapped_bytes = nothing_.mapped_matrix_bytes();
  if (!(config.tie_word_embeddings && options_.mmap)) {
    const CheckedSize rows = CheckedSize(std::max(nothing_.mapped_row_bytes(), kFaultAround)) * static_cast<uint64_t>(n_context) *
                             static_cast<uint64_t>(n_sequences);
    plan.mapped_bytes += std::min(nothing_.mapped_table_bytes(), rows.value());
  }
  plan.sampling_bytes =
      (row * 2 + static_cast<uint64_t>(config.vocab_size) * sizeof(Candidate)) * static_cast<uint64_t>(n_sequences);
  plan.n_pages = pages_for(n_context) * n_sequences;
  plan.kv_bytes = (CheckedSize(kv_bytes_per_page(model_.kv, config.n_layers)) * static_cast<uint64_t>(plan.n_pages)).value();
  return plan;
}

int64_t MemoryPlanner::largest_context(uint64_t n_bytes, uint64_t (MemoryPlan::*count)() const) const {
  // In pages; the total grows with each.
  const int64_t own = model_.config.max_position_embeddings;
  int64_t low = 0, high = pages_for(own);
  while (low < high) {
    const int64_t middle = low + (high - low + 1) / 2;
    if ((at(std::min(middle * kPageTokens, own)).*count)() <= n_bytes)
      low = middle;
    else
      high = middle - 1;
  }
  return std::min(low * kPageTokens, own);
}

MemoryPlan MemoryPlanner::choose(uint64_t available) const {
  const int64_t own = model_.config.max_position_embeddings;
  if (options_.n_context > 0) {
    MemoryPlan plan = at(options_.n_context);
    if (available > 0 && plan.needed_bytes() > available)
      fail(ErrorCode::no_memory,
           "a context of {} tokens takes {:.2f} GiB beside {:.2f} GiB of weights; {:.2f} GiB are free, which hold {} tokens: "
           "lower -c, or use -ctk q8_0 -ctv q8_0",
           plan.n_context, gib(plan.kv_bytes), gib(plan.fixed_bytes()), gib(available),
           largest_context(available - std::min(available, reserve(available)), &MemoryPlan::needed_bytes));
    return plan;
  }
  MemoryPlan plan = at(own);
  const uint64_t room = available - std::min(available, reserve(available));
  if (available == 0 || plan.needed_bytes() <= room) return plan;
  const int64_t fitting = largest_context(room, &MemoryPlan::needed_bytes), least = std::min(kLeastContext, own);
  if (fitting < least) {
    plan = at(least);
    fail(ErrorCode::no_memory,
         "weights take {:.2f} GiB and {} tokens of KV cache {:.2f} GiB; {:.2f} GiB are free: use a smaller "
         "quantization, --mmap, or ask for a context with -c",
         gib(plan.fixed_bytes()), least, gib(plan.kv_bytes), gib(available));
  }
  plan = at(fitting);
  plan.note = fmt::format(
      "context lowered from the model's {} tokens to {}: {:.2f} GiB are free, weights take {:.2f} GiB and 1024 tokens "
      "{:.2f} GiB (-c N asks for more, -ctk q8_0 -ctv q8_0 halves a token)",
      own, fitting, gib(available), gib(plan.fixed_bytes()),
      gib(kv_bytes_per_page(model_.kv, model_.config.n_layers) * (1024 / kPageTokens) *
          static_cast<uint64_t>(options_.n_sequences)));
  return plan;
}

}  // namespace phial
