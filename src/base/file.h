// Files: positioned reads that cannot fault, read-only maps, and writers whose target appears whole or not at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace phial {

/// Opens a regular file for reading and gives its descriptor and size; NOTFOUND, NOTFILE, PATH or IO otherwise.
int open_regular_file(const std::string& path, uint64_t* size);

/// For tests: called before each open, map and read of a file, from any thread. A negative errno makes it fail, a positive
/// number lets a read give at most that many bytes.
extern std::function<int()> input_fault_hook;

/// A regular file opened for reading. Reads past the end throw TRUNC; FIFOs, folders and devices throw NOTFILE.
class InputFile {
 public:
  explicit InputFile(const std::string& path);
  ~InputFile();
  InputFile(InputFile&&) noexcept;
  InputFile& operator=(InputFile&&) noexcept;

  const std::string& path() const { return path_; }
  uint64_t size() const { return size_; }
  /// Fills `out` from `offset`; safe from several threads at once.
  void read_at(uint64_t offset, std::span<std::byte> out) const;
  /// Tells the kernel that a range will be read soon, or is not needed again.
  void will_need(uint64_t offset, uint64_t size) const;
  void done_with(uint64_t offset, uint64_t size) const;

 private:
  std::string path_;
  uint64_t size_ = 0;
  int fd_ = -1;
};

/// The whole of a small text file; throws LIMIT when it is larger than max_bytes.
std::string read_text_file(const std::string& path, uint64_t max_bytes = 512u << 20);

/// Whether both paths lead to one existing file (links followed).
bool is_same_file(const std::string& a, const std::string& b);

/// A read-only memory map of a whole file. If the file shrinks afterwards, reads give zeros and broken() turns true
/// (a fault handler puts zero pages there); who computes on it checks broken() at the end of a step.
class MappedFile {
 public:
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(MappedFile&&) noexcept;
  MappedFile& operator=(MappedFile&&) noexcept;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  bool broken() const;

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  int slot_ = -1;
};

/// Writes to a temporary file in the folder of `path`; commit() does fsync, rename and fsync of the folder. Without
/// commit, and after a kill, the target is as it was. A folder or a device as the target is refused (NOTFILE), and so is
/// a folder that cannot be written (IO), before anything is written.
class AtomicFile {
 public:
  explicit AtomicFile(const std::string& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);  // at the end of what was written
  void write_at(uint64_t offset, std::span<const std::byte> bytes);
  uint64_t position() const { return position_; }
  /// fsync; the target is still as it was. commit() does it where needed.
  void flush();
  /// flush and close: nothing can be written any more. Frees the descriptor, but a kill from here on leaves a .tmp file.
  void seal();
  void commit();

  /// For tests: called before each write and fsync with its number. A negative errno makes it fail, a positive number
  /// lets at most that many bytes through (a short write).
  static std::function<int(uint64_t)> fault_hook;

 private:
  std::string path_, temporary_;
  uint64_t position_ = 0, n_writes_ = 0;
  uint64_t pushed_ = 0;  // up to here the disk was told to begin
  bool flushed_ = false;
  int fd_ = -1;
};

}  // namespace phial
