// Reading safetensors. The header is read by a state machine over JSON events straight into entries, so memory stays in
// proportion to the header and nothing recurses. Stricter than the reference where names or fields repeat (DUP).
#include "formats/safetensors.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <limits>
#include <map>
#include <optional>
#include <set>

#include "base/checked.h"
#include "base/fail.h"

namespace phial {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxHeader = 100'000'000;
constexpr uint64_t kMaxIndex = 64u << 20;
constexpr size_t kMaxMetadata = 65536, kMaxTensors = 1 << 20, kMaxDims = 16;
constexpr int kMaxDepth = 128;

struct Dtype {
  std::string_view text;
  DType dtype;
  const char* foreign;  // its name where Phial cannot compute with it
};

constexpr Dtype kDtypes[] = {
    {"F64", DType::f64, nullptr},      {"F32", DType::f32, nullptr},      {"F16", DType::f16, nullptr},
    {"BF16", DType::bf16, nullptr},    {"I64", DType::i64, nullptr},      {"I32", DType::i32, nullptr},
    {"I16", DType::i16, nullptr},      {"I8", DType::i8, nullptr},        {"U8", DType::i8, "U8"},
    {"BOOL", DType::i8, "BOOL"},       {"U16", DType::i16, "U16"},        {"U32", DType::i32, "U32"},
    {"U64", DType::i64, "U64"},        {"F8_E4M3", DType::i8, "F8_E4M3"}, {"F8_E5M2", DType::i8, "F8_E5M2"},
    {"F8_E8M0", DType::i8, "F8_E8M0"}, {"C64", DType::i64, "C64"},
};

/// The header's events: { "__metadata__": {text: text}, name: {dtype, shape: [..], data_offsets: [begin, end]} }.
class HeaderEvents {
 public:
  HeaderEvents(const std::string& where, std::vector<TensorEntry>& tensors, Json& metadata)
      : where_(where), tensors_(tensors), metadata_(metadata) {}

  bool start_object(size_t) {
    switch (state_) {
      case State::begin:
        state_ = State::header;
        return true;
      case State::header_value:
        seen_ = 0;
        state_ = is_metadata_ ? State::metadata : State::tensor;
        return true;
      default:
        unexpected("an object");
    }
  }
  bool end_object() {
    if (state_ == State::tensor) {
      if (seen_ != 7) bad("tensor " + name_ + " lacks dtype, shape or data_offsets");
      finish_tensor();
    }
    state_ = state_ == State::header ? State::end : State::header;
    return true;
  }
  bool start_array(size_t) {
    if (state_ == State::shape_value) {
      state_ = State::shape;
    } else if (state_ == State::offsets_value) {
      state_ = State::offsets;
    } else {
      unexpected("an array");
    }
    return true;
  }
  bool end_array() {
    state_ = State::tensor;
    return true;
  }
  bool key(std::string& text) {
    if (state_ == State::header) {
      is_metadata_ = text == "__metadata__";
      if (is_metadata_ && has_metadata_) fail(ErrorCode::duplicate, "{}: __metadata__ is there twice", where_);
      has_metadata_ |= is_metadata_;
      entry_ = {};
      offsets_.clear();
      entry_.name = std::move(text);
      name_ = printable(entry_.name);
      if (!is_metadata_ && entry_.name.empty()) bad("a tensor without a name");
      state_ = State::header_value;
    } else if (state_ == State::metadata) {
      if (metadata_.contains(text)) fail(ErrorCode::duplicate, "{}: __metadata__ has {} twice", where_, printable(text));
      if (metadata_.size() >= kMaxMetadata) fail(ErrorCode::limit, "{}: more than {} metadata keys", where_, kMaxMetadata);
      metadata_key_ = std::move(text);
      state_ = State::metadata_value;
    } else {  // a field of a tensor
      const int field = text == "dtype" ? 1 : text == "shape" ? 2 : text == "data_offsets" ? 4 : 0;
      if (field == 0) bad("tensor " + name_ + " has the unknown field " + printable(text));
      if (seen_ & field) fail(ErrorCode::duplicate, "{}: tensor {} has {} twice", where_, name_, text);
      seen_ |= field;
      state_ = field == 1 ? State::dtype_value : field == 2 ? State::shape_value : State::offsets_value;
    }
    return true;
  }
  bool string(std::string& text) {
    if (state_ == State::metadata_value) {
      metadata_[metadata_key_] = std::move(text);
      state_ = State::metadata;
    } else if (state_ == State::dtype_value) {
      const auto* found = std::find_if(std::begin(kDtypes), std::end(kDtypes), [&](const Dtype& d) { return d.text == text; });
      if (found == std::end(kDtypes)) bad("tensor " + name_ + " has the unknown dtype " + printable(text));
      entry_.dtype = found->dtype;
      entry_.foreign_type = found->foreign;
      state_ = State::tensor;
    } else {
      unexpected("a string");
    }
    return true;
  }
  bool number_unsigned(uint64_t value) {
    if (state_ == State::shape) {
      if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
        fail(ErrorCode::overflow, "{}: tensor {} has a dimension {}", where_, name_, value);
      if (entry_.shape.size() >= kMaxDims)
        fail(ErrorCode::n_dims, "{}: tensor {} has over {} dimensions", where_, name_, kMaxDims);
      entry_.shape.push_back(static_cast<int64_t>(value));
    } else if (state_ == State::offsets) {
      if (offsets_.size() == 2) fail(ErrorCode::offset, "{}: tensor {} has more than two data_offsets", where_, name_);
      offsets_.push_back(value);
    } else {
      unexpected("a number");
    }
    return true;
  }
  bool number_integer(int64_t value) { bad("the number " + std::to_string(value) + not_a_size()); }
  bool number_float(double, const std::string& text) { bad("the number " + printable(text) + not_a_size()); }
  bool boolean(bool) { unexpected("a boolean"); }
  bool null() { unexpected("null"); }
  bool binary(Json::binary_t&) { unexpected("binary data"); }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& error) {
    bad("byte " + std::to_string(position) + ": " + printable(error.what(), 300));
  }

 private:
  enum class State {
    begin,
    header,
    header_value,
    metadata,
    metadata_value,
    tensor,
    dtype_value,
    shape_value,
    shape,
    offsets_value,
    offsets,
    end
  };

  [[noreturn]] void bad(const std::string& what) const {
    fail(ErrorCode::json, "{}: the header is not valid: {}; the file is damaged", where_, what);
  }
  [[noreturn]] void unexpected(const char* what) const {
    bad(std::string(what) + (name_.empty() ? " at the top" : " in " + name_) + " where none belongs");
  }
  std::string not_a_size() const { return " in " + name_ + " is not a size"; }

  void finish_tensor() {
    const CheckedSize n_bytes = CheckedSize(entry_.n_values()) * format_info(entry_.dtype).block_bytes;
    if (offsets_.size() != 2)
      fail(ErrorCode::offset, "{}: tensor {} has {} data_offsets; 2 are needed", where_, name_, offsets_.size());
    if (offsets_[0] > offsets_[1] || offsets_[1] > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
      fail(ErrorCode::offset, "{}: tensor {} has the data_offsets {} to {}", where_, name_, offsets_[0], offsets_[1]);
    if (offsets_[1] - offsets_[0] != n_bytes.value())
      fail(ErrorCode::offset, "{}: tensor {} has {} bytes of data, its shape and dtype need {}", where_, name_,
           offsets_[1] - offsets_[0], n_bytes.value());
    if (tensors_.size() >= kMaxTensors) fail(ErrorCode::limit, "{}: more than {} tensors", where_, kMaxTensors);
    entry_.offset = offsets_[0];
    entry_.n_bytes = n_bytes.value();
    tensors_.push_back(std::move(entry_));
  }

  const std::string& where_;
  std::vector<TensorEntry>& tensors_;
  Json& metadata_;
  State state_ = State::begin;
  bool is_metadata_ = false, has_metadata_ = false;
  int seen_ = 0;  // fields of the tensor at hand: dtype 1, shape 2, data_offsets 4
  TensorEntry entry_;
  std::string name_, metadata_key_;
  std::vector<uint64_t> offsets_;
};

/// The data of the tensors must fill the rest of the file: no overlap, no hole, nothing behind. Empty tensors may be anywhere in
/// it.
void check_layout(std::span<const TensorEntry> tensors, uint64_t n_data, const std::string& where) {
  std::vector<uint32_t> order(tensors.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<uint32_t>(i);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return tensors[a].offset < tensors[b].offset; });
  uint64_t end = 0;
  for (const uint32_t i : order) {
    const TensorEntry& tensor = tensors[i];
    const uint64_t tensor_end = (CheckedSize(tensor.offset) + tensor.n_bytes).value();
    if (tensor_end > n_data)
      fail(ErrorCode::trunc, "{}: tensor {} ends at byte {} of the data, which has {}; the file is cut short, download it again",
           where, printable(tensor.name), tensor_end, n_data);
    if (tensor.n_bytes == 0) continue;
    if (tensor.offset < end)
      fail(ErrorCode::overlap, "{}: tensor {} begins at byte {} of the data, inside another tensor", where,
           printable(tensor.name), tensor.offset);
    if (tensor.offset > end)
      fail(ErrorCode::hole, "{}: {} bytes before tensor {} belong to no tensor", where, tensor.offset - end,
           printable(tensor.name));
    end = tensor_end;
  }
  if (end != n_data) fail(ErrorCode::hole, "{}: the last {} bytes belong to no tensor", where, n_data - end);
}

/// For files whose header cannot be: a pickle gets its own answer. (A good header's length may begin with the same bytes.)
void refuse_pickle(const InputFile& file, const std::string& where) {
  std::array<unsigned char, 4> head{};
  file.read_at(0, std::as_writable_bytes(std::span(head).first(std::min<size_t>(4, file.size()))));
  const bool is_zip = head[0] == 'P' && head[1] == 'K' && head[2] == 3 && head[3] == 4;
  const bool is_pickle = head[0] == 0x80 && head[1] >= 2 && head[1] <= 5;
  if (is_zip || is_pickle)
    fail(ErrorCode::format, "{} is a PyTorch pickle, which can run code when it is read; save the model as safetensors", where);
}

/// A shard's name from an index: a plain file name, and where links lead, still in the folder (or the blobs of its Hub cache).
std::string shard_in_folder(const fs::path& folder, const std::string& name) {
  if (name.empty() || name == "." || name == ".." || name.find_first_of(std::string_view("/\\\0", 3)) != std::string::npos)
    fail(ErrorCode::path, "{}: the index names \"{}\", which is not a plain file name; the checkpoint is damaged or hostile",
         printable(folder.string(), 1024), printable(name));
  const fs::path path = folder / name;
  std::error_code bad_path, bad_folder;
  const fs::path real = fs::canonical(path, bad_path), home = fs::canonical(folder, bad_folder);
  if (bad_path || bad_folder) return path.string();  // opening it will say what is wrong
  const bool in_folder = real.parent_path() == home;
  // The Hub's cache: models--x/snapshots/<revision>/file is a link to models--x/blobs/<hash>.
  const bool in_blobs =
      home.parent_path().filename() == "snapshots" && real.parent_path() == home.parent_path().parent_path() / "blobs";
  if (!in_folder && !in_blobs)
    fail(ErrorCode::path, "{} is a link to {}, outside the checkpoint; copy the file there instead",
         printable(path.string(), 1024), printable(real.string(), 1024));
  return path.string();
}

struct Header {
  std::vector<TensorEntry> tensors;  // offsets are from data_begin; names may repeat, the layout is unchecked
  JsonTree metadata{Json::object()};
  uint64_t data_begin = 0;
};

Header read_header(const InputFile& file) {
  const std::string where = printable(file.path(), 1024);
  if (file.size() < 8)
    fail(ErrorCode::trunc, "{}: {} bytes are too few for a safetensors file; download it again", where, file.size());
  uint64_t n_header = 0;
  file.read_at(0, std::as_writable_bytes(std::span(&n_header, 1)));
  if (n_header < 2 || n_header > kMaxHeader || n_header > file.size() - 8) {
    refuse_pickle(file, where);
    fail(ErrorCode::header, "{}: the header has the length {}; 2 to {} are possible{}", where, n_header,
         std::min(kMaxHeader, file.size() - 8),
         n_header > file.size() - 8 ? "; the file is cut short or not a safetensors file" : "");
  }
  std::string text(static_cast<size_t>(n_header), '\0');
  file.read_at(8, std::as_writable_bytes(std::span(text)));
  if (text[0] != '{') {
    refuse_pickle(file, where);
    fail(ErrorCode::json, "{}: the header does not begin with '{{'; it is not a safetensors file", where);
  }
  if (text.find('\0') != std::string::npos)  // which the JSON library would take for the end
    fail(ErrorCode::json, "{}: the header has a NUL byte; the file is damaged", where);
  Header header;
  HeaderEvents events(where, header.tensors, header.metadata);
  Json::sax_parse(text, &events);
  header.data_begin = (CheckedSize(n_header) + 8).value();
  return header;
}

}  // namespace

SafetensorsFile SafetensorsFile::open(const std::string& path) {
  SafetensorsFile model;
  model.add_file(path);
  return model;
}

void SafetensorsFile::add_file(const std::string& path) {
  const InputFile& file = *files_.emplace_back(std::make_shared<InputFile>(path));
  Header header = read_header(file);
  if (files_.size() == 1) header_metadata_ = std::move(header.metadata);
  const size_t first = tensors_.size();
  for (TensorEntry& tensor : header.tensors) tensor.file = static_cast<int>(files_.size()) - 1;
  add(std::move(header.tensors));
  const std::span<TensorEntry> added = std::span(tensors_).subspan(first);
  check_layout(added, file.size() - header.data_begin, printable(path, 1024));
  for (TensorEntry& tensor : added) tensor.offset = (CheckedSize(tensor.offset) + header.data_begin).value();
}

SafetensorsFile SafetensorsFile::open_folder(const std::string& folder) {
  const fs::path root(folder);
  const std::string shown = printable(folder, 1024);
  std::error_code ignored;
  if (!fs::exists(root, ignored)) fail(ErrorCode::not_found, "cannot open {}: no such folder; check the path", shown);
  if (!fs::is_directory(root, ignored)) fail(ErrorCode::not_file, "{} is not a folder; give a checkpoint's folder", shown);

  const fs::path single = root / "model.safetensors", index = root / "model.safetensors.index.json";
  if (fs::exists(single, ignored)) return open(shard_in_folder(root, "model.safetensors"));
  if (!fs::exists(index, ignored)) {
    for (const auto& entry : fs::directory_iterator(root, ignored)) {
      const std::string extension = entry.path().extension().string();
      if (extension == ".bin" || extension == ".pth" || extension == ".pt" || extension == ".ckpt")
        fail(ErrorCode::format,
             "{} has only PyTorch pickles ({}), which can run code when they are read; save the model as safetensors", shown,
             printable(entry.path().filename().string()));
    }
    fail(ErrorCode::not_found, "{} has neither model.safetensors nor model.safetensors.index.json; is it a checkpoint's folder?",
         shown);
  }

  const std::string where = printable(index.string(), 1024);
  const JsonTree json =
      parse_json(read_text_file(shard_in_folder(root, index.filename().string()), kMaxIndex), where, {kMaxDepth, false});
  const auto map = json.find("weight_map");
  if (!json.is_object() || map == json.end() || !map->is_object() || map->empty())
    fail(ErrorCode::json, "{}: it has no weight_map; download the checkpoint again", where);
  std::set<std::string> names;
  for (const auto& [tensor, name] : map->items()) {
    if (!name.is_string()) fail(ErrorCode::json, "{}: the weight_map of {} is not a file name", where, printable(tensor));
    names.insert(name.get<std::string>());
  }
  SafetensorsFile model;
  std::map<std::string, int> place;
  for (const std::string& name : names) {
    place[name] = static_cast<int>(model.files_.size());
    model.add_file(shard_in_folder(root, name));
  }
  for (const auto& [tensor, name] : map->items()) {
    const TensorEntry* entry = model.find(tensor);
    if (!entry || entry->file != place[name.get<std::string>()])
      fail(ErrorCode::tensor, "{}: {} does not have the tensor {}; download the checkpoint again", where,
           printable(name.get<std::string>()), printable(tensor));
  }
  return model;
}

}  // namespace phial
