// Named tensors over one or several files: lookup and checked reads.
#include "formats/tensor_file.h"

#include <algorithm>
#include <iterator>

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

void TensorFile::add(std::vector<TensorEntry> entries) {
  size_t i = tensors_.size();
  if (i == 0)
    tensors_ = std::move(entries);  // no second copy of a large table
  else
    tensors_.insert(tensors_.end(), std::move_iterator(entries.begin()), std::move_iterator(entries.end()));
  const auto name_of = [&](size_t place) -> std::string_view { return tensors_[place].name; };
  by_name_.reserve(tensors_.size(), name_of);
  for (; i < tensors_.size(); ++i) {
    if (const auto place = by_name_.add(tensors_[i].name, name_of))
      fail(ErrorCode::duplicate, "{}: tensor {} is there twice{}", where(tensors_[i]), printable(tensors_[i].name),
           tensors_[*place].file == tensors_[i].file ? "" : " (also in " + where(tensors_[*place]) + ")");
  }
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
