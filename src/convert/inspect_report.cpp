// Gathering what `inspect` shows: metadata, totals, the architecture's check, and how two files differ.
#include "convert/inspect_report.h"

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "base/fail.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "model/arch.h"
#include "model/weights.h"

namespace phial {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxTextShown = 160;
constexpr uint64_t kMaxConfig = 16u << 20;

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
  row.json.push_back(json_scalar(value));
  row.text = scalar_text(value);
}

template <typename T>
void fill(MetaRow& row, const std::vector<T>& values, int max_array) {
  const size_t n = std::min(values.size(), static_cast<size_t>(std::max(0, max_array)));
  row.length = values.size();
  row.json.reserve(n);
  row.text = "[";
  for (size_t i = 0; i < n; ++i) {
    const T value = values[i];
    row.json.push_back(json_scalar(value));
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
      Config config = arch.from_metadata(o.gguf->metadata());
      complete_config(*o.gguf, config);
      expected = expected_tensors(arch, config);
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
    if (error.code() == ErrorCode::no_memory) throw;
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

}  // namespace

const char* type_text(const TensorEntry& tensor) {
  return tensor.foreign_type ? tensor.foreign_type : format_info(tensor.dtype).text.data();
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string out = "[";
  for (size_t i = 0; i < shape.size(); ++i) out += (i ? ", " : "") + std::to_string(shape[i]);
  return out + "]";
}

std::string hash_text(uint64_t hash) { return fmt::format("{:016x}", hash); }

double bits_per_weight(const TypeTotal& t) {
  return t.n_values ? 8.0 * static_cast<double>(t.n_bytes) / static_cast<double>(t.n_values) : 0;
}

Report gather_report(const InspectOptions& options) {
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

Diff gather_diff(const InspectOptions& options) {
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
                                       : row.json == other->second->json && row.length == other->second->length;
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

}  // namespace phial
