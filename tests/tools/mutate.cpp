// mutate [--target NAME] [--count N] [--seconds S] [--seed K] [--save FILE]: damages the seeds of the fuzzers' targets and
// runs them, all in this process. Prints how many were tried and how they ended. Ends with 1, and writes the input to FILE,
// at an exception that is no typed error, a signal, more than a second of processor time, or a heap above four times the
// input and 64 MiB.
#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <map>
#include <new>
#include <random>
#include <string>

#include "../damage.h"
#include "../fuzz/targets.h"
#include "phial/error.h"

namespace {

size_t heap_now = 0, heap_peak = 0;  // of operator new; the targets run on one thread

void* counted(size_t size) {
  void* p = std::malloc(size ? size : 1);
  if (!p) throw std::bad_alloc();
  heap_now += malloc_usable_size(p);
  heap_peak = std::max(heap_peak, heap_now);
  return p;
}
void uncounted(void* p) {
  if (p) heap_now -= malloc_usable_size(p);
  std::free(p);
}

std::string current;
const char* save_path = "mutate-failure";

void save_current() { std::ofstream(save_path, std::ios::binary) << current; }

void on_signal(int number) {
  // Not async-signal-safe, but the process is lost anyway and the input is what counts.
  save_current();
  std::fprintf(stderr, "signal %d; the input is in %s\n", number, save_path);
  _exit(1);
}

double processor_seconds() {
  timespec t;
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

/// Begin and end of the identifier or number at or behind a place; empty at the end when there is none.
std::pair<size_t, size_t> word_at(const std::string& text, size_t at) {
  while (at < text.size() && !is_word(text[at])) ++at;
  while (at > 0 && at < text.size() && is_word(text[at - 1])) --at;
  size_t end = at;
  while (end < text.size() && is_word(text[end])) ++end;
  return {at, end};
}

/// One change that leaves most of the structure: inputs that pass the first checks find faults behind them.
void change_gently(std::string& text, const std::vector<std::string>& seeds, const std::vector<std::string>& words,
                   std::mt19937_64& random) {
  static const char* const kNumbers[] = {"0", "1", "-1", "127", "4294967295", "1e9", "0.5", "18446744073709551615", "true"};
  if (text.empty()) return;
  const size_t at = random() % text.size();
  switch (random() % (words.empty() ? 3 : 7)) {
    case 0:
      text[at] = static_cast<char>(text[at] ^ (1 << random() % 8));
      break;
    case 1:
      text[at] = static_cast<char>(static_cast<uint8_t>(text[at]) + random() % 5 - 2);
      break;
    case 2: {  // the same bytes from elsewhere
      const std::string& other = seeds[random() % seeds.size()];
      const size_t from = random() % other.size(),
                   n = std::min({size_t{1} + random() % 24, text.size() - at, other.size() - from});
      text.replace(at, n, other, from, n);
      break;
    }
    case 3: {  // a word of the seeds for a word
      const std::string& other = seeds[random() % seeds.size()];
      const auto [from, to] = word_at(other, random() % other.size());
      const auto [begin, end] = word_at(text, at);
      text.replace(begin, end - begin, other.substr(from, to - from));
      break;
    }
    case 4: {
      const auto [begin, end] = word_at(text, at);
      text.replace(begin, end - begin, kNumbers[random() % std::size(kNumbers)]);
      break;
    }
    case 5:
      text.insert(at, words[random() % words.size()]);
      break;
    default: {  // a bracketed group twice, or not at all
      const size_t open = text.find_first_of("{[(", at);
      if (open == std::string::npos) break;
      const size_t close = text.find_first_of("}])", open);
      if (close == std::string::npos) break;
      const std::string group = text.substr(open, close + 1 - open);
      if (random() % 2)
        text.insert(open, group + ",");
      else
        text.erase(open, group.size());
    }
  }
}

std::string mutated(const std::vector<std::string>& seeds, const std::vector<std::string>& words, std::mt19937_64& random) {
  std::string text = seeds[random() % seeds.size()];
  if (random() % 4 > 0) {
    for (auto n = 1 + random() % 4; n-- > 0;) change_gently(text, seeds, words, random);
    return text;
  }
  if (random() % 4 == 0) {  // the end of another seed
    const std::string& other = seeds[random() % seeds.size()];
    text.replace(random() % (text.size() + 1), std::string::npos, other, random() % (other.size() + 1), std::string::npos);
  }
  return phial::test::damaged(std::move(text), random);
}

/// A safetensors header whose length is right again.
void repair_length(std::string& text) {
  const size_t end = text.rfind('}');
  if (end == std::string::npos || end < 8) return;
  const uint64_t n = end + 1 - 8;
  std::memcpy(text.data(), &n, 8);
}

struct Totals {
  uint64_t n = 0, accepted = 0;
  std::map<std::string, uint64_t> codes;
  double seconds = 0, slowest = 0;
  size_t most_heap = 0;
};

bool try_one(const phial::fuzz::Target& target, Totals& totals) {
  const size_t before = heap_now;
  heap_peak = heap_now;
  const double start = processor_seconds();
  std::string ended = "accepted";
  try {
    target.run(current);
    ++totals.accepted;
  } catch (const phial::Error& error) {
    ended = error.code_text();
    ++totals.codes[ended];
    if (error.code() == phial::ErrorCode::internal || error.code() == phial::ErrorCode::no_memory) {
      std::fprintf(stderr, "%s: %s: %s\n", target.name, ended.c_str(), error.what());
      return false;
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: an exception that is no typed error: %s\n", target.name, error.what());
    return false;
  }
  const double took = processor_seconds() - start;
  const size_t heap = heap_peak - before;
  ++totals.n;
  totals.slowest = std::max(totals.slowest, took);
  totals.most_heap = std::max(totals.most_heap, heap);
  if (took > 1.0) std::fprintf(stderr, "%s: %.2f s of processor time (%s)\n", target.name, took, ended.c_str());
  if (heap > 4 * current.size() + (64u << 20)) {
    std::fprintf(stderr, "%s: %zu bytes of heap for %zu of input (%s)\n", target.name, heap, current.size(), ended.c_str());
    return false;
  }
  return took <= 1.0;
}

}  // namespace

void* operator new(size_t size) { return counted(size); }
void* operator new[](size_t size) { return counted(size); }
void operator delete(void* p) noexcept { uncounted(p); }
void operator delete[](void* p) noexcept { uncounted(p); }
void operator delete(void* p, size_t) noexcept { uncounted(p); }
void operator delete[](void* p, size_t) noexcept { uncounted(p); }

int main(int argc, char** argv) {
  std::string only;
  uint64_t count = 10'000, seed = 1;
  double seconds = 1e9;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i];
    if (flag == "--target") only = argv[i + 1];
    if (flag == "--count") count = std::strtoull(argv[i + 1], nullptr, 10);
    if (flag == "--seconds") seconds = std::strtod(argv[i + 1], nullptr);
    if (flag == "--seed") seed = std::strtoull(argv[i + 1], nullptr, 10);
    if (flag == "--save") save_path = argv[i + 1];
  }
  for (const int number : {SIGSEGV, SIGABRT, SIGFPE, SIGILL, SIGBUS, SIGALRM}) ::signal(number, on_signal);
  bool any = false;
  for (const phial::fuzz::Target& target : phial::fuzz::targets()) {
    if (!only.empty() && only != target.name) continue;
    any = true;
    const std::vector<std::string> seeds = target.seeds();
    for (const std::string& one : seeds) {  // also makes the tables that are made once
      current = one;
      phial::fuzz::run(target.name, reinterpret_cast<const unsigned char*>(one.data()), one.size());
    }
    std::mt19937_64 random(seed);
    Totals totals;
    const double start = processor_seconds();
    while (totals.n < count && totals.seconds < seconds) {
      if (totals.n % 512 == 0) ::alarm(60);
      current = mutated(seeds, target.dictionary(), random);
      if (std::strcmp(target.name, "safetensors") == 0 && random() % 4 > 0) repair_length(current);
      if (!try_one(target, totals)) {
        save_current();
        std::fprintf(stderr, "the input is in %s\n", save_path);
        return 1;
      }
      totals.seconds = processor_seconds() - start;
    }
    std::printf("%s: %llu inputs, %llu accepted, %.0f s, slowest %.3f s, most heap %.1f MiB;", target.name,
                static_cast<unsigned long long>(totals.n), static_cast<unsigned long long>(totals.accepted), totals.seconds,
                totals.slowest, static_cast<double>(totals.most_heap) / (1 << 20));
    for (const auto& [code, n] : totals.codes) std::printf(" %s %llu", code.c_str(), static_cast<unsigned long long>(n));
    std::printf("\n");
    std::fflush(stdout);
  }
  if (!any) return 2;
  rusage usage;
  ::getrusage(RUSAGE_SELF, &usage);
  std::printf("peak resident memory %.0f MiB\n", static_cast<double>(usage.ru_maxrss) / 1024);
  return 0;
}
