// Opening GGUF models: one file, or all shards of a split one.
// Split files: `<prefix>-%05d-of-%05d.gguf`, keys split.no, split.count, split.tensors.count; metadata is in the first.
#include "formats/gguf.h"

#include <charconv>

#include "base/fail.h"
#include "formats/gguf_header.h"

namespace phial {
namespace {

constexpr std::string_view kSuffix = ".gguf";
constexpr int kMaxShards = 65535;

struct ShardName {
  std::string prefix;
  int no = 0, count = 0;  // no is 1-based
};

std::optional<int> parse_five_digits(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.size() != 5 || error != std::errc() || end != text.data() + 5 || value < 1) return std::nullopt;
  return value;
}

/// "<prefix>-00001-of-00003.gguf" taken apart.
std::optional<ShardName> parse_shard_name(const std::string& path) {
  constexpr size_t kTail = 5 + 4 + 5;  // "00001-of-00003"
  if (!path.ends_with(kSuffix) || path.size() < kSuffix.size() + kTail + 1) return std::nullopt;
  const size_t begin = path.size() - kSuffix.size() - kTail;
  const std::string_view tail = std::string_view(path).substr(begin, kTail);
  const auto no = parse_five_digits(tail.substr(0, 5)), count = parse_five_digits(tail.substr(9, 5));
  if (!no || !count || tail.substr(5, 4) != "-of-" || path[begin - 1] != '-') return std::nullopt;
  return ShardName{path.substr(0, begin - 1), *no, *count};
}

std::string shard_path(const std::string& prefix, int no, int count) {
  return fmt::format("{}-{:05}-of-{:05}{}", prefix, no, count, kSuffix);
}

/// The value of an integer key about splitting; SPLIT when it is of another type.
int64_t split_integer(const Metadata& metadata, const char* key, const std::string& path) {
  try {
    return metadata.integer(key);
  } catch (const Error& error) {
    fail(ErrorCode::split, "{}: {}", printable(path, 1024), error.what());
  }
}

}  // namespace

std::string gguf_shard_path(const std::string& path, int i, int n) {
  const std::string prefix = path.ends_with(kSuffix) ? path.substr(0, path.size() - kSuffix.size()) : path;
  return shard_path(prefix, i + 1, n);
}

GgufFile GgufFile::open(const std::string& path) {
  GgufFile model;
  const auto add_file = [&model](const std::string& file_path) {
    model.files_.push_back(std::make_shared<InputFile>(file_path));
    GgufHeader header = parse_gguf_header(*model.files_.back());
    for (TensorEntry& tensor : header.tensors) tensor.file = static_cast<int>(model.files_.size()) - 1;
    model.add(std::move(header.tensors));
    return header;
  };

  GgufHeader first = add_file(path);
  model.metadata_ = std::move(first.metadata);
  model.version_ = first.version;
  model.alignment_ = first.alignment;
  model.data_offset_ = first.data_offset;
  if (!model.metadata_.has("split.count")) return model;

  const std::string shown = printable(path, 1024);
  const int64_t count = split_integer(model.metadata_, "split.count", path);
  if (count == 0 || count == 1) return model;
  const int64_t no = split_integer(model.metadata_, "split.no", path);
  if (count < 0 || count > kMaxShards || no < 0 || no >= count)
    fail(ErrorCode::split, "{}: it says it is shard {} of {}, which cannot be", shown, no, count);
  const auto name = parse_shard_name(path);
  if (!name || name->count != count || name->no != no + 1)
    fail(ErrorCode::split, "{}: it is shard {} of {}, so its name must end in -{:05}-of-{:05}.gguf; rename it back", shown,
         no + 1, count, no + 1, count);
  if (no != 0)
    fail(ErrorCode::split, "{} is shard {} of {}; give the first, {}", shown, no + 1, count,
         printable(shard_path(name->prefix, 1, name->count), 1024));

  for (int i = 1; i < count; ++i) {
    const std::string shard = shard_path(name->prefix, i + 1, name->count);
    try {
      const GgufHeader header = add_file(shard);
      const Metadata& m = header.metadata;
      if (split_integer(m, "split.no", shard) != i || split_integer(m, "split.count", shard) != count)
        fail(ErrorCode::split, "{}: inside it is not shard {} of {}; shards of different models are mixed",
             printable(shard, 1024), i + 1, count);
      for (const char* key : {"general.architecture", "general.name"}) {
        const auto* theirs = m.find(key);
        const auto* ours = model.metadata_.find(key);
        if (theirs && (!ours || *theirs != *ours))
          fail(ErrorCode::split, "{}: its {} is not that of the first shard; shards of different models are mixed",
               printable(shard, 1024), key);
      }
    } catch (const Error& error) {
      if (error.code() == ErrorCode::not_found)
        fail(ErrorCode::split, "{}: shard {} of {} is missing ({}); download it too", shown, i + 1, count,
             printable(shard, 1024));
      if (error.code() == ErrorCode::duplicate) fail(ErrorCode::split, "{}; shards of different models are mixed", error.what());
      throw;
    }
  }
  if (model.metadata_.has("split.tensors.count")) {
    const int64_t n_tensors = split_integer(model.metadata_, "split.tensors.count", path);
    if (n_tensors != static_cast<int64_t>(model.tensors_.size()))
      fail(ErrorCode::split, "{}: the shards have {} tensors, {} were promised; shards of different models are mixed", shown,
           model.tensors_.size(), n_tensors);
  }
  return model;
}

}  // namespace phial
