// The inputs of a step, and the step.
#include "engine/runner.h"

#include <algorithm>

#include "base/fail.h"

namespace phial {

Runner::Runner(Device& device, const DecoderModel& model, const RopeTable& rope, const KvFormat& kv_format,
               const RunnerLimits& limits, std::shared_ptr<ThreadPool> pool, std::vector<std::shared_ptr<MappedFile>> maps)
    : model_(model),
      rope_(rope),
      limits_(limits),
      threads_(std::move(pool)),
      maps_(std::move(maps)),
      kv_(device, kv_format, static_cast<int64_t>(model.layers.size()), limits.n_pages),
      pool_(limits.n_pages),
      workspace_memory_(device.allocate(limits.workspace_bytes)),
      workspace_(workspace_memory_.get(), limits.workspace_bytes),
      stream_(device.open_stream(workspace_)) {}

void Runner::settle(Sequence& s) const {
  const int32_t wanted = rope_.set_for(static_cast<int64_t>(s.tokens.size()));
  if (wanted != s.rope_set) s.n_computed = 0;
  s.rope_set = wanted;
}

void Runner::copy_beginning(const Sequence& from, Sequence& to, int64_t n) {
  PHIAL_CHECK(from.n_computed >= n && from.rope_set == to.rope_set && std::ssize(to.pages) >= pages_for(n));
  for (size_t i = 0; std::cmp_less(i, pages_for(n)); ++i) kv_.copy_page(from.pages[i], to.pages[i]);
  to.n_computed = n;
}

void Runner::take_pages(std::span<const StepItem> items) {
  for (const StepItem& item : items) {
    Sequence& s = *item.sequence;
    if (!pool_.grow(s.pages, pages_for(s.n_computed + item.n_tokens)))
      fail(ErrorCode::busy,
           "the KV cache is full: {} tokens need {} more pages, {} of {} are free; wait for other sequences to end",
           s.tokens.size(), pages_for(s.n_computed + item.n_tokens) - static_cast<int64_t>(s.pages.size()), pool_.n_free(),
           pool_.n_pages());
  }
}

StepInputs Runner::fill_inputs(std::span<const StepItem> items) {
  for (auto* v : {&token_ids_, &positions_, &sequence_of_, &rope_set_, &page_table_, &output_rows_}) v->clear();
  size_t max_pages = 0;
  for (const StepItem& item : items) max_pages = std::max(max_pages, item.sequence->pages.size());
  for (const StepItem& item : items) {
    const Sequence& s = *item.sequence;
    const auto row = static_cast<int32_t>(rope_set_.size());
    rope_set_.push_back(s.rope_set);
    page_table_.insert(page_table_.end(), s.pages.begin(), s.pages.end());
    page_table_.resize((static_cast<size_t>(row) + 1) * max_pages, 0);
    for (int64_t i = s.n_computed; i < s.n_computed + item.n_tokens; ++i) {
      if (i >= s.n_computed + item.n_tokens - item.n_outputs) output_rows_.push_back(static_cast<int32_t>(token_ids_.size()));
      token_ids_.push_back(s.tokens[static_cast<size_t>(i)]);
      positions_.push_back(static_cast<int32_t>(i));
      sequence_of_.push_back(row);
    }
  }
  StepInputs in;
  in.n_tokens = static_cast<int32_t>(token_ids_.size());
  in.n_sequences = static_cast<int32_t>(rope_set_.size());
  in.n_outputs = static_cast<int32_t>(output_rows_.size());
  in.max_pages = static_cast<int32_t>(max_pages);
  in.token_ids = token_ids_.data();
  in.positions = positions_.data();
  in.sequence_of = sequence_of_.data();
  in.rope_set = rope_set_.data();
  in.page_table = page_table_.data();
  in.output_rows = output_rows_.data();
  return in;
}

Tensor Runner::step(std::span<const StepItem> items) {
  take_pages(items);
  const StepInputs inputs = fill_inputs(items);
  PHIAL_CHECK(inputs.n_tokens > 0 && inputs.n_tokens <= limits_.max_tokens && inputs.n_outputs <= limits_.max_outputs);
  const bool decodes = inputs.n_tokens == inputs.n_sequences;
  threads_->use(decodes ? limits_.n_threads : limits_.n_threads_batch);
  workspace_.release(0);
  Step s{*stream_, inputs, workspace_.tensor(inputs.n_tokens, rope_.n_rot())};
  for (int32_t t = 0; t < inputs.n_tokens; ++t)
    rope_.fill(s.cos_sin.row(t), inputs.positions[t], inputs.rope_set[inputs.sequence_of[t]]);
  Tensor logits = model_.forward(s, kv_.layers());
  stream_->synchronize();
  for (const auto& map : maps_)
    if (map->broken()) fail(ErrorCode::io, "the model's file became shorter while it was in use; load it again");
  for (const StepItem& item : items) item.sequence->n_computed += item.n_tokens;
  return logits;
}

}  // namespace phial
