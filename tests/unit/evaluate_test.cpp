// Rows of logits, statistics, files of log-probabilities and of tasks.
#include "phial/evaluate.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <random>

#include "engine/log_prob_file.h"
#include "engine/statistics.h"
#include "test_files.h"

using namespace phial;
using namespace phial::test;

namespace {

std::vector<float> random_logits(size_t n, uint32_t seed, float spread = 4) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 1);
  std::vector<float> x(n);
  for (float& v : x) v = spread * normal(random);
  return x;
}

std::vector<double> log_softmax(std::span<const float> x) {
  double top = x[0], sum = 0;
  for (float v : x) top = std::max<double>(top, v);
  for (float v : x) sum += std::exp(v - top);
  std::vector<double> out;
  for (float v : x) out.push_back(v - top - std::log(sum));
  return out;
}

const Tokenizer& tiny_tokenizer() {
  static const auto t = Tokenizer::open(std::string(PHIAL_SOURCE_DIR) + "/models/phial-tiny");
  return *t;
}

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

}  // namespace

TEST_CASE("log-probabilities of a row") {
  for (size_t n : {1, 2, 15, 16, 17, 511, 512, 513, 4072, 32064}) {
    CAPTURE(n);
    const auto x = random_logits(n, static_cast<uint32_t>(n));
    const auto want = log_softmax(x);
    const RowSummary s = summarize(x);
    double worst = 0;
    for (size_t i = 0; i < n; ++i) worst = std::max(worst, std::fabs(s.log_prob(x[i]) - want[i]));
    CHECK(worst < 2e-6);
    CHECK(index_of_max(x) == static_cast<size_t>(std::max_element(x.begin(), x.end()) - x.begin()));
  }
  CHECK(index_of_max(std::vector<float>{1, 3, 3, 2}) == 1);
  CHECK(index_of_max(std::vector<uint16_t>{1, 65535, 65535}) == 1);
}

TEST_CASE("what is not finite shows in the sum") {
  for (size_t at : {0, 5, 99}) {
    auto x = random_logits(100, 1);
    x[at] = kNan;
    CHECK(std::isnan(summarize(x).log_sum));
    x[at] = kInfinity;
    CHECK(std::isnan(summarize(x).log_sum));
    x[at] = -kInfinity;  // a token that cannot come
    CHECK(std::isfinite(summarize(x).log_sum));
  }
  CHECK(std::isnan(summarize(std::vector<float>(40, -kInfinity)).log_sum));
}

TEST_CASE("sixteen bits keep a row to half a step") {
  for (float spread : {0.0f, 0.01f, 1.0f, 5.0f}) {
    CAPTURE(spread);
    auto x = random_logits(1000, 3, spread);
    if (spread > 1) x[7] = -kInfinity;
    const RowSummary s = summarize(x);
    std::vector<uint16_t> levels(x.size());
    const QuantizedRow row = quantize_row(x, s, levels);
    CHECK(row.scale <= 16.0f / 65535 * 1.0001f);
    double worst = 0;
    for (size_t i = 0; i < x.size(); ++i)
      if (x[i] > s.max - 16) worst = std::max(worst, std::fabs(row.log_prob(i) - s.log_prob(x[i])));
    CHECK(worst <= row.scale * 0.501 + 3e-6);
    if (spread > 0) CHECK(levels[index_of_max(x)] == 65535);
    if (spread > 1) CHECK(levels[7] == 0);
    CHECK(std::fabs(divergence(row, x, s)) < 1e-5);
  }
}

TEST_CASE("divergence by its definition") {
  for (size_t n : {3, 100, 4072}) {
    const auto a = random_logits(n, 5), b = random_logits(n, 6);
    std::vector<uint16_t> levels(n);
    const QuantizedRow base = quantize_row(a, summarize(a), levels);
    const auto lb = log_softmax(b);
    double want = 0;
    for (size_t i = 0; i < n; ++i) {
      const double p = base.log_prob(i);
      if (p > -16) want += std::exp(p) * (p - lb[i]);
    }
    CHECK(divergence(base, b, summarize(b)) == doctest::Approx(want).epsilon(1e-5));
  }
}

TEST_CASE("means, errors, shares and quantiles") {
  Moments m;
  CHECK(m.estimate().value == 0);
  for (double x : {1.0, 2.0, 4.0, 9.0}) m.add(x);
  CHECK(m.estimate().value == 4);
  CHECK(m.estimate().error == doctest::Approx(std::sqrt(38.0 / 4 / 3)));  // mean square distance 38 / 4
  CHECK(exp_of({std::log(10.0), 0.5}).value == doctest::Approx(10));
  CHECK(exp_of({std::log(10.0), 0.5}).error == doctest::Approx(5));
  CHECK(share_of(3, 4).value == 0.75);
  CHECK(share_of(3, 4).error == doctest::Approx(0.25));
  CHECK(share_of(0, 0).error == 0);
  const std::vector<float> v = {1, 2, 4, 8};
  CHECK(quantile(v, 0) == 1);
  CHECK(quantile(v, 1) == 8);
  CHECK(quantile(v, 0.5) == 3);
  CHECK(quantile(v, 0.9) == doctest::Approx(6.8));
  CHECK(quantile(std::vector<float>{5}, 0.3) == 5);
}

namespace {

constexpr int32_t kContext = 8, kVocab = 5, kChunks = 2;  // rows of an odd vocabulary end with one unused word

/// The file by its published layout, written without the library.
std::string base_file(int32_t n_context = kContext, int32_t vocab = kVocab, int32_t n_chunks = kChunks) {
  Bytes b;
  b.raw("_logits_").put(n_context).put(vocab).put(n_chunks);
  for (int i = 0; i < kContext * kChunks; ++i) b.put<int32_t>(i % kVocab);
  for (int row = 0; row < (kContext - 1 - kContext / 2) * kChunks; ++row) {
    b.put(1.0f / 8192).put(-8.5f);
    for (int i = 0; i < kVocab; ++i) b.put<uint16_t>(static_cast<uint16_t>(9000 * i + row));
    b.put<uint16_t>(0);
  }
  return b.data;
}

std::string read_all(const std::string& path) {
  return code_of([&] {
    const LogProbFile file(path);
    LogProbRows rows(scored_of(file.info().n_context), file.info().vocab_size);
    for (int64_t c = 0; c < file.info().n_chunks; ++c) file.read(c, rows);
  });
}

}  // namespace

TEST_CASE("a file of log-probabilities by its layout") {
  TempFolder folder;
  const std::string path = folder / "base.kld";
  write_bytes(path, base_file());
  const LogProbFile file(path);
  CHECK(file.info().n_context == kContext);
  CHECK(file.info().vocab_size == kVocab);
  CHECK(file.info().n_chunks == kChunks);
  CHECK(file.tokens(1)[0] == 8 % kVocab);
  LogProbRows rows(3, kVocab);
  file.read(1, rows);
  CHECK(rows.row(2).levels[4] == 36000 + 5);
  CHECK(rows.row(2).log_prob(4) == doctest::Approx(36005 / 8192.0 - 8.5));
}

TEST_CASE("what is written is what the layout says") {
  TempFolder folder;
  const std::string path = folder / "base.kld";
  std::vector<int32_t> tokens(kContext * kChunks, 3);
  std::vector<std::vector<float>> logits;
  {
    LogProbWriter writer(path, {kContext, kVocab, kChunks}, tokens);
    for (int c = 0; c < kChunks; ++c) {
      LogProbRows rows(3, kVocab);
      for (int i = 0; i < 3; ++i) {
        logits.push_back(random_logits(kVocab, static_cast<uint32_t>(10 * c + i)));
        rows.put(i, logits.back(), summarize(logits.back()));
      }
      writer.write(rows);
    }
    CHECK_FALSE(std::filesystem::exists(path));  // it appears whole
    writer.commit();
  }
  const std::string bytes = read_bytes(path);
  constexpr size_t kRow = 8 + 2 * 6;
  REQUIRE(bytes.size() == 20 + 4 * kContext * kChunks + kRow * 3 * kChunks);
  CHECK(bytes.substr(0, 20) == Bytes().raw("_logits_").put(kContext).put(kVocab).put(kChunks).data);
  for (size_t r = 0; r < logits.size(); ++r) {
    const char* row = bytes.data() + 20 + 4 * kContext * kChunks + r * kRow;
    float scale, minimum;
    std::memcpy(&scale, row, 4);
    std::memcpy(&minimum, row + 4, 4);
    const auto want = log_softmax(logits[r]);
    for (size_t i = 0; i < kVocab; ++i) {
      uint16_t level;
      std::memcpy(&level, row + 8 + 2 * i, 2);
      CHECK(std::fabs(scale * level + minimum - want[i]) <= scale);
    }
    CHECK(row[kRow - 2] == 0);
    CHECK(row[kRow - 1] == 0);
  }
  CHECK(read_all(path) == "none");
}

TEST_CASE("bad files of log-probabilities") {
  TempFolder folder;
  const std::string path = folder / "base.kld", good = base_file();
  for (size_t n = 0; n < good.size(); ++n) {
    CAPTURE(n);
    write_bytes(path, good.substr(0, n));
    CHECK(read_all(path) == (n == 0 ? "MAGIC" : "TRUNC"));
  }
  write_bytes(path, good + "x");
  CHECK(read_all(path) == "COUNT");
  write_bytes(path, "_logitz_" + good.substr(8));
  CHECK(read_all(path) == "MAGIC");
  for (const auto& [context, vocab, chunks] :
       {std::array{0, 5, 2}, {2, 5, 2}, {-8, 5, 2}, {8, 0, 2}, {8, -5, 2}, {8, 5, 0}, {8, 5, -1}, {INT32_MIN, 5, 2}}) {
    write_bytes(path, base_file(context, vocab, chunks));
    CHECK(read_all(path) == "HEADER");
  }
  for (const auto& [context, vocab, chunks] :
       {std::array{8, 5, INT32_MAX}, {INT32_MAX, INT32_MAX, INT32_MAX}, {INT32_MAX, 5, 1}}) {
    write_bytes(path, base_file(context, vocab, chunks));
    const std::string code = read_all(path);
    CHECK((code == "TRUNC" || code == "OVERFLOW"));
  }
  const auto patched = [&](size_t at, auto value) {
    std::string bytes = good;
    std::memcpy(bytes.data() + at, &value, sizeof value);
    write_bytes(path, bytes);
    return read_all(path);
  };
  CHECK(patched(20, kVocab) == "TOKEN");
  CHECK(patched(24, int32_t{-1}) == "TOKEN");
  const size_t row = 20 + 4 * kContext * kChunks;
  CHECK(patched(row, kNan) == "NAN");
  CHECK(patched(row + 4, -kInfinity) == "NAN");
  CHECK(patched(row, -1.0f) == "HEADER");
  CHECK(patched(row + 4, 1.0f) == "HEADER");  // a probability above 1
  CHECK(patched(row, 1e30f) == "HEADER");
  CHECK(read_all(folder / "none") == "NOTFOUND");
  CHECK(read_all(folder.path()) == "NOTFILE");
  // One bit at a time: an error or numbers, nothing else.
  size_t n_errors = 0;
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bytes = good;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    write_bytes(path, bytes);
    n_errors += read_all(path) != "none";
  }
  CHECK(n_errors >= 20 * 8);
}

namespace {

/// Task i begins with "Number <i>:"; the right ending is the one with "right".
std::string hellaswag_text(int n) {
  std::string text;
  for (int i = 0; i < n; ++i) {
    text += "Number " + std::to_string(i) + ": the cat\n" + std::to_string(i % 4) + "\n";
    for (int j = 0; j < 4; ++j) text += (j == i % 4 ? "is right here.\n" : "sits on mat " + std::to_string(j) + ".\n");
  }
  return text;
}

std::string text_of(const ChoiceTask::Choice& c) { return tiny_tokenizer().decode(c.tokens); }

std::string scored_text(const ChoiceTask::Choice& c) {
  return tiny_tokenizer().decode(std::span(c.tokens).subspan(static_cast<size_t>(c.begin), static_cast<size_t>(c.end - c.begin)));
}

int number_of(const ChoiceTask& task) {
  return std::stoi(text_of(task.choices[0]).substr(text_of(task.choices[0]).find("Number ") + 7));
}

}  // namespace

TEST_CASE("HellaSwag tasks") {
  const ChoiceTasks all = hellaswag_tasks(tiny_tokenizer(), hellaswag_text(10));
  CHECK(all.n_in_file == 10);
  REQUIRE(all.tasks.size() == 10);
  for (const ChoiceTask& task : all.tasks) {
    REQUIRE(task.choices.size() == 4);
    for (const auto& c : task.choices) {
      CHECK(c.right == (text_of(c).find("is right here.") != std::string::npos));
      CHECK(text_of(c).find(": the cat ") != std::string::npos);
      CHECK(scored_text(c).find("cat") == std::string::npos);
      CHECK(c.end == std::ssize(c.tokens));
    }
  }
  // mt19937 with seed 1 begins with 1791095845, 4282876139, 3093770124: places 4 of 10, 8 of the 9 left, 5 of the 8 left.
  const ChoiceTasks some = hellaswag_tasks(tiny_tokenizer(), hellaswag_text(10), 3);
  REQUIRE(some.tasks.size() == 3);
  CHECK(number_of(some.tasks[0]) == 4);
  CHECK(number_of(some.tasks[1]) == 9);
  CHECK(number_of(some.tasks[2]) == 6);
  std::string text = hellaswag_text(2);
  text.pop_back();
  CHECK(hellaswag_tasks(tiny_tokenizer(), text).tasks.size() == 2);
  CHECK(code_of([&] { hellaswag_tasks(tiny_tokenizer(), text + "\nmore"); }) == "HEADER");
  CHECK(code_of([&] { hellaswag_tasks(tiny_tokenizer(), ""); }) == "HEADER");
  for (const char* right : {"", "4", "-1", "00", "x"})
    CHECK(code_of([&] { hellaswag_tasks(tiny_tokenizer(), "The cat\n" + std::string(right) + "\na\nb\nc\nd\n"); }) == "HEADER");
}

TEST_CASE("endings that begin alike, or are alike, are scored from where they differ") {
  const ChoiceTasks t =
      hellaswag_tasks(tiny_tokenizer(), "The cat\n0\nis on the mat\nis on the mat\nis on the mat and sleeps\nis on the mat\n");
  for (const auto& c : t.tasks[0].choices) {
    CHECK(c.begin >= 1);
    CHECK(c.begin < c.end);
  }
  CHECK(scored_text(t.tasks[0].choices[0]).find("mat") != std::string::npos);
}

TEST_CASE("Winogrande tasks") {
  const std::string text =
      "index,sentence,choice1,choice2,answer\n"
      "0,Sarah was a much better surgeon than Maria so _ always got the easier cases.,Sarah,Maria,2\n"
      "1,\"The cup, not the plate, fell since _ was near the edge.\",the cup,the plate,1\n"
      "2,no gap here,a,b,1\n"
      "3,too _ few,a,b\n"
      "4,The dog ate the _,bone,meat,1\r\n"
      "5,bad _ answer,a,b,3\n";
  const ChoiceTasks t = winogrande_tasks(tiny_tokenizer(), text);
  REQUIRE(t.tasks.size() == 3);
  CHECK(t.notes.size() == 4);
  CHECK(t.notes[0].find("line 1 ") != std::string::npos);
  CHECK(t.tasks[0].choices[1].right);
  CHECK_FALSE(t.tasks[0].choices[0].right);
  CHECK(scored_text(t.tasks[0].choices[0]).find("always got the easier cases") != std::string::npos);
  CHECK(scored_text(t.tasks[0].choices[0]).find("Sarah") == std::string::npos);
  CHECK(scored_text(t.tasks[0].choices[0]) == scored_text(t.tasks[0].choices[1]));
  CHECK(t.tasks[0].choices[0].end == std::ssize(t.tasks[0].choices[0].tokens) - 1);  // not the full stop
  CHECK(text_of(t.tasks[1].choices[1]).find("The cup, not the plate, fell since the plate was near") != std::string::npos);
  const auto& bone = t.tasks[2].choices[0];  // nothing follows: the choice itself is scored
  CHECK(tiny_tokenizer().decode(std::span(bone.tokens).subspan(static_cast<size_t>(bone.begin))).find("bone") !=
        std::string::npos);
  CHECK(code_of([] { winogrande_tasks(tiny_tokenizer(), "no,task,here\n"); }) == "HEADER");
  CHECK(code_of([] { winogrande_tasks(tiny_tokenizer(), ""); }) == "HEADER");

  std::string many;
  for (int i = 0; i < 10; ++i) many += std::to_string(i) + ",Number " + std::to_string(i) + " is _ today.,here,there,1\n";
  const ChoiceTasks some = winogrande_tasks(tiny_tokenizer(), many, 3);
  REQUIRE(some.tasks.size() == 3);
  CHECK(some.n_in_file == 10);
  CHECK(number_of(some.tasks[0]) == 4);
  CHECK(number_of(some.tasks[1]) == 8);
  CHECK(number_of(some.tasks[2]) == 5);
}

namespace {

Bytes& put_text(Bytes& b, const std::string& text) { return b.put<uint32_t>(static_cast<uint32_t>(text.size())).raw(text); }

std::string choice_file(int n) {
  std::vector<std::string> tasks;
  for (int i = 0; i < n; ++i) {
    Bytes b;
    put_text(b, "Number " + std::to_string(i) + ": what is it?");
    b.put<uint32_t>(3);
    for (const char* answer : {"A cat", "A dog", "A house"}) put_text(b, answer);
    for (int j = 0; j < 3; ++j) b.put<int32_t>(j == i % 3);
    b.put<uint32_t>(1);  // an answer for questions with several right ones, which is skipped
    put_text(b, "all").put<int32_t>(1);
    tasks.push_back(b.data);
  }
  Bytes out;
  out.put<uint32_t>(static_cast<uint32_t>(n));
  size_t at = 4 + 4 * static_cast<size_t>(n);
  for (const auto& t : tasks) {
    out.put<uint32_t>(static_cast<uint32_t>(at));
    at += t.size();
  }
  for (const auto& t : tasks) out.raw(t);
  return out.data;
}

}  // namespace

TEST_CASE("multiple choice tasks") {
  const std::string good = choice_file(10);
  const ChoiceTasks all = multiple_choice_tasks(tiny_tokenizer(), good);
  REQUIRE(all.tasks.size() == 10);
  for (int i = 0; i < 10; ++i) {
    const auto& choices = all.tasks[static_cast<size_t>(i)].choices;
    REQUIRE(choices.size() == 3);
    CHECK(number_of(all.tasks[static_cast<size_t>(i)]) == i);
    for (int j = 0; j < 3; ++j) CHECK(choices[static_cast<size_t>(j)].right == (j == i % 3));
    CHECK(text_of(choices[1]).find("what is it? A dog") != std::string::npos);
    CHECK(scored_text(choices[1]).find("dog") != std::string::npos);
  }
  const ChoiceTasks some = multiple_choice_tasks(tiny_tokenizer(), good, 3);
  REQUIRE(some.tasks.size() == 3);
  CHECK(number_of(some.tasks[0]) == 4);
  CHECK(number_of(some.tasks[1]) == 8);
  CHECK(number_of(some.tasks[2]) == 5);
}

TEST_CASE("bad files of multiple choice tasks") {
  const std::string good = choice_file(2);
  const auto code = [](const std::string& bytes, int64_t n = 0) {
    return code_of([&] { multiple_choice_tasks(tiny_tokenizer(), bytes, n); });
  };
  for (size_t n = 0; n < good.size(); ++n) {
    CAPTURE(n);
    const std::string c = code(good.substr(0, n));
    CHECK((c == "TRUNC" || c == "COUNT"));
  }
  const auto patched = [&](size_t at, uint32_t value, int64_t n = 0) {
    std::string bytes = good;
    std::memcpy(bytes.data() + at, &value, sizeof value);
    return code(bytes, n);
  };
  CHECK(patched(0, 0) == "COUNT");
  CHECK(patched(0, UINT32_MAX) == "COUNT");
  CHECK(patched(4, 0, 1) == "OFFSET");
  CHECK(patched(4, UINT32_MAX, 1) == "OFFSET");
  CHECK(patched(12, UINT32_MAX) == "TRUNC");
  const size_t answers = 12 + 4 + std::string("Number 0: what is it?").size();
  CHECK(patched(answers, 101) == "COUNT");
  CHECK(patched(answers, 0) == "HEADER");
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bytes = good;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    code(bytes, bit % 2);
  }
}
