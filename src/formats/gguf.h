// GGUF: versions 2 and 3 read, version 3 written, split files both ways.
// Source: the GGUF specification (ggml docs/gguf.md). Little-endian. All sizes are checked before use.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "formats/metadata.h"
#include "formats/tensor_file.h"

namespace phial {

class GgufFile : public TensorFile {
 public:
  /// Opens a file, or all shards of a split model given its first (`<prefix>-00001-of-000NN.gguf`).
  static GgufFile open(const std::string& path);

  const Metadata& metadata() const { return metadata_; }
  uint32_t version() const { return version_; }
  uint64_t alignment() const { return alignment_; }
  uint64_t data_offset() const { return data_offset_; }  // of the first file

 private:
  Metadata metadata_;
  uint32_t version_ = 3;
  uint64_t alignment_ = 32;
  uint64_t data_offset_ = 0;
};

struct GgufTensorPlan {
  std::string name;
  DType dtype;
  std::vector<int64_t> shape;  // slowest first
  uint64_t n_bytes() const;
};

struct GgufSplit {
  int max_tensors = 0;          // 0 = no limit
  uint64_t max_bytes = 0;       // 0 = no limit
  std::vector<int> shard_of{};  // if not empty: the shard of each tensor, ascending, in place of the limits
};

/// Writes one model as one GGUF file, or as shards. The tensors are declared first, then their bytes are given in that
/// order, piece by piece; finish() makes the files appear. Peak memory is one piece.
class GgufWriter {
 public:
  GgufWriter(const std::string& path, const Metadata& metadata, std::vector<GgufTensorPlan> tensors, GgufSplit split = {});
  ~GgufWriter();
  /// Appends bytes of the current tensor (the first declared, then the next...). A tensor is complete when all its bytes came.
  void write(std::span<const std::byte> bytes);
  void finish();
  uint64_t total_bytes() const;  // of all files, known from the declaration
  std::vector<std::string> paths() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Size of the one file that GgufWriter would write.
uint64_t gguf_file_bytes(const Metadata& metadata, const std::vector<GgufTensorPlan>& tensors);

/// File name of shard i (0-based) of n: "<prefix>-00001-of-00003.gguf".
std::string gguf_shard_path(const std::string& path, int i, int n);

}  // namespace phial
