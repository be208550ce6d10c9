// `inspect --json`: a Report or a Diff as JSON text.
#include "base/json_writer.h"
#include "convert/inspect_report.h"

namespace phial {
namespace {

void write_totals(JsonWriter& w, const TypeTotal& t) {
  w.begin_object();
  w.member("tensors", t.n_tensors);
  w.member("values", t.n_values);
  w.member("bytes", t.n_bytes);
  w.member("bits_per_weight", bits_per_weight(t));
  w.end_object();
}

void write_metadata(JsonWriter& w, const MetaRow& row) {
  w.begin_object();
  w.member("key", row.key);
  w.member("type", row.type);
  w.key("value");
  if (row.length) w.begin_array();
  for (const std::string& one : row.json) w.raw(one);
  if (row.length) {
    w.end_array();
    w.member("length", *row.length);
  }
  w.end_object();
}

void write_tensor(JsonWriter& w, const TensorEntry& t, const TensorScan& scan, const InspectOptions& options) {
  w.begin_object();
  w.member("name", t.name);
  w.member("type", std::string_view(type_text(t)));
  w.member("shape", t.shape);
  w.member("bytes", t.n_bytes);
  w.member("file", t.file);
  w.member("offset", t.offset);
  if (options.check) w.member("bad_blocks", scan.n_bad);
  if (options.hash) w.member("xxh64", hash_text(scan.hash));
  w.end_object();
}

void write_model(JsonWriter& w, const ModelCheck& m) {
  w.begin_object();
  w.member("architecture", m.architecture);
  if (m.problem.empty()) {
    w.member("expected", m.n_expected);
    w.member("missing", m.missing);
    w.member("wrong_shape", m.wrong_shape);
    w.member("unexpected", m.unexpected);
  } else {
    w.member("problem", m.problem);
  }
  w.end_object();
}

void write_difference(JsonWriter& w, const char* name, const Diff::Row& row, const TensorDifference* values) {
  w.begin_object();
  w.member("what", row.what);
  w.member(name, row.name);
  w.member("a", row.a);
  w.member("b", row.b);
  if (values) {
    w.member("n_different", values->n_different);
    w.member("rmse", values->rmse);
    w.member("relative", values->relative);
    w.member("max_abs", values->max_abs);
  }
  w.end_object();
}

}  // namespace

std::string report_json(const Report& r, const InspectOptions& options) {
  const TensorFile& file = *r.opened.file;
  JsonWriter w;
  w.begin_object();
  w.member("path", r.opened.path);
  w.member("format", r.opened.format);
  if (r.opened.gguf) {
    w.member("version", r.opened.gguf->version());
    w.member("alignment", r.opened.gguf->alignment());
    w.member("data_offset", r.opened.gguf->data_offset());
  }
  w.key("files");
  w.begin_array();
  for (const auto& f : file.files()) {
    w.begin_object();
    w.member("path", f->path());
    w.member("bytes", f->size());
    w.end_object();
  }
  w.end_array();
  w.key("metadata");
  w.begin_array();
  for (const MetaRow& row : r.metadata) write_metadata(w, row);
  w.end_array();
  if (options.tensors) {
    w.key("tensors");
    w.begin_array();
    for (size_t i = 0; i < file.tensors().size(); ++i) write_tensor(w, file.tensors()[i], r.scans[i], options);
    w.end_array();
  }
  w.key("types");
  w.begin_object();
  for (const auto& [name, total] : r.types) {
    w.key(name);
    write_totals(w, total);
  }
  w.end_object();
  w.key("total");
  write_totals(w, r.total);
  if (options.check) {
    uint64_t n_bad = 0;
    for (const TensorScan& scan : r.scans) n_bad += scan.n_bad;
    w.member("bad_blocks", n_bad);
  }
  if (r.model) {
    w.key("model");
    write_model(w, *r.model);
  }
  w.end_object();
  return w.take() + "\n";
}

std::string diff_json(const Diff& d, const InspectOptions& options) {
  JsonWriter w;
  w.begin_object();
  w.member("a", options.path);
  w.member("b", options.diff);
  w.member("identical_tensors", d.n_identical);
  w.key("metadata");
  w.begin_array();
  for (const Diff::Row& row : d.metadata) write_difference(w, "key", row, nullptr);
  w.end_array();
  w.key("tensors");
  w.begin_array();
  size_t i = 0;
  for (const Diff::Row& row : d.tensors) write_difference(w, "name", row, row.what == "values" ? &d.differences[i++] : nullptr);
  w.end_array();
  w.end_object();
  return w.take() + "\n";
}

}  // namespace phial
