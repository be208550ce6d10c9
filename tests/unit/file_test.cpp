// Files: what is refused, reads of shrinking files, maps that survive them, writers that fail at every step.
#include "base/file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cerrno>
#include <thread>

#include "test_files.h"

using namespace phial;
using namespace phial::test;
namespace fs = std::filesystem;

namespace {

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string open_code(const std::string& path) {
  return code_of([&] { InputFile file(path); });
}

struct FaultHook {
  explicit FaultHook(std::function<int(uint64_t)> hook) { AtomicFile::fault_hook = std::move(hook); }
  ~FaultHook() { AtomicFile::fault_hook = nullptr; }
};

}  // namespace

TEST_CASE("only regular files are opened, the rest is refused at once (A34)") {
  TempFolder folder;
  CHECK(open_code(folder / "absent") == "NOTFOUND");
  CHECK(open_code(folder / "absent/file") == "NOTFOUND");
  CHECK(open_code("") == "NOTFOUND");
  CHECK(open_code(folder.path()) == "NOTFILE");
  CHECK(open_code("/dev/zero") == "NOTFILE");
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK(open_code(folder / "pipe") == "NOTFILE");
  fs::create_symlink("loop", folder / "loop");
  CHECK(open_code(folder / "loop") == "NOTFILE");
  CHECK(open_code(std::string("/dev/null\0x", 11)) == "PATH");
  CHECK(message_of([&] { InputFile file(folder / "a\x1b[31m"); }).find("\\x1b[31m") != std::string::npos);
  CHECK(code_of([&] { MappedFile map(folder / "pipe"); }) == "NOTFILE");
  write_bytes(folder / "empty", "");
  CHECK(open_code(folder / "empty") == "none");
  CHECK(MappedFile(folder / "empty").bytes().empty());
}

TEST_CASE("reads are checked against the size, also when the file shrinks") {
  TempFolder folder;
  write_bytes(folder / "f", std::string(10000, 'x'));
  const InputFile file(folder / "f");
  CHECK(file.size() == 10000);
  std::vector<std::byte> out(100);
  file.read_at(9900, out);
  CHECK(out[99] == std::byte{'x'});
  CHECK(code_of([&] { file.read_at(9901, out); }) == "TRUNC");
  CHECK(code_of([&] { file.read_at(UINT64_MAX - 10, out); }) == "OVERFLOW");
  fs::resize_file(folder / "f", 9950);
  CHECK(code_of([&] { file.read_at(9900, out); }) == "TRUNC");
}

TEST_CASE("text files have a limit") {
  TempFolder folder;
  write_bytes(folder / "t", "hello");
  CHECK(read_text_file(folder / "t") == "hello");
  CHECK(read_text_file(folder / "t", 5) == "hello");
  CHECK(code_of([&] { read_text_file(folder / "t", 4); }) == "LIMIT");
}

TEST_CASE("same files are known through links") {
  TempFolder folder;
  write_bytes(folder / "a", "1");
  write_bytes(folder / "b", "1");
  fs::create_symlink("a", folder / "link");
  fs::create_hard_link(folder / "a", folder / "hard");
  CHECK(is_same_file(folder / "a", folder / "link"));
  CHECK(is_same_file(folder / "a", folder / "hard"));
  CHECK_FALSE(is_same_file(folder / "a", folder / "b"));
  CHECK_FALSE(is_same_file(folder / "a", folder / "absent"));
}

TEST_CASE("a map of a file that shrinks reads zeros and says so (A32)") {
  TempFolder folder;
  const size_t page = static_cast<size_t>(::sysconf(_SC_PAGESIZE)), size = 20 * page + 7;
  write_bytes(folder / "f", std::string(size, 'x'));
  write_bytes(folder / "g", std::string(size, 'y'));
  MappedFile map(folder / "f"), other(folder / "g");
  REQUIRE(map.bytes().size() == size);
  for (const size_t keep : {15 * page, 10 * page + 1, 3 * page, size_t{0}}) {
    fs::resize_file(folder / "f", keep);
    size_t n_kept = 0, n_zero = 0;
    for (const std::byte b : map.bytes()) n_kept += b == std::byte{'x'}, n_zero += b == std::byte{0};
    CHECK(n_kept == keep);
    CHECK(n_zero == size - keep);
    CHECK(map.broken());
  }
  for (const std::byte b : other.bytes()) REQUIRE(b == std::byte{'y'});
  CHECK_FALSE(other.broken());
  const MappedFile moved = std::move(map);
  CHECK(moved.broken());
}

TEST_CASE("100 truncations under concurrent readers leave the process alive") {
  TempFolder folder;
  const size_t page = static_cast<size_t>(::sysconf(_SC_PAGESIZE)), size = 64 * page;
  for (int i = 0; i < 100; ++i) {
    write_bytes(folder / "f", std::string(size, 'x'));
    const MappedFile map(folder / "f");
    uint64_t sums[2] = {};
    std::thread readers[2];
    for (int t = 0; t < 2; ++t)
      readers[t] = std::thread([&, t] {
        for (int round = 0; round < 3; ++round)
          for (const std::byte b : map.bytes()) sums[t] += static_cast<uint64_t>(b);
      });
    fs::resize_file(folder / "f", static_cast<size_t>(i % 8) * page);
    for (std::thread& reader : readers) reader.join();
    CHECK(std::to_integer<int>(map.bytes().back()) == 0);
    CHECK(map.broken());
    CHECK(sums[0] <= 3 * size * 'x');
  }
}

TEST_CASE("a bus error that is not ours goes to the handler before, or ends the process") {
  // In children: signal handlers are of the whole process. The parent may have its handler installed by now or not;
  // either way a foreign fault must end the child by SIGBUS, as without us.
  TempFolder folder;
  write_bytes(folder / "f", std::string(8192, 'x'));
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::signal(SIGBUS, SIG_DFL);
    ::alarm(20);
    const MappedFile map(folder / "f");
    const int fd = ::open((folder / "f").c_str(), O_RDONLY);
    const auto* foreign = static_cast<const volatile char*>(::mmap(nullptr, 8192, PROT_READ, MAP_SHARED, fd, 0));
    fs::resize_file(folder / "f", 0);
    const char seen = foreign[5000];
    ::_exit(seen == 0 ? 1 : 2);  // not reached
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
#if defined(__SANITIZE_ADDRESS__)
  CHECK((WIFSIGNALED(status) || WEXITSTATUS(status) != 0));  // the sanitizer reports it in its own way
#else
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGBUS);
#endif
}

TEST_CASE("an atomic file appears at commit and not before") {
  TempFolder folder;
  const std::string path = folder / "out";
  {
    AtomicFile file(path);
    file.write(bytes_of("hello "));
    file.write(bytes_of("world"));
    file.write_at(0, bytes_of("H"));
    CHECK(file.position() == 11);
    CHECK_FALSE(fs::exists(path));
    file.commit();
    CHECK(read_bytes(path) == "Hello world");
  }
  {
    AtomicFile abandoned(path);
    abandoned.write(bytes_of("other"));
    abandoned.seal();
  }
  CHECK(read_bytes(path) == "Hello world");
  CHECK(folder.n_entries() == 1);
}

TEST_CASE("targets that cannot become a file are refused before anything is written (F03)") {
  TempFolder folder;
  const auto code = [](const std::string& path) { return code_of([&] { AtomicFile file(path); }); };
  CHECK(code(folder.path()) == "NOTFILE");
  CHECK(code("/dev/null") == "NOTFILE");
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK(code(folder / "pipe") == "NOTFILE");
  CHECK(code(folder / "no/such/folder/file") == "NOTFOUND");
  CHECK(code("") == "NOTFOUND");
  fs::create_symlink("loop", folder / "loop");
  CHECK(code(folder / "loop") == "NOTFILE");
  CHECK(folder.n_entries() == 2);
  if (::geteuid() != 0) {
    fs::create_directory(folder / "locked");
    ::chmod((folder / "locked").c_str(), 0500);
    CHECK(code(folder / "locked/file") == "IO");
  } else {
    CHECK(code("/proc/phial-test") != "none");  // no file can be made there, by nobody
  }
}

TEST_CASE("a link as the target is written through, and the mode of the old file stays") {
  TempFolder folder;
  write_bytes(folder / "real", "old");
  ::chmod((folder / "real").c_str(), 0640);
  fs::create_symlink("real", folder / "link");
  AtomicFile file(folder / "link");
  file.write(bytes_of("new"));
  file.commit();
  CHECK(read_bytes(folder / "real") == "new");
  CHECK(fs::is_symlink(folder / "link"));
  struct stat st;
  REQUIRE(::stat((folder / "real").c_str(), &st) == 0);
  CHECK((st.st_mode & 0777) == 0640);
}

TEST_CASE("a write or fsync that fails at any step leaves the old file (F01)") {
  TempFolder folder;
  const std::string path = folder / "out";
  write_bytes(path, "old");
  const auto write_all = [&] {
    AtomicFile file(path);
    for (int i = 0; i < 8; ++i) file.write(bytes_of("0123456789"));
    file.commit();
  };
  constexpr uint64_t kSteps = 9;  // 8 writes and the fsync
  for (const int error : {ENOSPC, EIO, EDQUOT}) {
    for (uint64_t k = 0; k < kSteps; ++k) {
      FaultHook hook([&](uint64_t i) { return i == k ? -error : 0; });
      CHECK(code_of(write_all) == "IO");
      CHECK(read_bytes(path) == "old");
      CHECK(folder.n_entries() == 1);
    }
  }
  SUBCASE("interrupted and short writes are repeated") {
    FaultHook hook([](uint64_t i) { return i % 3 == 0 ? -EINTR : i % 3 == 1 ? 1 : 4; });
    write_all();
    std::string want;
    for (int i = 0; i < 8; ++i) want += "0123456789";
    CHECK(read_bytes(path) == want);
  }
}

TEST_CASE("two writers of one target: the last to commit wins, whole") {
  TempFolder folder;
  AtomicFile a(folder / "out"), b(folder / "out");
  a.write(bytes_of("aaaa"));
  b.write(bytes_of("bb"));
  b.commit();
  a.commit();
  CHECK(read_bytes(folder / "out") == "aaaa");
  CHECK(folder.n_entries() == 1);
}
