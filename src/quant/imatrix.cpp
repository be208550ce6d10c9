// Both file formats, checked.
#include "quant/imatrix.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/checked.h"
#include "base/fail.h"
#include "base/file.h"
#include "formats/gguf.h"

namespace phial {
namespace {

/// Reads a little-endian file front to back; every read is checked against the size.
class Cursor {
 public:
  explicit Cursor(const InputFile& file) : file_(file) {}
  template <typename T>
  T number() {
    T value;
    read(&value, sizeof value);
    return value;
  }
  std::string text(int64_t n) {
    std::string out(checked(n, 1), '\0');
    read(out.data(), out.size());
    return out;
  }
  std::vector<float> floats(int64_t n) {
    std::vector<float> out(checked(n, sizeof(float)));
    read(out.data(), out.size() * sizeof(float));
    return out;
  }
  bool at_end() const { return at_ == file_.size(); }

 private:
  size_t checked(int64_t n, uint64_t size) const {
    if (n < 0 || (CheckedSize(static_cast<uint64_t>(n)) * size).value() > file_.size() - at_)
      fail(ErrorCode::count, "{}: {} elements at offset {} do not fit the file; it is no importance matrix or is cut off",
           printable(file_.path(), 1024), n, at_);
    return static_cast<size_t>(n);
  }
  void read(void* out, size_t n) {
    file_.read_at(at_, {static_cast<std::byte*>(out), n});
    at_ += n;
  }
  const InputFile& file_;
  uint64_t at_ = 0;
};

std::vector<float> read_floats(const GgufFile& file, const TensorEntry& t) {
  if (t.dtype != DType::f32)
    fail(ErrorCode::type, "{}: {} is {}; importance is stored as F32", file.where(t), printable(t.name),
         format_info(t.dtype).text);
  std::vector<float> out(t.n_values());
  file.read(t, 0, std::as_writable_bytes(std::span(out)));
  return out;
}

constexpr std::string_view kSums = ".in_sum2", kCounts = ".counts";

}  // namespace

void ImportanceMatrix::add(const std::string& name, std::vector<float> values) {
  for (float v : values)
    if (!std::isfinite(v) || v < 0)
      fail(ErrorCode::nan, "{}: the importance of {} holds {}; compute the matrix anew", printable(path_, 1024), printable(name),
           v);
  if (!entries_.emplace(name, std::move(values)).second)
    fail(ErrorCode::duplicate, "{}: {} is there twice", printable(path_, 1024), printable(name));
}

ImportanceMatrix ImportanceMatrix::open(const std::string& path) {
  ImportanceMatrix m;
  m.path_ = path;
  const InputFile input(path);
  std::array<char, 4> magic{};
  if (input.size() >= magic.size()) input.read_at(0, std::as_writable_bytes(std::span(magic)));
  if (std::memcmp(magic.data(), "GGUF", magic.size()) == 0) {
    const GgufFile file = GgufFile::open(path);
    for (const TensorEntry& t : file.tensors()) {
      if (!t.name.ends_with(kSums)) continue;
      const std::string name = t.name.substr(0, t.name.size() - kSums.size());
      const TensorEntry* counts = file.find(name + std::string(kCounts));
      const uint64_t n_matrices = counts ? counts->n_values() : 0;
      if (n_matrices == 0 || t.n_values() % n_matrices != 0)
        fail(ErrorCode::shape, "{}: {} does not match its counts", file.where(t), printable(t.name));
      std::vector<float> values = read_floats(file, t);
      const std::vector<float> n = read_floats(file, *counts);
      const size_t columns = values.size() / n.size();
      for (size_t i = 0; i < values.size(); ++i) values[i] = n[i / columns] > 0 ? values[i] / n[i / columns] : 1.0f;
      m.add(name, std::move(values));
    }
    if (const auto* datasets = file.metadata().array<std::string>("imatrix.datasets"))
      if (!datasets->empty()) m.dataset_ = (*datasets)[0];
    m.n_chunks_ = file.metadata().integer("imatrix.chunk_count", 0);
  } else {
    Cursor in(input);
    const auto n_entries = in.number<int32_t>();
    if (n_entries < 1) fail(ErrorCode::count, "{}: {} entries; not an importance matrix", printable(path, 1024), n_entries);
    for (int32_t i = 0; i < n_entries; ++i) {
      const std::string name = in.text(in.number<int32_t>());
      const auto n_calls = in.number<int32_t>();
      std::vector<float> values = in.floats(in.number<int32_t>());
      if (n_calls > 0)
        for (float& v : values) v /= static_cast<float>(n_calls);
      m.add(name, std::move(values));
    }
    if (!in.at_end()) {  // files of before 2024 end here
      m.n_chunks_ = in.number<int32_t>();
      if (!in.at_end()) m.dataset_ = in.text(in.number<int32_t>());
    }
  }
  if (m.entries_.empty()) fail(ErrorCode::count, "{}: no entries; not an importance matrix", printable(path, 1024));
  return m;
}

void ImportanceMatrix::filter(const std::vector<std::string>& include, const std::vector<std::string>& exclude) {
  const auto contains_one = [](const std::string& name, const std::vector<std::string>& parts) {
    return std::any_of(parts.begin(), parts.end(), [&](const std::string& part) { return name.find(part) != std::string::npos; });
  };
  std::erase_if(entries_, [&](const auto& entry) {
    return (!include.empty() && !contains_one(entry.first, include)) || contains_one(entry.first, exclude);
  });
}

const std::vector<float>* ImportanceMatrix::find(const std::string& weight) const {
  const auto it = entries_.find(weight);
  return it == entries_.end() ? nullptr : &it->second;
}

void ImportanceMatrix::describe(Metadata& metadata) const {
  metadata.set("quantize.imatrix.file", path_);
  if (!dataset_.empty()) metadata.set("quantize.imatrix.dataset", dataset_);
  metadata.set("quantize.imatrix.entries_count", static_cast<uint32_t>(entries_.size()));
  if (n_chunks_ > 0) metadata.set("quantize.imatrix.chunks_count", static_cast<uint32_t>(n_chunks_));
}

}  // namespace phial
