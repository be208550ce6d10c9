// `inspect`: what is in a GGUF or safetensors file, whether its values are numbers, whether it has the tensors its
// architecture asks for, and how two files differ. One Report is gathered and then shown as text or JSON.
#include "phial/inspect.h"

#include <algorithm>
#include <array>

#include "base/fail.h"
#include "convert/inspect_report.h"

namespace phial {
namespace {

std::string size_text(uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  int unit = 0;
  for (; value >= 1024 && unit < 4; ++unit) value /= 1024;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.2f} {}", value, kUnits[unit]);
}

template <typename Line>
void table(std::string& out, const std::vector<Line>& lines) {
  // The last column is free; the others are as wide as their longest cell, within reason.
  constexpr size_t kMaxWidth = 60;
  std::array<size_t, std::tuple_size_v<Line>> width{};
  for (const Line& line : lines)
    for (size_t i = 0; i < line.size(); ++i) width[i] = std::min(kMaxWidth, std::max(width[i], line[i].size()));
  for (const Line& line : lines) {
    std::string row = " ";
    for (size_t i = 0; i < line.size(); ++i) row += fmt::format(" {:<{}}", line[i], i + 1 < line.size() ? width[i] : 0);
    row.erase(row.find_last_not_of(' ') + 1);
    out += row + "\n";
  }
}

void list_names(std::string& out, const char* what, const std::vector<std::string>& names, const char* end) {
  constexpr size_t kMaxShown = 20;
  if (names.empty()) return;
  out += fmt::format("  {} {}{}:", names.size(), what, end);
  for (size_t i = 0; i < std::min(kMaxShown, names.size()); ++i) out += " " + printable(names[i]);
  out += names.size() > kMaxShown ? " ...\n" : "\n";
}

std::string report_text(const Report& r, const InspectOptions& options) {
  const TensorFile& file = *r.opened.file;
  std::string out = fmt::format("{}: {}", printable(r.opened.path, 1024), r.opened.format);
  if (r.opened.gguf)
    out += fmt::format(" version {}, alignment {}, data at {}", r.opened.gguf->version(), r.opened.gguf->alignment(),
                       r.opened.gguf->data_offset());
  out += fmt::format(", {} file{}\n", file.files().size(), file.files().size() == 1 ? "" : "s");

  std::vector<std::array<std::string, 3>> rows;
  for (const MetaRow& row : r.metadata) rows.push_back({printable(row.key), row.type, row.text});
  out += fmt::format("\nMetadata: {} keys\n", rows.size());
  table(out, rows);

  if (options.tensors) {
    std::vector<std::array<std::string, 5>> tensors;
    for (size_t i = 0; i < file.tensors().size(); ++i) {
      const TensorEntry& t = file.tensors()[i];
      std::string notes = options.hash ? hash_text(r.scans[i].hash) : "";
      if (r.scans[i].n_bad)
        notes +=
            fmt::format("{}NaN or Inf in {} blocks, first {}", notes.empty() ? "" : "  ", r.scans[i].n_bad, r.scans[i].first_bad);
      tensors.push_back({printable(t.name), type_text(t), shape_text(t.shape), size_text(t.n_bytes), notes});
    }
    out += fmt::format("\nTensors: {}{}\n", tensors.size(), options.hash ? " (with XXH64 of their bytes)" : "");
    table(out, tensors);
  }

  out += "\nTypes\n";
  std::vector<std::array<std::string, 5>> types;
  for (const auto& [name, t] : r.types)
    types.push_back(
        {name, fmt::format("{} tensors", t.n_tensors), fmt::format("{} values", t.n_values), size_text(t.n_bytes),
         fmt::format("{:.1f} %",
                     r.total.n_bytes ? 100.0 * static_cast<double>(t.n_bytes) / static_cast<double>(r.total.n_bytes) : 0)});
  table(out, types);
  out += fmt::format("  Total: {} tensors, {} values, {}, {:.3f} bits per weight\n", r.total.n_tensors, r.total.n_values,
                     size_text(r.total.n_bytes), bits_per_weight(r.total));

  if (r.model) {
    const ModelCheck& m = *r.model;
    if (!m.problem.empty()) {
      out += fmt::format("\nModel: not checked: {}\n", m.problem);
    } else {
      const bool good = m.missing.empty() && m.wrong_shape.empty() && m.unexpected.empty();
      out += fmt::format("\nModel: {}, {} tensors known{}\n", printable(m.architecture), m.n_expected,
                         good ? ", all there with the right shapes" : "");
      list_names(out, "missing", m.missing, "");
      list_names(out, "of another shape", m.wrong_shape, "");
      list_names(out, "not known to the architecture", m.unexpected, "");
    }
  }
  if (options.check) {
    uint64_t n_bad_tensors = 0, n_bad = 0;
    for (const TensorScan& scan : r.scans) n_bad_tensors += scan.n_bad > 0, n_bad += scan.n_bad;
    out += n_bad == 0 ? fmt::format("\nCheck: no NaN and no Inf in {} tensors\n", r.scans.size())
                      : fmt::format("\nCheck: NaN or Inf in {} blocks of {} tensors; the model's answers will be nonsense\n",
                                    n_bad, n_bad_tensors);
  }
  return out;
}

std::string diff_text(const Diff& d, const InspectOptions& options) {
  std::string out = fmt::format("a: {}\nb: {}\n\nMetadata: {} differences\n", printable(options.path, 1024),
                                printable(options.diff, 1024), d.metadata.size());
  std::vector<std::array<std::string, 4>> rows;
  for (const Diff::Row& row : d.metadata) rows.push_back({row.what, printable(row.name), row.a, row.b});
  table(out, rows);
  out += fmt::format("\nTensors: {} identical, {} differences\n", d.n_identical, d.tensors.size());
  rows.clear();
  size_t i = 0;
  for (const Diff::Row& row : d.tensors) {
    std::string numbers = row.b;
    if (row.what == "values") {
      const TensorDifference& x = d.differences[i++];
      numbers += fmt::format("  {} values differ, rmse {:.4g}, relative {:.4g}, largest {:.4g}", x.n_different, x.rmse,
                             x.relative, x.max_abs);
    }
    rows.push_back({row.what, printable(row.name), row.a, numbers});
  }
  table(out, rows);
  return out;
}

}  // namespace

std::string inspect(const InspectOptions& options) {
  if (!options.diff.empty()) {
    const Diff diff = gather_diff(options);
    return options.json ? diff_json(diff, options) : diff_text(diff, options);
  }
  const Report report = gather_report(options);
  return options.json ? report_json(report, options) : report_text(report, options);
}

}  // namespace phial
