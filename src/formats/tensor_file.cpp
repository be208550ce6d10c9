// Named tensors over one or several files: lookup and checked reads.
#include "formats/tensor_file.h"

#include <algorithm>

#include "base/checked.h"
#include "base/fail.h"

namespace phial {

uint64_t TensorEntry::n_values() const {
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;  // whatever the other extents are
  CheckedSize n(1);
  for (int64_t extent : shape) n = n * static_cast<uint64_t>(extent);
  return n.value();
}

const TensorEntry* TensorFile::find(const std::string& name) const {
  const auto place = by_name_.find(name, [&](size_t i) -> std::string_view { return tensors_[i].name; });
  return place ? &tensors_[*place] : nullptr;
}

void TensorFile::add(TensorEntry entry) {
  const auto name_of = [&](size_t i) -> std::string_view { return tensors_[i].name; };
  if (const auto place = by_name_.find(entry.name, name_of))
    fail(ErrorCode::duplicate, "{}: tensor {} is there twice{}", where(entry), printable(entry.name),
         tensors_[*place].file == entry.file ? "" : " (also in " + where(tensors_[*place]) + ")");
  by_name_.add(entry.name, name_of);
  tensors_.push_back(std::move(entry));
}

void TensorFile::read(const TensorEntry& tensor, uint64_t begin, std::span<std::byte> out) const {
  if (tensor.foreign_type)
    fail(ErrorCode::unsupported, "{}: tensor {} has the type {}, which Phial cannot use yet", where(tensor),
         printable(tensor.name), tensor.foreign_type);
  if ((CheckedSize(begin) + out.size()).value() > tensor.n_bytes)
    fail(ErrorCode::internal, "{}: tensor {}: bytes {}+{} asked for, it has {}", where(tensor), printable(tensor.name), begin,
         out.size(), tensor.n_bytes);
  files_[static_cast<size_t>(tensor.file)]->read_at((CheckedSize(tensor.offset) + begin).value(), out);
}

std::string TensorFile::where(const TensorEntry& tensor) const {
  const std::string& path = files_[static_cast<size_t>(tensor.file)]->path();
  return printable(path.substr(path.rfind('/') + 1), 256);
}

}  // namespace phial
