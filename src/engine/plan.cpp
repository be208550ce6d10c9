// The plan for people: the dry run's numbers beside this process's own size and the memory that is free.
#include "phial/plan.h"

#include "base/fail.h"
#include "base/system_memory.h"
#include "engine/memory_plan.h"

namespace phial {
namespace {

constexpr uint64_t kLaterCode = 256u << 10;  // code that only a running model brings into memory; measured

double gib(uint64_t bytes) { return static_cast<double>(bytes) / (1u << 30); }

/// Opened as a run opens it, so that this process's size is a run's before its weights.
struct Opened {
  explicit Opened(const RunOptions& options) : model(open_model(options)), planner(model, options) {
    program = resident_memory() + kLaterCode + model.device->loading_bytes();
  }
  OpenedModel model;
  MemoryPlanner planner;
  uint64_t program = 0;
};

RunPlan describe(const Opened& o, const MemoryPlan& plan) {
  RunPlan out;
  out.model = o.model.config.name;
  out.architecture = o.model.config.architecture;
  out.file_type = o.model.file_type();
  out.n_context = plan.n_context;
  out.n_context_train = o.model.config.max_position_embeddings;
  out.kv_bytes_per_token = kv_bytes_per_page(o.model.kv, o.model.config.n_layers) / kPageTokens;
  out.available_bytes = available_memory();
  DevicePlan device;
  device.device = o.model.device->name() + " (" + o.model.device->description() + ")";
  device.weight_bytes = plan.weight_bytes;
  device.mapped_bytes = plan.mapped_bytes;
  device.kv_bytes = plan.kv_bytes;
  device.workspace_bytes = plan.workspace_bytes;
  device.program_bytes = o.program + plan.sampling_bytes;
  out.devices = {device};
  for (const DevicePlan& d : out.devices) out.total_bytes += d.total_bytes();
  if (!plan.note.empty()) out.notes.push_back(plan.note);
  return out;
}

}  // namespace

RunPlan plan_run(const RunOptions& options) {
  const Opened o(options);
  try {
    return describe(o, o.planner.choose(available_memory()));
  } catch (const Error& e) {
    if (e.code() != ErrorCode::no_memory) throw;
    RunPlan out = describe(o, o.planner.at(options.n_context > 0 ? options.n_context : o.model.config.max_position_embeddings));
    out.fits = false;
    out.notes.push_back(std::string("a run is refused here: ") + e.what());
    return out;
  }
}

RunPlan plan_run_within(const RunOptions& options, uint64_t n_bytes) {
  const Opened o(options);
  const uint64_t room = n_bytes - std::min(n_bytes, o.program);
  std::string note;
  int64_t n_context = o.planner.largest_context(room, &MemoryPlan::total_bytes);
  if (n_context == 0) {
    n_context = o.planner.largest_context(room, &MemoryPlan::needed_bytes);
    note = "the file's map does not fit beside the rest: the system drops and reads its pages again, which is slow";
  }
  if (n_context == 0) {
    const MemoryPlan least = o.planner.at(kPageTokens);
    fail(ErrorCode::no_memory,
         "no context fits into {:.2f} GiB: weights take {:.2f} GiB, workspace {:.2f}, the program {:.2f}, the first {} tokens "
         "{:.3f}; use a smaller quantization, --mmap, or a smaller --ubatch-size",
         gib(n_bytes), gib(least.weight_bytes + least.mapped_bytes), gib(least.workspace_bytes), gib(o.program), kPageTokens,
         gib(least.kv_bytes));
  }
  RunPlan out = describe(o, o.planner.at(n_context));
  if (!note.empty()) out.notes.push_back(note);
  if (n_context == out.n_context_train) out.notes.push_back("the model's whole context fits");
  out.fits = out.available_bytes == 0 || out.total_bytes <= out.available_bytes;
  return out;
}

}  // namespace phial
