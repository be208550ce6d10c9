// Parsing of a GGUF header. Source: the GGUF specification (ggml docs/gguf.md). Invariant: every count and length is
// compared with what the file still holds before anything of that size is allocated, and nothing recurses.
#include "formats/gguf_header.h"

#include <bit>
#include <limits>
#include <string_view>
#include <utility>

#include "base/checked.h"
#include "base/fail.h"
#include "formats/file_cursor.h"

namespace phial {
namespace {

// Value types in the file. Scalars below `array` have the index of MetaValue's alternative, those above one more.
constexpr uint32_t kTypeString = 8, kTypeArray = 9, kTypeCount = 13;
constexpr uint64_t kScalarBytes[kTypeCount] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 0, 8, 8, 8};  // a string has at least its length

// The least a key with its value, and a tensor's row, can take.
constexpr uint64_t kMinKeyBytes = 8 + 1 + 4 + 1, kMinTensorBytes = 8 + 1 + 4 + 4 + 8;

struct Guess {
  std::string_view prefix;
  const char* what;
};

/// What a file that is not GGUF looks like, for the message.
const char* looks_like(std::string_view head) {
  using namespace std::string_view_literals;
  static constexpr Guess kGuesses[] = {
      {"FUGG"sv, "a big-endian GGUF file; convert it on a little-endian machine"},
      {"PK\x03\x04"sv, "a zip archive or a PyTorch checkpoint (pickle); convert the checkpoint's safetensors"},
      {"\x80\x02"sv, "a Python pickle; convert the checkpoint's safetensors"},
      {"\x80\x03"sv, "a Python pickle; convert the checkpoint's safetensors"},
      {"\x80\x04"sv, "a Python pickle; convert the checkpoint's safetensors"},
      {"\x7f"
       "ELF"sv,
       "a program (ELF)"},
      {"GGML"sv, "a GGML file of 2023; convert the original model again"},
      {"lmgg"sv, "a GGML file of 2023; convert the original model again"},
      {"fmgg"sv, "a GGMF file of 2023; convert the original model again"},
      {"ggjt"sv, "a GGJT file of 2023; convert the original model again"},
      {"tjgg"sv, "a GGJT file of 2023; convert the original model again"},
      {"\x1f\x8b"sv, "gzip data; unpack it first"},
      {"\x28\xb5\x2f\xfd"sv, "zstd data; unpack it first"},
      {"\x89HDF"sv, "an HDF5 file"},
      {"version https://git-lfs"sv, "a Git LFS pointer; fetch the real file with git lfs pull"},
      {"<!DOCTYPE"sv, "a web page; the download went wrong"},
      {"<html"sv, "a web page; the download went wrong"},
      {"{"sv, "JSON text"},
      {"\0\0\0\0"sv, "zeros; the download may be incomplete"},
  };
  for (const Guess& guess : kGuesses)
    if (head.starts_with(guess.prefix)) return guess.what;
  if (head.size() >= 9 && head[8] == '{') return "a safetensors file; convert it first";
  return "something else";
}

/// Names of ggml types that exist but are not read here, by id.
const char* known_type(uint32_t id) {
  switch (id) {
    case 9:
      return "Q8_1";
    case 15:
      return "Q8_K";
    case 16:
      return "IQ2_XXS";
    case 17:
      return "IQ2_XS";
    case 18:
      return "IQ3_XXS";
    case 19:
      return "IQ1_S";
    case 20:
      return "IQ4_NL";
    case 21:
      return "IQ3_S";
    case 22:
      return "IQ2_S";
    case 23:
      return "IQ4_XS";
    case 29:
      return "IQ1_M";
    case 34:
      return "TQ1_0";
    case 35:
      return "TQ2_0";
    case 39:
      return "MXFP4";
    case 40:
      return "NVFP4";
    default:
      return nullptr;
  }
}

bool is_removed_type(uint32_t id) { return id == 4 || id == 5 || (id >= 31 && id <= 33) || (id >= 36 && id <= 38); }

class HeaderParser {
 public:
  explicit HeaderParser(const InputFile& file) : file_(file), cursor_(file) {}

  GgufHeader parse() {
    read_magic_and_version();
    const uint64_t n_tensors = cursor_.number<uint64_t>(), n_keys = cursor_.number<uint64_t>();
    check_count(n_tensors, kMinTensorBytes, "tensors");
    check_count(n_keys, kMinKeyBytes, "metadata keys");
    check_count(n_tensors, kMinTensorBytes, "tensors", n_keys * kMinKeyBytes);
    check_limit(n_tensors, "tensors");
    check_limit(n_keys, "metadata keys");
    header_.metadata.reserve(static_cast<size_t>(n_keys));
    for (uint64_t i = 0; i < n_keys; ++i) read_key_and_value();
    read_alignment();
    header_.tensors.reserve(static_cast<size_t>(n_tensors));
    for (uint64_t i = 0; i < n_tensors; ++i) read_tensor();
    place_tensors();
    return std::move(header_);
  }

 private:
  std::string where() const { return cursor_.where(); }

  void read_magic_and_version() {
    char head[32] = {};
    const size_t n_head = std::min<size_t>(sizeof head, file_.size());
    file_.read_at(0, std::as_writable_bytes(std::span(head, n_head)));
    if (n_head >= 4 && cursor_.number<uint32_t>() != kGgufMagic)
      fail(ErrorCode::magic, "{} is not a GGUF file (it begins with \"{}\"): it looks like {}", printable(file_.path(), 1024),
           printable(std::string_view(head, 4)), looks_like(std::string_view(head, n_head)));
    if (n_head < 4)
      fail(ErrorCode::trunc, "{}: {} bytes are too few for a GGUF file; download it again", printable(file_.path(), 1024),
           n_head);
    header_.version = cursor_.number<uint32_t>();
    if (header_.version == 2 || header_.version == 3) return;
    const char* hint = "this is not a version of GGUF";
    if (header_.version == 1) hint = "version 1 is of 2023; convert the original model again";
    if (header_.version > 3 && header_.version < 64) hint = "the file is newer than this program";
    if ((header_.version & 0xffff) == 0 && header_.version != 0)
      hint = "the file is big-endian; convert it to little-endian first";
    fail(ErrorCode::version, "{}: GGUF version {}; 2 and 3 are read: {}", printable(file_.path(), 1024), header_.version, hint);
  }

  /// Refuses a count of things of at least min_bytes each that do not fit the rest of the file (less `reserved`).
  void check_count(uint64_t n, uint64_t min_bytes, const char* what, uint64_t reserved = 0) const {
    if (n > (cursor_.remaining() - std::min(cursor_.remaining(), reserved)) / min_bytes)
      fail(ErrorCode::count, "{}: {} {} do not fit the {} bytes left in the file; it is damaged or cut short", where(), n, what,
           cursor_.remaining());
  }
  void check_limit(uint64_t n, const char* what) const {
    if (n > kGgufMaxEntries) fail(ErrorCode::limit, "{}: {} {}; at most {} are read", where(), n, what, kGgufMaxEntries);
  }
  uint64_t string_length(const char* what) {
    const uint64_t at = cursor_.position();
    const uint64_t n = cursor_.number<uint64_t>();
    if (n > cursor_.remaining())
      fail(ErrorCode::string_len, "{}: {} has the length {}, the file has {} bytes left; it is damaged or cut short",
           cursor_.where(at), what, n, cursor_.remaining());
    return n;
  }

  void read_key_and_value() {
    const auto at = [this, begin = cursor_.position()] { return cursor_.where(begin); };
    const uint64_t n = string_length("a metadata key");
    if (n > kGgufMaxKeyLength)
      fail(ErrorCode::string_len, "{}: a metadata key has the length {}; at most {} is allowed", at(), n, kGgufMaxKeyLength);
    const std::string key = cursor_.text(n);
    check_gguf_key(key, at);
    if (header_.metadata.has(key)) fail(ErrorCode::duplicate, "{}: metadata key {} is there twice", at(), printable(key));
    const uint32_t type = cursor_.number<uint32_t>();
    if (type >= kTypeCount)
      fail(ErrorCode::type, "{}: metadata key {} has the value type {}; there are 0 to {}", where(), printable(key), type,
           kTypeCount - 1);
    header_.metadata.set(key, type == kTypeArray ? read_array(key) : read_scalar(type, key));
  }

  bool read_bool(const std::string& key) {
    const uint8_t byte = cursor_.number<uint8_t>();
    if (byte > 1)
      fail(ErrorCode::boolean, "{}: metadata key {} has a bool with the value {}; 0 and 1 are allowed", where(), printable(key),
           byte);
    return byte == 1;
  }
  std::string read_string(const std::string& key) {
    return cursor_.text(string_length(key.size() <= 80 ? key.c_str() : "a string"));
  }

  MetaValue read_scalar(uint32_t type, const std::string& key) {
    switch (type) {
      case 0:
        return cursor_.number<uint8_t>();
      case 1:
        return cursor_.number<int8_t>();
      case 2:
        return cursor_.number<uint16_t>();
      case 3:
        return cursor_.number<int16_t>();
      case 4:
        return cursor_.number<uint32_t>();
      case 5:
        return cursor_.number<int32_t>();
      case 6:
        return cursor_.number<float>();
      case 7:
        return read_bool(key);
      case kTypeString:
        return read_string(key);
      case 10:
        return cursor_.number<uint64_t>();
      case 11:
        return cursor_.number<int64_t>();
      default:
        return cursor_.number<double>();
    }
  }

  template <typename T>
  MetaValue read_numbers(uint64_t n) {
    std::vector<T> values(static_cast<size_t>(n));
    cursor_.read(std::as_writable_bytes(std::span(values)));
    return values;
  }

  MetaValue read_array(const std::string& key) {
    const std::string at = where();
    const uint32_t type = cursor_.number<uint32_t>();
    if (type == kTypeArray)
      fail(ErrorCode::type, "{}: metadata key {} is an array of arrays, which is not supported", at, printable(key));
    if (type >= kTypeCount)
      fail(ErrorCode::type, "{}: metadata key {} is an array of the type {}; there are 0 to {}", at, printable(key), type,
           kTypeCount - 1);
    const uint64_t n = cursor_.number<uint64_t>();
    check_count(n, kScalarBytes[type], "array elements");
    switch (type) {
      case 0:
        return read_numbers<uint8_t>(n);
      case 1:
        return read_numbers<int8_t>(n);
      case 2:
        return read_numbers<uint16_t>(n);
      case 3:
        return read_numbers<int16_t>(n);
      case 4:
        return read_numbers<uint32_t>(n);
      case 5:
        return read_numbers<int32_t>(n);
      case 6:
        return read_numbers<float>(n);
      case 7: {
        std::vector<bool> values(static_cast<size_t>(n));
        for (uint64_t i = 0; i < n; ++i) values[static_cast<size_t>(i)] = read_bool(key);
        return values;
      }
      case kTypeString: {
        std::vector<std::string> values;
        values.reserve(static_cast<size_t>(n));
        for (uint64_t i = 0; i < n; ++i) values.push_back(read_string(key));
        return values;
      }
      case 10:
        return read_numbers<uint64_t>(n);
      case 11:
        return read_numbers<int64_t>(n);
      default:
        return read_numbers<double>(n);
    }
  }

  void read_alignment() {
    const MetaValue* value = header_.metadata.find("general.alignment");
    if (!value) return;
    const auto* alignment = std::get_if<uint32_t>(value);
    if (!alignment)
      fail(ErrorCode::type, "{}: general.alignment has the type {}; it must be u32", printable(file_.path(), 1024),
           meta_type_name(*value));
    check_gguf_alignment(*alignment, [this] { return printable(file_.path(), 1024); });
    header_.alignment = *alignment;
  }

  void read_tensor() {
    const auto at = [this, begin = cursor_.position()] { return cursor_.where(begin); };
    const uint64_t n = cursor_.number<uint64_t>();
    if (n == 0 || n > kGgufMaxNameLength)
      fail(ErrorCode::name, "{}: a tensor name has the length {}; 1 to {} are allowed", at(), n, kGgufMaxNameLength);
    TensorEntry tensor;
    tensor.name = cursor_.text(n);
    check_gguf_name(tensor.name, at);
    const auto what = [&] { return fmt::format("{}: tensor {}", at(), printable(tensor.name)); };
    const uint32_t n_dims = cursor_.number<uint32_t>();
    if (n_dims > kGgufMaxDims)
      fail(ErrorCode::n_dims, "{} has {} dimensions; at most {} are allowed", what(), n_dims, kGgufMaxDims);
    tensor.shape.resize(n_dims);
    for (uint32_t d = 0; d < n_dims; ++d) {
      const int64_t extent = cursor_.number<int64_t>();
      if (extent < 0) fail(ErrorCode::shape, "{}: dimension {} is {}", what(), d, extent);
      tensor.shape[n_dims - 1 - d] = extent;  // the file has the fastest axis first
    }
    const uint32_t type = cursor_.number<uint32_t>();
    const auto dtype = dtype_from_gguf(type);
    if (!dtype) {
      if (is_removed_type(type))
        fail(ErrorCode::type, "{} has the type {}, which was removed from GGUF; convert the original model again", what(), type);
      if (const char* name = known_type(type))
        fail(ErrorCode::type, "{} has the type {}, which is not supported yet; use a file with another quantization", what(),
             name);
      fail(ErrorCode::type, "{} has the unknown type {}; the file is damaged or newer than this program", what(), type);
    }
    tensor.dtype = *dtype;
    tensor.n_bytes = gguf_tensor_bytes(tensor.dtype, tensor.shape, what);
    tensor.offset = cursor_.number<uint64_t>();
    header_.tensors.push_back(std::move(tensor));
  }

  /// Tensors must lie in the order of their rows, each at the next aligned place, as every GGUF writer puts them: no
  /// overlap and no gap can then exist.
  void place_tensors() {
    const std::string path = printable(file_.path(), 1024);
    header_.data_offset = CheckedSize(cursor_.position()).aligned(header_.alignment).value();
    CheckedSize expected(0);
    constexpr auto kMaxFile = CheckedSize(std::numeric_limits<int64_t>::max());
    for (const TensorEntry& tensor : header_.tensors) {
      if (tensor.offset != expected.value())
        fail(ErrorCode::offset, "{}: tensor {} is at the offset {} of the data, {} is its place{}", path, printable(tensor.name),
             tensor.offset, expected.value(),
             tensor.offset % header_.alignment != 0  ? " (it is not aligned)"
             : CheckedSize(tensor.offset) < expected ? " (it overlaps another tensor)"
                                                     : "");
      expected = (expected + tensor.n_bytes).aligned(header_.alignment);
      if (expected + header_.data_offset > kMaxFile)
        fail(ErrorCode::overflow, "{}: the tensors up to {} need {} bytes, more than any file has", path, printable(tensor.name),
             expected.value());
    }
    for (TensorEntry& tensor : header_.tensors) {
      tensor.offset = (CheckedSize(tensor.offset) + header_.data_offset).value();
      const uint64_t end = (CheckedSize(tensor.offset) + tensor.n_bytes).value();
      if (tensor.n_bytes > 0 && end > file_.size())
        fail(ErrorCode::trunc, "{}: tensor {} ends at byte {}, the file at {}; it is cut short, download it again", path,
             printable(tensor.name), end, file_.size());
    }
  }

  const InputFile& file_;
  FileCursor cursor_;
  GgufHeader header_;
};

}  // namespace

GgufHeader parse_gguf_header(const InputFile& file) { return HeaderParser(file).parse(); }

uint64_t gguf_tensor_bytes(DType dtype, const std::vector<int64_t>& shape, Where where) {
  constexpr auto kMax = CheckedSize(std::numeric_limits<int64_t>::max());
  const FormatInfo& format = format_info(dtype);
  CheckedSize n(1);
  for (int64_t extent : shape) n = n * static_cast<uint64_t>(extent);
  // Before the division, so that whatever another program computes with these numbers fits 64 bits too.
  const CheckedSize bytes = n * format.block_bytes;
  if (n > kMax || bytes > kMax) fail(ErrorCode::overflow, "{}: its size does not fit 63 bits; the file is damaged", where());
  const uint64_t row = shape.empty() ? 1 : static_cast<uint64_t>(shape.back());
  if (row % format.block_values != 0)
    fail(ErrorCode::shape, "{}: rows of {} values are not whole blocks of {} ({})", where(), row, format.block_values,
         format.text);
  return bytes.value() / format.block_values;
}

void check_gguf_key(const std::string& key, Where where) {
  if (key.empty()) fail(ErrorCode::key, "{}: an empty metadata key", where());
  if (key.size() > kGgufMaxKeyLength)
    fail(ErrorCode::string_len, "{}: a metadata key has the length {}; at most {} is allowed", where(), key.size(),
         kGgufMaxKeyLength);
  for (const char c : key)
    if (c < 0x20 || c > 0x7e)
      fail(ErrorCode::key, "{}: metadata key \"{}\" has bytes that are not printable ASCII", where(), printable(key));
}

void check_gguf_name(const std::string& name, Where where) {
  if (name.empty() || name.size() > kGgufMaxNameLength)
    fail(ErrorCode::name, "{}: tensor name \"{}\" has the length {}; 1 to {} are allowed", where(), printable(name), name.size(),
         kGgufMaxNameLength);
  for (const char c : name)
    if ((c >= 0 && c < 0x20) || c == 0x7f)
      fail(ErrorCode::name, "{}: tensor name \"{}\" has control characters", where(), printable(name));
}

void check_gguf_alignment(uint64_t alignment, Where where) {
  if (!std::has_single_bit(alignment) || alignment > kGgufMaxAlignment)
    fail(ErrorCode::align, "{}: general.alignment is {}; it must be a power of two of at most {}", where(), alignment,
         kGgufMaxAlignment);
}

}  // namespace phial
