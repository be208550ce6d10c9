// What a reader of GGUF or safetensors gives: named tensors with type, shape and where their bytes lie.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "formats/name_index.h"
#include "tensor/dtype.h"

namespace phial {

struct TensorEntry {
  std::string name;
  DType dtype = DType::f32;
  std::vector<int64_t> shape;  // slowest axis first, as in PyTorch; empty = scalar
  int file = 0;                // index into TensorFile::files
  uint64_t offset = 0;         // absolute, in that file
  uint64_t n_bytes = 0;
  /// A type of the file that Phial cannot compute with ("U8", "F8_E4M3"), else nullptr. Such a tensor is listed but not
  /// read: read() throws UNSUPPORTED. dtype is then a type of the same element size.
  const char* foreign_type = nullptr;

  uint64_t n_values() const;
  int64_t row_length() const { return shape.empty() ? 1 : shape.back(); }
  uint64_t n_rows() const { return shape.empty() ? 1 : n_values() / static_cast<uint64_t>(shape.back() ? shape.back() : 1); }
};

/// The tensors of one model, possibly over several files.
class TensorFile {
 public:
  TensorFile() = default;
  TensorFile(const TensorFile&) = default;
  TensorFile(TensorFile&&) = default;
  TensorFile& operator=(const TensorFile&) = default;
  TensorFile& operator=(TensorFile&&) = default;
  virtual ~TensorFile() = default;  // held and deleted through the base
  const std::vector<TensorEntry>& tensors() const { return tensors_; }
  const TensorEntry* find(const std::string& name) const;
  const std::vector<std::shared_ptr<InputFile>>& files() const { return files_; }
  /// Reads `out.size()` bytes of the tensor from byte `begin` on; safe from several threads at once.
  void read(const TensorEntry& tensor, uint64_t begin, std::span<std::byte> out) const;
  /// "file.gguf" for errors.
  std::string where(const TensorEntry& tensor) const;

 protected:
  /// Appends the tensors of one more file; throws DUP for a name that is there.
  void add(std::vector<TensorEntry> entries);
  std::vector<TensorEntry> tensors_;
  NameIndex by_name_;
  std::vector<std::shared_ptr<InputFile>> files_;
};

}  // namespace phial
