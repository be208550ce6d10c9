// `inspect`: what is in a GGUF or safetensors file, whether its values are numbers, whether it has the tensors its
// architecture asks for, and how two files differ. One Report is gathered and then shown as text or JSON.
#include "phial/inspect.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>

#include "base/fail.h"
#include "base/json.h"
#include "convert/inspect_scan.h"
#include "formats/gguf.h"
#include "formats/safetensors.h"
#include "model/arch.h"

namespace phial {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxTextShown = 160;
constexpr uint64_t kMaxConfig = 16u << 20;

struct MetaRow {
  std::string key, type, text;  // text is fit for a terminal
  OrderedJson value;
  std::optional<uint64_t> length;  // of an array
};

/// What the architecture's tensor table says about the file.
struct ModelCheck {
  std::string architecture, problem;  // problem: why there was no check; empty when there was one
  size_t n_expected = 0;
  std::vector<std::string> missing, unexpected, wrong_shape;
};

struct Opened {
  std::string path, format;  // "GGUF" or "safetensors"
  std::unique_ptr<TensorFile> file;
  const GgufFile* gguf = nullptr;
  const SafetensorsFile* safetensors = nullptr;
};

struct TypeTotal {
  uint64_t n_tensors = 0, n_values = 0, n_bytes = 0;
};

struct Report {
  Opened opened;
  std::vector<MetaRow> metadata;
  std::vector<TensorScan> scans;
  std::map<std::string, TypeTotal> types;
  TypeTotal total;
  std::optional<ModelCheck> model;
};

const char* type_text(const TensorEntry& tensor) {
  return tensor.foreign_type ? tensor.foreign_type : format_info(tensor.dtype).text.data();
}

bool is_safetensors(const std::string& path) {
  if (path.ends_with(".safetensors")) return true;
  const InputFile file(path);
  char head[9] = {};
  if (file.size() < sizeof head) return false;
  file.read_at(0, std::as_writable_bytes(std::span(head)));
  return std::memcmp(head, "GGUF", 4) != 0 && head[8] == '{';
}

Opened open_any(const std::string& path) {
  Opened o;
  o.path = path;
  std::error_code ignored;
  const bool is_folder = fs::is_directory(path, ignored), is_index = path.ends_with(".safetensors.index.json");
  if (is_folder || is_index || is_safetensors(path)) {
    const std::string parent = fs::path(path).parent_path().string();
    auto file = std::make_unique<SafetensorsFile>(is_folder  ? SafetensorsFile::open_folder(path)
                                                  : is_index ? SafetensorsFile::open_folder(parent.empty() ? "." : parent)
                                                             : SafetensorsFile::open(path));
    o.format = "safetensors";
    o.safetensors = file.get();
    o.file = std::move(file);
  } else {
    auto file = std::make_unique<GgufFile>(GgufFile::open(path));
    o.format = "GGUF";
    o.gguf = file.get();
    o.file = std::move(file);
  }
  return o;
}

std::string quoted(const std::string& text) { return '"' + printable(text, kMaxTextShown) + '"'; }

template <typename T>
std::string scalar_text(const T& value) {
  if constexpr (std::is_same_v<T, std::string>)
    return quoted(value);
  else
    return fmt::format("{}", value);
}

template <typename T>
void fill(MetaRow& row, const T& value, int) {
  row.value = value;
  row.text = scalar_text(value);
}

template <typename T>
void fill(MetaRow& row, const std::vector<T>& values, int max_array) {
  const size_t n = std::min(values.size(), static_cast<size_t>(std::max(0, max_array)));
  row.length = values.size();
  row.value = OrderedJson::array();
  row.text = "[";
  for (size_t i = 0; i < n; ++i) {
    const T value = values[i];
    row.value.push_back(value);
    row.text += (i ? ", " : "") + scalar_text(value);
  }
  row.text += n < values.size() ? fmt::format("{}...] of {}", n ? ", " : "", values.size()) : "]";
}

std::vector<MetaRow> metadata_rows(const Opened& o, int max_array) {
  std::vector<MetaRow> rows;
  if (o.gguf) {
    for (const auto& [key, value] : o.gguf->metadata().entries()) {
      MetaRow& row = rows.emplace_back();
      row.key = key;
      row.type = meta_type_name(value);
      std::visit([&](const auto& v) { fill(row, v, max_array); }, value);
    }
  } else {
    for (const auto& [key, value] : o.safetensors->header_metadata().items()) {
      MetaRow& row = rows.emplace_back();
      row.key = key;
      row.type = "string";
      fill(row, value.get<std::string>(), max_array);
    }
  }
  return rows;
}

/// The tensors the architecture asks for, or why they are not known. Nothing where the file is no whole model.
std::optional<ModelCheck> check_model(const Opened& o) {
  ModelCheck check;
  std::vector<ExpectedTensor> expected;
  try {
    if (o.gguf) {
      if (!o.gguf->metadata().has("general.architecture") || o.file->tensors().empty()) return std::nullopt;
      check.architecture = o.gguf->metadata().text("general.architecture");
      const Architecture& arch = architecture_by_gguf(check.architecture);
      expected = expected_tensors(arch, arch.from_metadata(o.gguf->metadata()));
    } else {
      const fs::path path(o.path);
      std::error_code ignored;
      const fs::path config = (fs::is_directory(path, ignored) ? path : path.parent_path()) / "config.json";
      if (!fs::is_regular_file(config, ignored)) return std::nullopt;
      const JsonTree json = parse_json(read_text_file(config.string(), kMaxConfig), printable(config.string(), 1024));
      const auto names = json.find("architectures");
      if (names == json.end() || !names->is_array() || names->empty() || !names->front().is_string()) return std::nullopt;
      check.architecture = names->front().get<std::string>();
      const Architecture& arch = architecture_by_hf(check.architecture);
      expected = expected_tensors(arch, arch.from_json(json));
    }
  } catch (const Error& error) {
    check.problem = fmt::format("{}: {}", error.code_text(), error.what());
    return check;
  }
  std::map<std::string_view, bool> known;
  for (const ExpectedTensor& want : expected) {
    const std::string& name = o.gguf ? want.gguf : want.hf;
    if (name.empty()) continue;  // made from the config
    known[name] = true;
    ++check.n_expected;
    const TensorEntry* have = o.file->find(name);
    if (!have) {
      if (!want.spec->optional) check.missing.push_back(name);
    } else if (have->shape != want.shape) {
      check.wrong_shape.push_back(name);
    }
  }
  for (const TensorEntry& tensor : o.file->tensors())
    if (!known.count(tensor.name)) check.unexpected.push_back(tensor.name);
  return check;
}

Report gather(const InspectOptions& options) {
  Report r;
  r.opened = open_any(options.path);
  r.metadata = metadata_rows(r.opened, options.max_array);
  for (const TensorEntry& tensor : r.opened.file->tensors()) {
    TypeTotal& type = r.types[type_text(tensor)];
    for (TypeTotal* t : {&type, &r.total}) {
      ++t->n_tensors;
      t->n_values += tensor.n_values();
      t->n_bytes += tensor.n_bytes;
    }
  }
  r.model = check_model(r.opened);
  r.scans = scan_tensors(*r.opened.file, options.check, options.hash);
  if (options.strict && options.check) {
    for (size_t i = 0; i < r.scans.size(); ++i) {
      const TensorEntry& tensor = r.opened.file->tensors()[i];
      if (r.scans[i].n_bad > 0)
        fail(ErrorCode::nan, "{}: tensor {} has NaN or Inf in {} blocks, the first is block {}", r.opened.file->where(tensor),
             printable(tensor.name), r.scans[i].n_bad, r.scans[i].first_bad);
    }
  }
  return r;
}

double bits_per_weight(const TypeTotal& t) {
  return t.n_values ? 8.0 * static_cast<double>(t.n_bytes) / static_cast<double>(t.n_values) : 0;
}

std::string size_text(uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  int unit = 0;
  for (; value >= 1024 && unit < 4; ++unit) value /= 1024;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.2f} {}", value, kUnits[unit]);
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string out = "[";
  for (size_t i = 0; i < shape.size(); ++i) out += (i ? ", " : "") + std::to_string(shape[i]);
  return out + "]";
}

std::string hash_text(uint64_t hash) { return fmt::format("{:016x}", hash); }

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

OrderedJson totals_json(const TypeTotal& t) {
  return {{"tensors", t.n_tensors}, {"values", t.n_values}, {"bytes", t.n_bytes}, {"bits_per_weight", bits_per_weight(t)}};
}

OrderedJson report_json(const Report& r, const InspectOptions& options) {
  const TensorFile& file = *r.opened.file;
  OrderedJson j;
  j["path"] = r.opened.path;
  j["format"] = r.opened.format;
  if (r.opened.gguf) {
    j["version"] = r.opened.gguf->version();
    j["alignment"] = r.opened.gguf->alignment();
    j["data_offset"] = r.opened.gguf->data_offset();
  }
  j["files"] = OrderedJson::array();
  for (const auto& f : file.files()) j["files"].push_back({{"path", f->path()}, {"bytes", f->size()}});
  OrderedJson& metadata = j["metadata"] = OrderedJson::array();
  for (const MetaRow& row : r.metadata) {
    OrderedJson m{{"key", row.key}, {"type", row.type}, {"value", row.value}};
    if (row.length) m["length"] = *row.length;
    metadata.push_back(std::move(m));
  }
  if (options.tensors) {
    OrderedJson& tensors = j["tensors"] = OrderedJson::array();
    for (size_t i = 0; i < file.tensors().size(); ++i) {
      const TensorEntry& t = file.tensors()[i];
      OrderedJson row{{"name", t.name},     {"type", type_text(t)}, {"shape", t.shape},
                      {"bytes", t.n_bytes}, {"file", t.file},       {"offset", t.offset}};
      if (options.check) row["bad_blocks"] = r.scans[i].n_bad;
      if (options.hash) row["xxh64"] = hash_text(r.scans[i].hash);
      tensors.push_back(std::move(row));
    }
  }
  for (const auto& [name, t] : r.types) j["types"][name] = totals_json(t);
  j["total"] = totals_json(r.total);
  if (options.check) {
    uint64_t n_bad = 0;
    for (const TensorScan& scan : r.scans) n_bad += scan.n_bad;
    j["bad_blocks"] = n_bad;
  }
  if (r.model) {
    const ModelCheck& m = *r.model;
    j["model"] = {{"architecture", m.architecture}};
    if (m.problem.empty())
      j["model"].update(
          {{"expected", m.n_expected}, {"missing", m.missing}, {"wrong_shape", m.wrong_shape}, {"unexpected", m.unexpected}});
    else
      j["model"]["problem"] = m.problem;
  }
  return j;
}

struct Diff {
  struct Row {
    std::string what, name, a, b;  // what: "only in a", "only in b", "differs"
  };
  std::vector<Row> metadata, tensors;
  std::vector<TensorPair> pairs;
  std::vector<TensorDifference> differences;
  size_t n_identical = 0;
};

Diff make_diff(const InspectOptions& options) {
  const Opened a = open_any(options.path), b = open_any(options.diff);
  Diff d;
  const auto rows_a = metadata_rows(a, options.max_array), rows_b = metadata_rows(b, options.max_array);
  std::map<std::string_view, const MetaRow*> in_b;
  for (const MetaRow& row : rows_b) in_b[row.key] = &row;
  for (const MetaRow& row : rows_a) {
    const auto other = in_b.find(row.key);
    if (other == in_b.end()) {
      d.metadata.push_back({"only in a", row.key, row.text, ""});
      continue;
    }
    // The whole values decide, not what is shown of them.
    const bool same = a.gguf && b.gguf ? *a.gguf->metadata().find(row.key) == *b.gguf->metadata().find(row.key)
                                       : row.value == other->second->value;
    if (!same)
      d.metadata.push_back({"differs", row.key, row.type + " " + row.text, other->second->type + " " + other->second->text});
    in_b.erase(other);
  }
  for (const MetaRow& row : rows_b)
    if (in_b.count(row.key)) d.metadata.push_back({"only in b", row.key, "", row.text});

  for (const TensorEntry& t : a.file->tensors()) {
    const TensorEntry* other = b.file->find(t.name);
    if (!other)
      d.tensors.push_back({"only in a", t.name, fmt::format("{} {}", type_text(t), shape_text(t.shape)), ""});
    else if (t.shape != other->shape || t.foreign_type || other->foreign_type)
      d.tensors.push_back({"differs", t.name, fmt::format("{} {}", type_text(t), shape_text(t.shape)),
                           fmt::format("{} {}", type_text(*other), shape_text(other->shape))});
    else
      d.pairs.push_back({&t, other});
  }
  for (const TensorEntry& t : b.file->tensors())
    if (!a.file->find(t.name))
      d.tensors.push_back({"only in b", t.name, "", fmt::format("{} {}", type_text(t), shape_text(t.shape))});
  const auto differences = compare_tensors(*a.file, *b.file, d.pairs);
  for (size_t i = 0; i < differences.size(); ++i) {
    const TensorDifference& x = differences[i];
    if (x.identical) {
      ++d.n_identical;
      continue;
    }
    d.tensors.push_back({"values", d.pairs[i].a->name, type_text(*d.pairs[i].a), type_text(*d.pairs[i].b)});
    d.differences.push_back(x);
  }
  return d;
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

OrderedJson diff_json(const Diff& d, const InspectOptions& options) {
  OrderedJson j{{"a", options.path}, {"b", options.diff}, {"identical_tensors", d.n_identical}};
  j["metadata"] = OrderedJson::array();
  for (const Diff::Row& row : d.metadata)
    j["metadata"].push_back({{"what", row.what}, {"key", row.name}, {"a", row.a}, {"b", row.b}});
  j["tensors"] = OrderedJson::array();
  size_t i = 0;
  for (const Diff::Row& row : d.tensors) {
    OrderedJson t{{"what", row.what}, {"name", row.name}, {"a", row.a}, {"b", row.b}};
    if (row.what == "values") {
      const TensorDifference& x = d.differences[i++];
      t.update({{"n_different", x.n_different}, {"rmse", x.rmse}, {"relative", x.relative}, {"max_abs", x.max_abs}});
    }
    j["tensors"].push_back(std::move(t));
  }
  return j;
}

/// ASCII only: nothing from a file can steer a terminal, and bytes that are not UTF-8 are replaced.
std::string dump(const OrderedJson& json) { return json.dump(1, ' ', true, OrderedJson::error_handler_t::replace) + "\n"; }

}  // namespace

std::string inspect(const InspectOptions& options) {
  if (!options.diff.empty()) {
    const Diff diff = make_diff(options);
    return options.json ? dump(diff_json(diff, options)) : diff_text(diff, options);
  }
  const Report report = gather(options);
  return options.json ? dump(report_json(report, options)) : report_text(report, options);
}

}  // namespace phial
