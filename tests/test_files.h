// For tests of files: a folder that goes away, bytes in and out, the code of an error, a thread with a small stack.
#pragma once

#include <doctest/doctest.h>
#include <pthread.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include "damage.h"
#include "phial/error.h"

namespace phial::test {

class TempFolder {
 public:
  TempFolder() {
    // In memory where there is room: thousands of fsyncs of a real disk take minutes and show nothing more.
    std::error_code bad;
    const auto space = std::filesystem::space("/dev/shm", bad);
    const bool in_memory = !bad && space.available > (1u << 30);
    std::string pattern = (in_memory ? "/dev/shm" : std::filesystem::temp_directory_path().string()) + "/phial-test-XXXXXX";
    if (!::mkdtemp(pattern.data())) throw std::runtime_error("no temporary folder");
    path_ = pattern;
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }
  size_t n_entries() const {
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(path_), std::filesystem::directory_iterator()));
  }

 private:
  std::string path_;
};

/// The distance between places that are tried, so that `make test` stays short; PHIAL_FAULTS=all tries each.
inline size_t step(size_t otherwise) {
  const char* all = std::getenv("PHIAL_FAULTS");
  return all && std::string(all) == "all" ? 1 : otherwise;
}

inline void write_bytes(const std::string& path, std::string_view bytes) {
  ::unlink(path.c_str());  // some file systems flush to the disk when a file is truncated and written again
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!out.flush()) throw std::runtime_error("cannot write " + path);
}

inline std::string read_bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

/// The code text of the Error that f throws ("TRUNC"), or "none".
template <typename F>
std::string code_of(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    INFO(error.what());
    CHECK(std::string(error.what()).find('\x1b') == std::string::npos);  // messages never steer a terminal
    return error.code_text();
  }
  return "none";
}

template <typename F>
std::string message_of(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

/// Little-endian fields one after the other.
struct Bytes {
  std::string data;

  template <typename T>
  Bytes& put(T value) {
    static_assert(std::is_arithmetic_v<T>);
    data.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  Bytes& text(std::string_view value) {
    put<uint64_t>(value.size());
    data.append(value);
    return *this;
  }
  Bytes& raw(std::string_view value) {
    data.append(value);
    return *this;
  }
};

/// Runs f on a thread with 256 KiB of stack; rethrows what it throws.
inline void on_small_stack(const std::function<void()>& f) {
  struct Call {
    const std::function<void()>& f;
    std::exception_ptr error;
  } call{f, nullptr};
  pthread_attr_t attributes;
  REQUIRE(pthread_attr_init(&attributes) == 0);
  REQUIRE(pthread_attr_setstacksize(&attributes, 256 << 10) == 0);
  pthread_t thread;
  const auto body = [](void* argument) -> void* {
    auto& c = *static_cast<Call*>(argument);
    try {
      c.f();
    } catch (...) {
      c.error = std::current_exception();
    }
    return nullptr;
  };
  REQUIRE(pthread_create(&thread, &attributes, body, &call) == 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
  if (call.error) std::rethrow_exception(call.error);
}

}  // namespace phial::test
