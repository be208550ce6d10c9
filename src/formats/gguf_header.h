// The header of one GGUF file: everything before the tensor data, parsed with all checks, and written.
#pragma once

#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "formats/gguf.h"

namespace phial {

inline constexpr uint32_t kGgufMagic = 0x46554747;  // "GGUF"
inline constexpr uint32_t kGgufVersion = 3;
inline constexpr uint64_t kGgufDefaultAlignment = 32;
inline constexpr uint64_t kGgufMaxAlignment = 64 << 10;
inline constexpr uint64_t kGgufMaxKeyLength = 65535;
inline constexpr uint64_t kGgufMaxNameLength = 64;
inline constexpr uint64_t kGgufMaxDims = 4;
inline constexpr uint64_t kGgufMaxEntries = 1 << 20;  // metadata keys, tensors: bounds memory for hostile files

/// The text of a place for an error, made only when it is needed: headers may have a million entries.
using Where = FunctionRef<std::string()>;

struct GgufHeader {
  uint32_t version = kGgufVersion;
  uint64_t alignment = kGgufDefaultAlignment;
  uint64_t data_offset = 0;
  Metadata metadata;
  std::vector<TensorEntry> tensors;  // offsets are absolute; names unchecked for duplicates
};

/// Parses and checks; tensors lie one after the other and end within the file.
GgufHeader parse_gguf_header(const InputFile& file);

/// Bytes of a tensor as GGUF lays it out. Throws SHAPE for a row that is not whole blocks, OVERFLOW for sizes beyond 63 bits.
uint64_t gguf_tensor_bytes(DType dtype, const std::vector<int64_t>& shape, Where where);

/// KEY or STRLEN for key text GGUF does not allow; NAME for tensor names.
void check_gguf_key(const std::string& key, Where where);
void check_gguf_name(const std::string& name, Where where);
/// ALIGN unless a power of two of at most 64 KiB.
void check_gguf_alignment(uint64_t alignment, Where where);

/// The bytes of a header, without padding. Tensor offsets are relative to the data section.
std::vector<std::byte> gguf_header_bytes(const Metadata& metadata, const std::vector<GgufTensorPlan>& tensors,
                                         const std::vector<uint64_t>& offsets);

}  // namespace phial
