// Many texts in the same steps, and what perplexity, divergence and tasks make of their logits.
#include "phial/evaluate.h"

#include <cmath>
#include <mutex>

#include "engine/log_prob_file.h"
#include "fixture_models.h"

using namespace phial;
using namespace phial::test;

namespace {

std::vector<int32_t> text_of(int n, int seed = 0) {
  std::vector<int32_t> out;
  for (int i = 0; i < n; ++i) out.push_back(3 + (i * 37 + seed * 11) % 250);
  return out;
}

/// Keeps all rows.
struct KeepJob final : LogitsJob {
  explicit KeepJob(std::vector<Text> wanted) : texts(std::move(wanted)), rows(texts.size()) {}
  std::vector<Text> texts;
  std::vector<std::vector<float>> rows;  // of each text, one after the other
  std::vector<int64_t> ended;
  int64_t n_computed = 0, n_steps = 0, stop_after = INT64_MAX;
  size_t n_given = 0;

  bool next(Text& text) override {
    if (n_given == texts.size()) return false;
    text = texts[n_given++];
    return true;
  }
  void row(int64_t text, int64_t position, std::span<const float> logits) override {
    std::lock_guard lock(mutex);
    const Text& t = texts[static_cast<size_t>(text)];
    auto& r = rows[static_cast<size_t>(text)];
    r.resize(static_cast<size_t>(t.end - t.begin) * logits.size());
    std::copy(logits.begin(), logits.end(), r.begin() + (position - t.begin) * std::ssize(logits));
  }
  void done(int64_t text) override { ended.push_back(text); }
  bool go_on(int64_t n_tokens) override {
    n_computed += n_tokens;
    return ++n_steps < stop_after;
  }
  std::mutex mutex;
};

std::vector<LogitsJob::Text> many_texts() {
  std::vector<LogitsJob::Text> texts;
  for (int i = 0; i < 9; ++i) {
    const int n = 5 + i * 7 % 36;  // some beyond the original context of 32, which rotate by other factors
    texts.push_back({text_of(n, i), i % 3 == 0 ? 0 : n / 2, i % 2 == 0 ? n : n - 1});
  }
  return texts;
}

double nll_of(std::span<const float> row, int32_t id) {
  double top = row[0], sum = 0;
  for (float v : row) top = std::max<double>(top, v);
  for (float v : row) sum += std::exp(v - top);
  return top + std::log(sum) - row[static_cast<size_t>(id)];
}

}  // namespace

TEST_CASE("many texts in the same steps give the bits of each alone") {
  RunOptions options = exact(fixture("phi3-longrope"), "cpu");
  options.n_context = 64;
  auto alone = Model::load(options);
  std::vector<std::vector<float>> want;
  const size_t vocab = static_cast<size_t>(alone->info().vocab_size);
  for (const auto& t : many_texts()) {
    const auto all = all_logits(*alone, t.tokens);
    want.emplace_back(all.begin() + t.begin * std::ssize(all) / std::ssize(t.tokens),
                      all.begin() + t.end * static_cast<int64_t>(vocab));
  }
  for (int n_sequences : {1, 2, 5})
    for (int n_ubatch : {1, 7, 40, 512}) {
      CAPTURE(n_sequences);
      CAPTURE(n_ubatch);
      options.n_sequences = n_sequences;
      options.n_ubatch = n_ubatch;
      options.n_threads = 1 + n_sequences % 3;
      auto model = Model::load(options);
      KeepJob job(many_texts());
      model->logits(job);
      CHECK(job.rows == want);
      CHECK(std::is_sorted(job.ended.begin(), job.ended.end()));
      CHECK(job.ended.size() == job.texts.size());
      int64_t n_tokens = 0;
      for (const auto& t : job.texts) n_tokens += t.end;
      CHECK(job.n_computed == n_tokens);  // what follows `end` is not computed
      KeepJob again(many_texts());
      model->logits(again);  // all pages came back
      CHECK(again.rows == want);
    }
}

TEST_CASE("a common beginning is computed once and gives the same bits") {
  RunOptions options = exact(fixture("phi3-longrope"), "cpu");
  options.n_context = 256;
  auto alone = Model::load(options);
  // Four choices of each question. In the third question some are beyond the original context, so that nothing is common.
  std::vector<LogitsJob::Text> texts;
  const int common[] = {20, 12, 25, 100, 5}, longest[] = {28, 20, 34, 140, 12};
  for (int q = 0; q < 5; ++q)
    for (int c = 0; c < 4; ++c) {
      const int n = longest[q] - c;
      auto tokens = text_of(n, 5 * q);
      for (int i = common[q] + c; i < n; ++i) tokens[static_cast<size_t>(i)] = 3 + (i + 7 * c) % 250;
      texts.push_back({tokens, common[q] - 1, n - 1});
    }
  std::vector<std::vector<float>> want;
  int64_t n_all = 0;
  for (const auto& t : texts) {
    const auto all = all_logits(*alone, t.tokens);
    const int64_t vocab = alone->info().vocab_size;
    want.emplace_back(all.begin() + t.begin * vocab, all.begin() + t.end * vocab);
    n_all += t.end;
  }
  for (const char* cache : {"f32", "f16", "i16"})
    for (int n_sequences : {1, 4})
      for (int n_ubatch : {1, 9, 64, 512}) {
        CAPTURE(cache);
        CAPTURE(n_sequences);
        CAPTURE(n_ubatch);
        options.n_context = n_sequences == 1 ? 192 : 256;
        options.cache_type_k = options.cache_type_v = cache;
        options.n_sequences = n_sequences;
        options.n_ubatch = n_ubatch;
        auto model = Model::load(options);
        KeepJob job(texts);
        model->logits(job);
        if (options.cache_type_k == "f32") CHECK(job.rows == want);
        CHECK(job.ended.size() == texts.size());
        CHECK(std::is_sorted(job.ended.begin(), job.ended.end()));
        CHECK(job.n_computed < n_all - (n_sequences == 1 ? 100 : 300));
        KeepJob again(texts);
        model->logits(again);
        CHECK(again.rows == job.rows);
        // In another order no text follows its like.
        KeepJob mixed({});
        for (size_t i = 0; i < texts.size(); ++i) mixed.texts.push_back(texts[i % 5 * 4 + i / 5]);
        mixed.rows.resize(texts.size());
        model->logits(mixed);
        CHECK(mixed.n_computed == n_all);
        for (size_t i = 0; i < texts.size(); ++i) CHECK(mixed.rows[i] == job.rows[i % 5 * 4 + i / 5]);
      }
}

TEST_CASE("texts that cannot be computed, and stopping") {
  RunOptions options = exact(fixture("phi3-plain"), "cpu");
  options.n_context = 64;
  options.n_ubatch = 8;
  auto model = Model::load(options);
  const auto code = [&](LogitsJob::Text text) {
    KeepJob job({{text_of(10), 0, 10}, std::move(text)});
    return code_of([&] { model->logits(job); });
  };
  CHECK(code({text_of(65), 0, 65}) == "CONTEXT");
  CHECK(code({{5, 1000}, 0, 2}) == "TOKEN");
  CHECK(code({text_of(10), 4, 4}) == "ARGUMENT");
  CHECK(code({text_of(10), -1, 4}) == "ARGUMENT");
  CHECK(code({text_of(10), 0, 11}) == "ARGUMENT");
  CHECK(code({{}, 0, 0}) == "ARGUMENT");
  KeepJob job(many_texts());
  job.stop_after = 3;
  CHECK(code_of([&] { model->logits(job); }) == "CANCELLED");
  CHECK(job.n_computed == 5 + 8 + 3);  // one page: the texts run one after the other
  KeepJob nothing({});
  model->logits(nothing);
  CHECK(nothing.n_steps == 0);
  {
    auto session = model->open_session();  // holds pages
    session->set_tokens(text_of(10));
    KeepJob large({{text_of(64), 0, 64}});
    CHECK(code_of([&] { model->logits(large); }) == "BUSY");
  }
  CHECK(code({text_of(64), 0, 64}) == "none");
}

TEST_CASE("perplexity by its definition") {
  RunOptions options = exact(fixture("phi3-longrope"), "cpu");
  options.n_context = 40;
  options.n_sequences = 3;
  auto model = Model::load(options);
  const auto tokens = text_of(330);
  const auto direct = [&](int64_t length, int64_t step, int64_t first, int64_t n_chunks, bool bos) {
    double sum = 0;
    int64_t n = 0;
    for (int64_t c = 0; c < n_chunks; ++c) {
      std::vector<int32_t> piece(tokens.begin() + c * step, tokens.begin() + c * step + length);
      if (bos) piece[0] = model->tokenizer()->bos();
      model->logits(piece, [&](int64_t i, std::span<const float> row) {
        if (i < first || i + 1 == length) return;
        sum += nll_of(row, piece[static_cast<size_t>(i) + 1]);
        ++n;
      });
    }
    return std::pair(std::exp(sum / static_cast<double>(n)), n);
  };
  PerplexityOptions o;
  o.n_context = 40;
  std::vector<double> so_far;
  auto r = perplexity(*model, tokens, o, [&](const PerplexityResult& r) { so_far.push_back(r.ppl.value); });
  CHECK(r.n_chunks == 8);
  CHECK(so_far.size() == 8);
  CHECK(so_far.back() == r.ppl.value);
  CHECK(r.n_scored == 8 * 19);
  CHECK(r.ppl.value == doctest::Approx(direct(40, 40, 20, 8, true).first).epsilon(1e-6));
  o.n_chunks = 3;
  CHECK(perplexity(*model, tokens, o).ppl.value == so_far[2]);
  o.n_context = 24;
  o.stride = 10;  // chunks of 24 + 5
  o.n_chunks = -1;
  r = perplexity(*model, tokens, o);
  CHECK(r.n_chunks == 31);
  CHECK(r.n_scored == 310);
  CHECK(r.ppl.value == doctest::Approx(direct(29, 10, 18, 31, false).first).epsilon(1e-6));

  o = {};
  o.n_context = 200;
  CHECK(code_of([&] { perplexity(*model, tokens, o); }) == "ARGUMENT");  // fewer than two chunks
  o.n_context = 41;
  CHECK(code_of([&] { perplexity(*model, tokens, o); }) == "CONTEXT");
  o.n_context = 2;
  CHECK(code_of([&] { perplexity(*model, tokens, o); }) == "ARGUMENT");
  o.n_context = 20;
  o.stride = 20;
  CHECK(code_of([&] { perplexity(*model, tokens, o); }) == "ARGUMENT");
  o.stride = 5;
  o.base_file = "unused";
  CHECK(code_of([&] { perplexity(*model, tokens, o); }) == "ARGUMENT");
  o = {};
  o.n_context = 40;
  CHECK(code_of([&] { perplexity(*model, tokens, o, {}, [](const Progress&) { return false; }); }) == "CANCELLED");
}

TEST_CASE("a model does not diverge from itself") {
  TempFolder folder;
  const std::string base = folder / "base.kld";
  RunOptions options = exact(fixture("qwen3"), "cpu");
  options.n_context = 30;
  options.n_sequences = 2;
  auto model = Model::load(options);
  PerplexityOptions o;
  o.n_context = 30;
  o.base_file = base;
  const auto ppl = perplexity(*model, text_of(200), o);
  auto r = kl_divergence(*model, base);
  CHECK(r.n_scored == ppl.n_scored);
  CHECK(r.ppl.value == doctest::Approx(ppl.ppl.value));
  CHECK(r.base_ppl.value == doctest::Approx(ppl.ppl.value).epsilon(1e-4));
  CHECK(std::fabs(r.divergence.value) < 1e-6);
  CHECK(r.same_top.value == 1);
  CHECK(r.correlation == doctest::Approx(1).epsilon(1e-6));
  CHECK(r.divergences.front().share == 0);
  CHECK(r.divergences.back().share == 1);
  CHECK(kl_divergence(*model, base, 2).n_done == 2);
  CHECK(base_file_info(base).n_chunks == 6);

  const std::string other = folder / "other.kld";
  LogProbWriter writer(other, {30, 287, 1}, text_of(30));
  LogProbRows rows(scored_of(30), 287);
  writer.write(rows);
  writer.commit();
  CHECK(code_of([&] { kl_divergence(*model, other); }) == "VOCAB");
  options.n_context = 29;
  CHECK(code_of([&] { kl_divergence(*Model::load(options), base); }) == "CONTEXT");
}

TEST_CASE("choices are scored by the mean of their own tokens") {
  RunOptions options = exact(fixture("llama3"), "cpu");
  options.n_context = 64;
  options.n_sequences = 3;
  auto model = Model::load(options);
  std::vector<ChoiceTask> tasks(7);
  std::vector<double> want;
  for (int i = 0; i < 7; ++i)
    for (int j = 0; j < 2 + i % 3; ++j) {
      ChoiceTask::Choice c{text_of(12 + j, i + 10 * j), 4, 12 + j, j == 1};
      double sum = 0;
      model->logits(c.tokens, [&](int64_t at, std::span<const float> row) {
        if (at + 1 >= c.begin && at + 1 < c.end) sum += nll_of(row, c.tokens[static_cast<size_t>(at) + 1]);
      });
      want.push_back(-sum / static_cast<double>(c.end - c.begin));
      tasks[static_cast<size_t>(i)].choices.push_back(std::move(c));
    }
  size_t at = 0;
  int64_t n_right = 0;
  const auto r = score_choices(*model, tasks, [&](const ChoiceAnswer& a, const ChoiceResult& so_far) {
    CHECK(a.scores.size() == tasks[static_cast<size_t>(so_far.n_tasks - 1)].choices.size());
    for (double score : a.scores) CHECK(score == doctest::Approx(want[at++]).epsilon(1e-6));
    CHECK(a.chosen == std::max_element(a.scores.begin(), a.scores.end()) - a.scores.begin());
    CHECK(a.right == (a.chosen == 1));
    n_right += a.right;
  });
  CHECK(at == want.size());
  CHECK(r.n_tasks == 7);
  CHECK(r.n_right == n_right);
  CHECK(r.n_choices == 20);
  CHECK(r.accuracy.value == doctest::Approx(static_cast<double>(n_right) / 7));
  CHECK(r.chance.value == doctest::Approx(7.0 / 20));
  CHECK(r.low < r.accuracy.value);
  CHECK(r.high > r.accuracy.value);
  tasks[2].choices[0].begin = 0;
  CHECK(code_of([&] { score_choices(*model, tasks); }) == "ARGUMENT");
  tasks[2].choices.clear();
  CHECK(code_of([&] { score_choices(*model, tasks); }) == "ARGUMENT");
}
