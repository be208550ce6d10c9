// What `inspect` gathers from a file before it is shown as text or JSON. No JSON trees: see base/json_writer.h.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "convert/inspect_scan.h"
#include "formats/gguf.h"
#include "formats/safetensors.h"
#include "phial/inspect.h"

namespace phial {

struct MetaRow {
  std::string key, type, text;     // text is fit for a terminal
  std::vector<std::string> json;   // the value, or the first values of an array
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

struct Diff {
  struct Row {
    std::string what, name, a, b;  // what: "only in a", "only in b", "differs"
  };
  std::vector<Row> metadata, tensors;
  std::vector<TensorPair> pairs;
  std::vector<TensorDifference> differences;
  size_t n_identical = 0;
};

const char* type_text(const TensorEntry& tensor);
std::string shape_text(const std::vector<int64_t>& shape);
std::string hash_text(uint64_t hash);
double bits_per_weight(const TypeTotal& total);

Report gather_report(const InspectOptions& options);
Diff gather_diff(const InspectOptions& options);

std::string report_json(const Report& report, const InspectOptions& options);
std::string diff_json(const Diff& diff, const InspectOptions& options);

}  // namespace phial
