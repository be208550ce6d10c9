// Writing GGUF version 3, in one file or in shards. Headers come from the declaration, so every byte's place is known
// before the first is written; all files are complete under temporary names before one appears, the first shard last.
#include <algorithm>
#include <filesystem>
#include <type_traits>
#include <utility>

#include "base/checked.h"
#include "base/fail.h"
#include "base/file.h"
#include "formats/gguf_header.h"

namespace phial {
namespace {

class ByteSink {
 public:
  template <typename T>
  void number(T value) {
    bytes(&value, sizeof value);
  }
  void text(const std::string& value) {
    number<uint64_t>(value.size());
    bytes(value.data(), value.size());
  }
  void bytes(const void* data, size_t n) {
    const auto* begin = static_cast<const std::byte*>(data);
    out_.insert(out_.end(), begin, begin + n);
  }
  std::vector<std::byte> take() { return std::move(out_); }

 private:
  std::vector<std::byte> out_;
};

template <typename T>
void put_value(ByteSink& sink, const T& value) {
  if constexpr (std::is_same_v<T, std::string>)
    sink.text(value);
  else if constexpr (std::is_same_v<T, bool>)
    sink.number<uint8_t>(value ? 1 : 0);
  else
    sink.number(value);
}

template <typename T>
void put_value(ByteSink& sink, const std::vector<T>& values) {
  // The element's type id: as for scalars, alternatives after `string` are one further in the file.
  const size_t index = MetaValue(T{}).index();
  sink.number(static_cast<uint32_t>(index < 9 ? index : index + 1));
  sink.number<uint64_t>(values.size());
  if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>) {
    sink.bytes(values.data(), values.size() * sizeof(T));
  } else {
    for (const auto& value : values) put_value<T>(sink, value);
  }
}

uint32_t type_id(const MetaValue& value) {
  const auto index = static_cast<uint32_t>(value.index());
  return index >= 12 ? 9 : index < 9 ? index : index + 1;
}

/// Refuses at once what would fail for lack of space after hours. Root's reserve counts as free.
void check_space(const std::string& path, uint64_t n_bytes) {
  std::error_code unknown;
  std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (folder.empty()) folder = ".";
  const std::filesystem::space_info space = std::filesystem::space(folder, unknown);
  if (!unknown && space.free < n_bytes)
    fail(
        ErrorCode::io,
        "cannot write {}: it needs {} bytes and there are {} free (an old file of this name stays until the new one is complete)",
        printable(path, 1024), n_bytes, space.free);
}

constexpr size_t kMaxShards = 65535, kMaxOpenShards = 128;

}  // namespace

std::vector<std::byte> gguf_header_bytes(const Metadata& metadata, const std::vector<GgufTensorPlan>& tensors,
                                         const std::vector<uint64_t>& offsets) {
  ByteSink sink;
  sink.number(kGgufMagic);
  sink.number(kGgufVersion);
  sink.number<uint64_t>(tensors.size());
  sink.number<uint64_t>(metadata.entries().size());
  for (const auto& [key, value] : metadata.entries()) {
    sink.text(key);
    sink.number(type_id(value));
    std::visit([&](const auto& v) { put_value(sink, v); }, value);
  }
  for (size_t i = 0; i < tensors.size(); ++i) {
    const GgufTensorPlan& tensor = tensors[i];
    sink.text(tensor.name);
    sink.number(static_cast<uint32_t>(tensor.shape.size()));
    for (size_t d = tensor.shape.size(); d-- > 0;) sink.number<int64_t>(tensor.shape[d]);
    sink.number(format_info(tensor.dtype).gguf_id);
    sink.number(offsets[i]);
  }
  return sink.take();
}

uint64_t gguf_file_bytes(const Metadata& metadata, const std::vector<GgufTensorPlan>& tensors) {
  const auto alignment = static_cast<uint64_t>(metadata.integer("general.alignment", kGgufDefaultAlignment));
  CheckedSize data(0);
  std::vector<uint64_t> offsets;
  for (const GgufTensorPlan& t : tensors) {
    offsets.push_back(data.value());
    data = data + CheckedSize(t.n_bytes()).aligned(alignment);
  }
  return (CheckedSize(gguf_header_bytes(metadata, tensors, offsets).size()).aligned(alignment) + data).value();
}

uint64_t GgufTensorPlan::n_bytes() const {
  return gguf_tensor_bytes(dtype, shape, [&] { return "tensor " + printable(name); });
}

struct GgufWriter::Impl {
  struct Shard {
    std::string path;
    Metadata metadata;
    std::vector<GgufTensorPlan> tensors;
    std::vector<uint64_t> offsets;
    uint64_t data_begin = 0;
    uint64_t data_bytes = 0;  // with padding
    uint64_t file_bytes = 0;
    std::unique_ptr<AtomicFile> file;
  };

  std::string path;
  uint64_t alignment = kGgufDefaultAlignment;
  std::vector<Shard> shards;
  size_t shard = 0, tensor = 0;  // the one at hand
  uint64_t written = 0;          // of its bytes
  bool finished = false;

  void plan(const Metadata& metadata, std::vector<GgufTensorPlan> tensors, const GgufSplit& split);
  void begin_shard();
  void advance();
  void pad_to(uint64_t position);
};

void GgufWriter::Impl::plan(const Metadata& metadata, std::vector<GgufTensorPlan> tensors, const GgufSplit& split) {
  const std::string shown = printable(path, 1024);
  const auto where = [&] { return shown; };
  Metadata own;
  for (const auto& [key, value] : metadata.entries()) {
    check_gguf_key(key, where);
    if (!key.starts_with("split.")) own.set(key, value);  // those say how another file was cut
  }
  if (const MetaValue* value = own.find("general.alignment")) {
    const auto* given = std::get_if<uint32_t>(value);
    if (!given) fail(ErrorCode::type, "{}: general.alignment must be u32", shown);
    check_gguf_alignment(*given, where);
    alignment = *given;
  }
  if (tensors.size() > kGgufMaxEntries || own.entries().size() > kGgufMaxEntries)
    fail(ErrorCode::limit, "{}: at most {} tensors and keys are written", shown, kGgufMaxEntries);

  const size_t n_tensors = tensors.size();
  PHIAL_CHECK(split.shard_of.empty() ||
              (split.shard_of.size() == n_tensors && std::is_sorted(split.shard_of.begin(), split.shard_of.end()) &&
               split.shard_of[0] >= 0 && split.shard_of.back() < static_cast<int>(kMaxShards)));
  NameIndex names;
  shards.emplace_back();
  for (size_t i = 0; i < n_tensors; ++i) {
    GgufTensorPlan& t = tensors[i];
    check_gguf_name(t.name, where);
    if (t.shape.size() > kGgufMaxDims)
      fail(ErrorCode::n_dims, "{}: tensor {} has {} dimensions; at most {} are allowed", shown, printable(t.name), t.shape.size(),
           kGgufMaxDims);
    for (int64_t extent : t.shape)
      if (extent < 0) fail(ErrorCode::shape, "{}: tensor {} has a dimension {}", shown, printable(t.name), extent);
    const CheckedSize bytes = CheckedSize(t.n_bytes()).aligned(alignment);
    Shard* s = &shards.back();
    const bool full =
        !s->tensors.empty() && ((split.max_tensors > 0 && s->tensors.size() >= static_cast<size_t>(split.max_tensors)) ||
                                (split.max_bytes > 0 && (bytes + s->data_bytes).value() > split.max_bytes));
    if (split.shard_of.empty() ? full : static_cast<size_t>(split.shard_of[i]) >= shards.size()) {
      do {
        s = &shards.emplace_back();
      } while (!split.shard_of.empty() && static_cast<size_t>(split.shard_of[i]) >= shards.size());
    }
    s->offsets.push_back(s->data_bytes);
    s->data_bytes = (bytes + s->data_bytes).value();
    s->tensors.push_back(std::move(t));
  }
  std::vector<const std::string*> by_place;
  by_place.reserve(n_tensors);
  const auto name_of = [&](size_t i) -> std::string_view { return *by_place[i]; };
  for (const Shard& s : shards) {
    for (const GgufTensorPlan& t : s.tensors) {
      if (names.add(t.name, name_of)) fail(ErrorCode::duplicate, "{}: tensor {} is declared twice", shown, printable(t.name));
      by_place.push_back(&t.name);
    }
  }
  if (shards.size() > kMaxShards)
    fail(ErrorCode::split, "{}: {} shards; at most {} are possible, allow larger ones", shown, shards.size(), kMaxShards);

  for (size_t i = 0; i < shards.size(); ++i) {
    Shard& s = shards[i];
    if (i == 0)
      s.metadata = own;
    else if (alignment != kGgufDefaultAlignment)
      s.metadata.set("general.alignment", static_cast<uint32_t>(alignment));
    s.path = path;
    if (shards.size() > 1) {
      s.path = gguf_shard_path(path, static_cast<int>(i), static_cast<int>(shards.size()));
      s.metadata.set("split.no", static_cast<uint16_t>(i));
      s.metadata.set("split.count", static_cast<uint16_t>(shards.size()));
      s.metadata.set("split.tensors.count", static_cast<int32_t>(n_tensors));
    }
    const uint64_t header_bytes = gguf_header_bytes(s.metadata, s.tensors, s.offsets).size();
    s.data_begin = CheckedSize(header_bytes).aligned(alignment).value();
    s.file_bytes = (CheckedSize(s.data_begin) + s.data_bytes).value();
  }
}

void GgufWriter::Impl::pad_to(uint64_t position) {
  static constexpr std::byte kZeros[4096] = {};
  AtomicFile& file = *shards[shard].file;
  while (file.position() < position)
    file.write(std::span(kZeros).first(static_cast<size_t>(std::min<uint64_t>(sizeof kZeros, position - file.position()))));
}

void GgufWriter::Impl::begin_shard() {
  Shard& s = shards[shard];
  if (!s.file) s.file = std::make_unique<AtomicFile>(s.path);
  s.file->write(gguf_header_bytes(s.metadata, s.tensors, s.offsets));
  pad_to(s.data_begin);
}

/// Steps over complete tensors, padding each, into the next shard where one is full.
void GgufWriter::Impl::advance() {
  while (shard < shards.size()) {
    Shard& s = shards[shard];
    for (; tensor < s.tensors.size() && written == s.tensors[tensor].n_bytes(); ++tensor, written = 0)
      pad_to(s.data_begin + (tensor + 1 < s.tensors.size() ? s.offsets[tensor + 1] : s.data_bytes));
    if (tensor < s.tensors.size()) return;
    // Open files vanish when the process is killed, but there is a limit to how many may be open.
    if (shards.size() <= kMaxOpenShards)
      s.file->flush();
    else
      s.file->seal();
    ++shard;
    tensor = 0;
    if (shard < shards.size()) begin_shard();
  }
}

GgufWriter::GgufWriter(const std::string& path, const Metadata& metadata, std::vector<GgufTensorPlan> tensors, GgufSplit split)
    : impl_(std::make_unique<Impl>()) {
  impl_->path = path;
  impl_->plan(metadata, std::move(tensors), split);
  check_space(path, total_bytes());
  impl_->begin_shard();
  impl_->advance();
}

GgufWriter::~GgufWriter() = default;

void GgufWriter::write(std::span<const std::byte> bytes) {
  Impl& w = *impl_;
  while (!bytes.empty()) {
    if (w.shard == w.shards.size())
      fail(ErrorCode::internal, "{}: {} bytes more than the declared tensors have", printable(w.path, 1024), bytes.size());
    Impl::Shard& s = w.shards[w.shard];
    const uint64_t left = s.tensors[w.tensor].n_bytes() - w.written;
    const auto piece = bytes.first(static_cast<size_t>(std::min<uint64_t>(left, bytes.size())));
    s.file->write(piece);
    w.written += piece.size();
    bytes = bytes.subspan(piece.size());
    w.advance();
  }
}

void GgufWriter::finish() {
  Impl& w = *impl_;
  if (w.finished) return;
  if (w.shard != w.shards.size())
    fail(ErrorCode::internal, "{}: tensor {} has only {} of its bytes", printable(w.path, 1024),
         printable(w.shards[w.shard].tensors[w.tensor].name), w.written);
  for (Impl::Shard& s : w.shards) s.file->seal();
  // The first shard last: a model that can be opened is a complete one.
  for (size_t i = w.shards.size(); i-- > 0;) w.shards[i].file->commit();
  w.finished = true;
}

std::vector<std::string> GgufWriter::paths() const {
  std::vector<std::string> out;
  for (const Impl::Shard& s : impl_->shards) out.push_back(s.path);
  return out;
}

uint64_t GgufWriter::total_bytes() const {
  CheckedSize total(0);
  for (const Impl::Shard& s : impl_->shards) total = total + s.file_bytes;
  return total.value();
}

}  // namespace phial
