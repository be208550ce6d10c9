// The .npy writer. Source: NumPy's format description, version 1.0: magic, version, header length, a Python dict padded to 64
// bytes.
#include "phial/npy.h"

#include "base/fail.h"
#include "base/file.h"

namespace phial {

struct NpyWriter::Impl {
  AtomicFile file;
  int64_t rows_left, n_cols;
};

NpyWriter::NpyWriter(const std::string& path, int64_t n_rows, int64_t n_cols)
    : impl_(new Impl{AtomicFile(path), n_rows, n_cols}) {
  std::string dict = fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", n_rows, n_cols);
  constexpr size_t kPrefix = 10;
  while ((kPrefix + dict.size() + 1) % 64 != 0) dict += ' ';
  dict += '\n';
  std::string head("\x93NUMPY\x01\x00", 8);
  head += static_cast<char>(dict.size() & 0xFF);
  head += static_cast<char>(dict.size() >> 8);
  head += dict;
  impl_->file.write(std::as_bytes(std::span(head)));
}

NpyWriter::~NpyWriter() = default;

void NpyWriter::row(std::span<const float> values) {
  if (static_cast<int64_t>(values.size()) != impl_->n_cols || impl_->rows_left == 0)
    fail(ErrorCode::internal, "npy: a row of {} values given, {} wanted, {} rows left", values.size(), impl_->n_cols,
         impl_->rows_left);
  impl_->file.write(std::as_bytes(values));
  --impl_->rows_left;
}

void NpyWriter::finish() {
  if (impl_->rows_left != 0) fail(ErrorCode::internal, "npy: {} rows are missing", impl_->rows_left);
  impl_->file.commit();
}

}  // namespace phial
