// Positioned reads of regular files, and writers whose target appears whole or not at all. POSIX calls; every call that
// may be interrupted or do less than asked is repeated.
#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/checked.h"
#include "base/fail.h"
#include "phial/text_file.h"

namespace phial {
namespace {

constexpr size_t kMaxPathShown = 1024;
constexpr size_t kMaxTransfer = 1u << 30;  // Linux moves at most about 2 GiB per call
constexpr uint64_t kPushBytes = 32u << 20;

std::string shown(const std::string& path) { return printable(path, kMaxPathShown); }

std::string error_text(int number) { return std::strerror(number); }

[[noreturn]] void fail_open(const std::string& path, int number) {
  switch (number) {
    case ENOENT:
    case ENOTDIR:
      fail(ErrorCode::not_found, "cannot open {}: no such file; check the path", shown(path));
    case ELOOP:
      fail(ErrorCode::not_file, "cannot open {}: symbolic links form a loop", shown(path));
    case ENXIO:
    case ENODEV:
    case EISDIR:
      fail(ErrorCode::not_file, "cannot open {}: not a regular file", shown(path));
    default:
      fail(ErrorCode::io, "cannot open {}: {}", shown(path), error_text(number));
  }
}

const char* kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a folder";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISSOCK(mode)) return "a socket";
  if (S_ISCHR(mode) || S_ISBLK(mode)) return "a device";
  return "not a regular file";
}

void check_path(const std::string& path) {
  if (path.empty()) fail(ErrorCode::not_found, "cannot open a file: the path is empty");
  if (path.find('\0') != std::string::npos) fail(ErrorCode::path, "cannot open {}: the path has a NUL byte", shown(path));
}

}  // namespace

std::function<int()> input_fault_hook;

int open_regular_file(const std::string& path, uint64_t* size) {
  check_path(path);
  int fd;
  // O_NONBLOCK: a pipe without a writer would hang the open; it changes nothing for regular files.
  do {
    const int fault = input_fault_hook ? input_fault_hook() : 0;
    errno = -fault;
    fd = fault < 0 ? -1 : ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) fail_open(path, errno);
  struct stat st;
  if (::fstat(fd, &st) != 0) {
    const int number = errno;
    ::close(fd);
    fail(ErrorCode::io, "cannot examine {}: {}", shown(path), error_text(number));
  }
  if (!S_ISREG(st.st_mode)) {
    ::close(fd);
    fail(ErrorCode::not_file, "cannot read {}: it is {}; give a regular file", shown(path), kind_of(st.st_mode));
  }
  *size = static_cast<uint64_t>(st.st_size);
  return fd;
}

InputFile::InputFile(const std::string& path) : path_(path) { fd_ = open_regular_file(path, &size_); }

InputFile::~InputFile() {
  if (fd_ >= 0) ::close(fd_);
}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)), size_(std::exchange(other.size_, 0)), fd_(std::exchange(other.fd_, -1)) {}

InputFile& InputFile::operator=(InputFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(size_, other.size_);
  std::swap(fd_, other.fd_);
  return *this;
}

void InputFile::read_at(uint64_t offset, std::span<std::byte> out) const {
  const uint64_t end = (CheckedSize(offset) + out.size()).value();
  if (end > size_)
    fail(ErrorCode::trunc, "{}: {} bytes at offset {} were asked for, but the file ends at {}; it may be cut short", shown(path_),
         out.size(), offset, size_);
  size_t done = 0;
  while (done < out.size()) {
    const int fault = input_fault_hook ? input_fault_hook() : 0;
    const size_t most = fault > 0 ? std::min(kMaxTransfer, static_cast<size_t>(fault)) : kMaxTransfer;
    errno = -fault;
    const ssize_t n =
        fault < 0 ? -1 : ::pread(fd_, out.data() + done, std::min(out.size() - done, most), static_cast<off_t>(offset + done));
    if (n > 0) {
      done += static_cast<size_t>(n);
    } else if (n == 0) {
      fail(ErrorCode::trunc, "{}: the file shrank while it was read (at offset {})", shown(path_), offset + done);
    } else if (errno != EINTR) {
      fail(ErrorCode::io, "{}: reading {} bytes at offset {}: {}", shown(path_), out.size(), offset, error_text(errno));
    }
  }
}

void InputFile::will_need(uint64_t offset, uint64_t size) const {
  ::posix_fadvise(fd_, static_cast<off_t>(offset), static_cast<off_t>(size), POSIX_FADV_WILLNEED);
}

void InputFile::done_with(uint64_t offset, uint64_t size) const {
  ::posix_fadvise(fd_, static_cast<off_t>(offset), static_cast<off_t>(size), POSIX_FADV_DONTNEED);
}

std::string read_text_file(const std::string& path, uint64_t max_bytes) {
  InputFile file(path);
  if (file.size() > max_bytes)
    fail(ErrorCode::limit, "{} has {} bytes, more than the {} that are read from such a file", shown(path), file.size(),
         max_bytes);
  std::string text(file.size(), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(text)));
  return text;
}

bool is_same_file(const std::string& a, const std::string& b) {
  struct stat sa, sb;
  return ::stat(a.c_str(), &sa) == 0 && ::stat(b.c_str(), &sb) == 0 && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

std::function<int(uint64_t)> AtomicFile::fault_hook;

namespace {

/// A name beside `path` that no other writer, thread or process, uses.
std::string temporary_name(const std::string& path) {
  static std::atomic<uint64_t> counter{0};
  return fmt::format("{}.{}-{}.tmp", path, ::getpid(), counter.fetch_add(1));
}

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

/// True when `fd`, a file without a name, can later be given one.
bool can_be_named(int fd) {
  char name[32];  // no allocation: the constructor that calls this could not close the file
  std::snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
  struct stat st;
  return ::stat(name, &st) == 0;
}

}  // namespace

AtomicFile::AtomicFile(const std::string& path) : path_(path) {
  check_path(path);
  std::error_code ignored;
  // Through a symbolic link to what it names: renaming over the link would leave the old data behind it.
  if (std::filesystem::is_symlink(path_, ignored)) {
    std::error_code bad;
    path_ = std::filesystem::weakly_canonical(path_, bad).string();
    if (bad) fail(ErrorCode::not_file, "cannot write {}: {}", shown(path), bad.message());
  }
  mode_t mode = 0666;
  struct stat st;
  const bool exists = ::stat(path_.c_str(), &st) == 0;
  if (exists) {
    if (!S_ISREG(st.st_mode))
      fail(ErrorCode::not_file, "cannot write {}: it is {}; give the name of a file", shown(path), kind_of(st.st_mode));
    mode = st.st_mode & 0777;
  }
  const std::string folder = folder_of(path_);
  // A file without a name vanishes when the process is killed. Where the file system has none, one with a name serves.
  fd_ = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
  if (fd_ >= 0 && !can_be_named(fd_)) {
    ::close(fd_);
    fd_ = -1;
  }
  if (fd_ < 0) {
    temporary_ = temporary_name(path_);
    fd_ = ::open(temporary_.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd_ < 0) {
      const int number = errno;
      temporary_.clear();
      if (number == ENOENT || number == ENOTDIR)
        fail(ErrorCode::not_found, "cannot write {}: there is no folder {}; make it first", shown(path), shown(folder));
      fail(ErrorCode::io, "cannot write {}: {} (the new file is written beside the target, so its folder must allow it)",
           shown(path), error_text(number));
    }
  }
  if (exists) (void)::fchmod(fd_, mode);  // the umask may have taken bits the old file has
}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) { write_at(position_, bytes); }

void AtomicFile::write_at(uint64_t offset, std::span<const std::byte> bytes) {
  PHIAL_CHECK(fd_ >= 0);
  flushed_ = false;
  size_t done = 0;
  while (done < bytes.size()) {
    size_t n_asked = std::min(bytes.size() - done, kMaxTransfer);
    ssize_t n = 0;
    const int fault = fault_hook ? fault_hook(n_writes_) : 0;
    ++n_writes_;
    if (fault < 0) {
      n = -1;
      errno = -fault;
    } else {
      if (fault > 0) n_asked = std::min(n_asked, static_cast<size_t>(fault));
      n = ::pwrite(fd_, bytes.data() + done, n_asked, static_cast<off_t>(offset + done));
    }
    if (n > 0) {
      done += static_cast<size_t>(n);
    } else if (n == 0 || errno != EINTR) {
      fail(ErrorCode::io, "writing {} (at offset {}): {}; the target is as it was", shown(path_), offset + done,
           n == 0 ? "nothing was written" : error_text(errno));
    }
  }
  position_ = std::max(position_, offset + done);
  // The disk begins now, not at commit: a long run of encoding hides most of the writing. Only a hint, so errors are left to
  // fsync.
  if (position_ - pushed_ >= kPushBytes) {
    (void)::sync_file_range(fd_, static_cast<off64_t>(pushed_), static_cast<off64_t>(position_ - pushed_), SYNC_FILE_RANGE_WRITE);
    pushed_ = position_;
  }
}

void AtomicFile::flush() {
  if (flushed_) return;
  const int fault = fault_hook ? fault_hook(n_writes_) : 0;
  ++n_writes_;
  int number = fault < 0 && fault != -EINTR ? -fault : 0;
  while (number == 0 && ::fsync(fd_) != 0) {
    if (errno != EINTR) number = errno;
  }
  if (number != 0) fail(ErrorCode::io, "writing {}: {}; the target is as it was", shown(path_), error_text(number));
  flushed_ = true;
}

void AtomicFile::seal() {
  if (fd_ < 0) return;
  flush();
  if (temporary_.empty()) {
    std::string name = temporary_name(path_);
    if (::linkat(AT_FDCWD, fmt::format("/proc/self/fd/{}", fd_).c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) != 0)
      fail(ErrorCode::io, "writing {}: {}; the target is as it was", shown(path_), error_text(errno));
    temporary_ = std::move(name);  // from here on the destructor removes it
  }
  ::close(std::exchange(fd_, -1));
}

void AtomicFile::commit() {
  seal();
  PHIAL_CHECK(!temporary_.empty());
  const std::string parent = folder_of(path_);  // nothing may fail after the rename
  if (::rename(temporary_.c_str(), path_.c_str()) != 0)
    fail(ErrorCode::io, "cannot give {} its name: {}; the target is as it was", shown(path_), error_text(errno));
  temporary_.clear();
  // The rename is done; a folder that cannot be synced (some network file systems) does not undo it.
  const int folder = ::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) {
    ::fsync(folder);
    ::close(folder);
  }
}

void write_text_file(const std::string& path, std::string_view text) {
  AtomicFile file(path);
  file.write(std::as_bytes(std::span(text)));
  file.commit();
}

}  // namespace phial
