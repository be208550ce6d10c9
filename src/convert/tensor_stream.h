// Bringing tensors from their file into the output's format, piece by piece: memory does not grow with the tensor.
// Reading and encoding run on all threads, writing of the piece before goes on beside them.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "convert/checkpoint.h"

namespace phial {

class TensorStream {
 public:
  /// head_dim rows at a time are permuted where the table says so.
  TensorStream(const SafetensorsFile& file, ThreadPool& pool, int64_t head_dim);

  /// Gives the tensor's bytes in `dtype` to `sink`, in order. after_piece(source bytes done) is called between pieces.
  /// Throws NAN where a value that is not finite cannot be stored, ARGUMENT where one is too large for F16.
  void copy(const SourceTensor& tensor, DType dtype, const std::function<void(std::span<const std::byte>)>& sink,
            const std::function<void(uint64_t)>& after_piece);

  /// Tensors that were copied with NaN or infinite values, as they are.
  const std::vector<std::string>& non_finite() const { return non_finite_; }

 private:
  struct Rows;
  struct Scratch {
    std::vector<std::byte> raw;
    std::vector<float> values;
  };
  void read_rows(const Rows& rows, int64_t begin, int64_t n, std::byte* out) const;
  /// Rows [begin, begin + n) into out; true if a value is not finite.
  bool encode_rows(const Rows& rows, DType dtype, int64_t begin, int64_t n, std::byte* out, Scratch& scratch) const;

  const SafetensorsFile& file_;
  ThreadPool& pool_;
  int64_t head_dim_;
  std::vector<Scratch> scratch_;  // one per worker
  std::vector<std::byte> windows_[2];
  std::vector<std::string> non_finite_;
};

}  // namespace phial
