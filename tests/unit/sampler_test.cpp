// The sampler chain against its published definitions on fixed logits, and its draws against the distribution they promise.
#include "engine/sampler.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <set>

#include "phial/error.h"

using namespace phial;

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

/// Logits whose softmax is the given probabilities.
std::vector<float> logits_of(const std::vector<double>& p) {
  std::vector<float> logits;
  for (double x : p) logits.push_back(x > 0 ? static_cast<float>(std::log(x)) : -kInf);
  return logits;
}

std::vector<int32_t> ids(const Candidates& c) {
  std::vector<int32_t> out;
  for (const Candidate& x : c.all()) out.push_back(x.id);
  std::sort(out.begin(), out.end());
  return out;
}

Candidates candidates_of(const std::vector<double>& p) {
  Candidates c;
  c.assign(logits_of(p));
  return c;
}

SamplerParams only(const char* samplers) {
  SamplerParams p;
  p.seed = 1234;
  p.temperature = 1.0f;
  p.samplers = samplers;
  return p;
}

SamplerVocab letters() {
  return {{3}, [](int32_t id) { return id == 9 ? std::string("\n") : std::string(1, static_cast<char>('a' + id)); }};
}

std::map<int32_t, int> draws(Sampler& sampler, const std::vector<float>& logits, int n) {
  std::map<int32_t, int> counts;
  for (int i = 0; i < n; ++i) ++counts[sampler.sample(logits)];
  return counts;
}

/// Pearson's statistic; every id that was drawn must have an expected probability.
double chi_square(const std::map<int32_t, int>& counts, const std::vector<double>& p, int n) {
  double sum = 0;
  for (const auto& [id, count] : counts) REQUIRE(p[static_cast<size_t>(id)] > 0);
  for (size_t i = 0; i < p.size(); ++i) {
    if (p[i] <= 0) continue;
    const auto found = counts.find(static_cast<int32_t>(i));
    const double seen = found == counts.end() ? 0 : found->second;
    sum += (seen - n * p[i]) * (seen - n * p[i]) / (n * p[i]);
  }
  return sum;
}

ErrorCode code_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& e) {
    return e.code();
  }
  FAIL("no error was thrown");
  return ErrorCode::internal;
}

}  // namespace

TEST_CASE("exact_exp and exact_log agree with the C library within a few units in the last place") {
  for (double x = -30; x < 30; x += 0.0371) CHECK(exact_exp(x) == doctest::Approx(std::exp(x)).epsilon(4e-16));
  for (double x = 1e-9; x < 1e9; x *= 1.37)
    CHECK(std::fabs(exact_log(x) - std::log(x)) <= 4e-16 * std::max(1.0, std::fabs(std::log(x))));
  CHECK(exact_exp(-1e9) == 0);
  CHECK(exact_log(0) == -std::numeric_limits<double>::infinity());
  CHECK(exact_log(1) == 0);
}

TEST_CASE("the random numbers are the documented ones") {
  Rng rng(42);
  const uint32_t first = rng.next_u32(), second = rng.next_u32();
  Rng again(42);
  CHECK(again.next_u32() == first);
  CHECK(again.next_u32() == second);
  CHECK(first != second);
  double sum = 0;
  for (int i = 0; i < 100000; ++i) {
    const double u = rng.uniform();
    REQUIRE((u >= 0 && u < 1));
    sum += u;
  }
  CHECK(sum / 100000 == doctest::Approx(0.5).epsilon(0.01));
}

TEST_CASE("greedy takes the highest logit, the lower id among equals") {
  SamplerParams p;
  p.temperature = 0;
  Sampler sampler(p, letters());
  CHECK(sampler.sample(std::vector<float>{1, 3, 3, 2}) == 1);
  p.samplers = "";
  CHECK(Sampler(p, letters()).sample(std::vector<float>{-5, -1, -2, -1}) == 1);
  p.temperature = -1;
  CHECK(Sampler(p, letters()).sample(std::vector<float>{-5, -1, 7, -1}) == 2);
}

TEST_CASE("top-k keeps the k best, lower ids first among equals, by either way") {
  std::vector<float> logits;
  for (int i = 0; i < 1000; ++i) logits.push_back(static_cast<float>((i * 37) % 101));
  std::vector<int32_t> order(1000);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return logits[a] > logits[b]; });
  for (int k : {1, 2, 9, 10, 11, 40, 999, 1000, 2000}) {
    Candidates slow, fast;
    slow.assign(logits);
    slow.top_k(k);
    fast.assign_top_k(logits, k);
    const size_t n = std::min<size_t>(static_cast<size_t>(k), 1000);
    REQUIRE(slow.size() == n);
    REQUIRE(fast.size() == n);
    slow.sort();
    fast.sort();
    for (size_t i = 0; i < n; ++i) {
      CHECK(slow[i].id == order[i]);
      CHECK(fast[i].id == order[i]);
    }
  }
  Candidates all;
  all.assign_top_k(logits, 0);
  CHECK(all.size() == 1000);
}

TEST_CASE("top-p keeps the smallest set that reaches p") {
  for (const auto& [p, expected] : std::vector<std::pair<double, std::vector<int32_t>>>{
           {0.5, {1}}, {0.51, {1, 3}}, {0.79, {1, 3}}, {0.95, {0, 1, 3}}, {0.96, {0, 1, 2, 3}}, {1.0, {0, 1, 2, 3}}}) {
    Candidates c = candidates_of({0.1501, 0.5001, 0.0499, 0.2999});
    c.top_p(p, 0);
    CHECK(ids(c) == expected);
  }
  Candidates c = candidates_of({0.1, 0.6, 0.1, 0.2});
  c.top_p(0.1, 3);
  CHECK(ids(c) == std::vector<int32_t>{0, 1, 3});
}

TEST_CASE("min-p keeps what has at least p times the best probability") {
  Candidates c = candidates_of({0.1, 0.5, 0.04, 0.36});
  c.min_p(0.19, 0);
  CHECK(ids(c) == std::vector<int32_t>{0, 1, 3});
  c.min_p(0.21, 0);
  CHECK(ids(c) == std::vector<int32_t>{1, 3});
  c = candidates_of({0.1, 0.5, 0.04, 0.36});
  c.min_p(0.99, 2);
  CHECK(ids(c) == std::vector<int32_t>{1, 3});
}

TEST_CASE("typical keeps the tokens nearest to the entropy") {
  // Entropy of {.5, .25, .125, .125} is 1.2130 nats; surprises .693, 1.386, 2.079, 2.079: the second token is the most typical.
  Candidates c = candidates_of({0.5, 0.25, 0.125, 0.125});
  c.typical(0.2, 0);
  CHECK(ids(c) == std::vector<int32_t>{1});
  c = candidates_of({0.5, 0.25, 0.125, 0.125});
  c.typical(0.7, 0);
  CHECK(ids(c) == std::vector<int32_t>{0, 1});
  c = candidates_of({0.5, 0.25, 0.125, 0.125});
  c.typical(0.8, 0);
  CHECK(ids(c) == std::vector<int32_t>{0, 1, 2});
}

TEST_CASE("top-n-sigma keeps logits within n standard deviations of the best") {
  Candidates c;
  c.assign(std::vector<float>{10, 8, 0, -2, -4});  // mean 2.4, standard deviation 5.57
  c.top_n_sigma(1.0);
  CHECK(ids(c) == std::vector<int32_t>{0, 1});
  c.assign(std::vector<float>{10, 8, 0, -2, -4});
  c.top_n_sigma(2.0);
  CHECK(ids(c) == std::vector<int32_t>{0, 1, 2});
  c.assign(std::vector<float>{10, 8, 0, -2, -4});
  c.top_n_sigma(-1);
  CHECK(c.size() == 5);
}

TEST_CASE("xtc drops all tokens above the threshold but the least likely of them") {
  Candidates c = candidates_of({0.4, 0.05, 0.3, 0.15, 0.1});
  c.xtc(0.12, 0);
  CHECK(ids(c) == std::vector<int32_t>{1, 3, 4});
  c = candidates_of({0.9, 0.05, 0.05});
  c.xtc(0.1, 0);  // one token above: nothing to exclude
  CHECK(c.size() == 3);
  SamplerParams p = only("xtc");
  p.xtc_probability = 0.5f;
  p.xtc_threshold = 0.2f;
  Sampler sampler(p, letters());
  // Half of the steps draw from {.5 .3 .2}, half from {.2 -> 1}.
  const int n = 20000;
  const auto counts = draws(sampler, logits_of({0.5, 0.3, 0.2001}), n);
  CHECK(chi_square(counts, {0.25, 0.15, 0.6}, n) < 13.8);
}

TEST_CASE("temperature and dynamic temperature") {
  Candidates c = candidates_of({0.5, 0.25, 0.25});
  c.temperature(0.5);
  c.softmax();
  CHECK(c[0].p == doctest::Approx(0.25 / 0.375));
  c = candidates_of({0.5, 0.25, 0.25});
  c.temperature(0);
  CHECK(ids(c) == std::vector<int32_t>{0});
  // Uniform: the entropy is the highest, so the temperature is t + range.
  c.assign(std::vector<float>{2, 2});
  c.dynamic_temperature(1.0, 0.5, 1.0);
  CHECK(c[0].logit == doctest::Approx(2 / 1.5));
  // {.5, .25, .25}: normalised entropy 1.0397 / 1.0986.
  c = candidates_of({0.5, 0.25, 0.25});
  const float before = c[0].logit;
  c.dynamic_temperature(1.0, 0.5, 2.0);
  CHECK(c[0].logit == doctest::Approx(before / (0.5 + std::pow(1.0397207708 / 1.0986122887, 2.0))));
}

TEST_CASE("repetition, frequency and presence penalties") {
  SamplerParams p = only("penalties;temperature");
  p.temperature = 0;
  p.repeat_penalty = 2.0f;
  Sampler repeat(p, letters());
  repeat.accept(0);
  repeat.accept(1);
  CHECK(repeat.sample(std::vector<float>{3.9f, -1, 2.0f}) == 2);  // 3.9 / 2 < 2
  CHECK(repeat.sample(std::vector<float>{4.1f, -1, 2.0f}) == 0);  // 4.1 / 2 > 2
  CHECK(repeat.sample(std::vector<float>{-9, -1, -1.9f}) == 2);   // -1 * 2 < -1.9
  CHECK(repeat.sample(std::vector<float>{-9, -1, -2.1f}) == 1);
  p.repeat_penalty = 1;
  p.frequency_penalty = 0.5f;
  p.presence_penalty = 1.0f;
  Sampler count(p, letters());
  for (int id : {0, 0, 0, 1}) count.accept(id);
  CHECK(count.sample(std::vector<float>{4.6f, 2.0f, 2.0f}) == 0);  // 4.6 - 2.5 = 2.1
  CHECK(count.sample(std::vector<float>{4.4f, 2.0f, 2.0f}) == 2);  // 1.9, 0.5, 2.0
  p.repeat_last_n = 1;
  Sampler last(p, letters());
  for (int id : {0, 0, 0, 1}) last.accept(id);
  CHECK(last.sample(std::vector<float>{2.1f, 3.4f, 2.0f}) == 0);
  p.repeat_last_n = 0;
  Sampler off(p, letters());
  off.accept(0);
  CHECK(off.sample(std::vector<float>{2.1f, 2.0f, 2.0f}) == 0);
}

TEST_CASE("DRY: multiplier * base ^ (length - allowed length), ended by breakers") {
  SamplerParams p = only("dry");
  p.temperature = 0;
  p.dry_multiplier = 1.0f;
  p.dry_base = 2.0f;
  p.dry_allowed_length = 2;
  const auto choose = [&](const std::vector<int>& text, float logit_of_2) {
    Sampler sampler(p, letters());
    for (int id : text) sampler.accept(id);
    std::vector<float> logits(12, 0.0f);
    logits[2] = logit_of_2;
    return sampler.sample(logits);
  };
  // "a b c ... a b": the ending "a b" (2) was followed by c: penalty 1 * 2^0 = 1.
  CHECK(choose({0, 1, 2, 5, 0, 1}, 1.01f) == 2);
  CHECK(choose({0, 1, 2, 5, 0, 1}, 0.99f) == 0);
  // "h a b c ... h a b": length 3: penalty 2. Four: 4.
  CHECK(choose({7, 0, 1, 2, 5, 7, 0, 1}, 2.01f) == 2);
  CHECK(choose({7, 0, 1, 2, 5, 7, 0, 1}, 1.99f) == 0);
  CHECK(choose({6, 7, 0, 1, 2, 5, 6, 7, 0, 1}, 3.99f) == 0);
  CHECK(choose({6, 7, 0, 1, 2, 5, 6, 7, 0, 1}, 4.01f) == 2);
  // A breaker (9 is "\n") inside the repeated stretch cuts it.
  CHECK(choose({7, 9, 0, 1, 2, 5, 7, 9, 0, 1}, 1.01f) == 2);
  CHECK(choose({7, 0, 9, 1, 2, 5, 7, 0, 9, 1}, 0.01f) == 2);  // only 1 token after the breaker: below the allowed length
  CHECK(choose({0, 1, 2, 5, 1}, 0.01f) == 2);                 // a repetition of one token is allowed
  p.dry_sequence_breakers = {"ha"};                           // spans two tokens
  CHECK(choose({6, 7, 0, 1, 2, 5, 6, 7, 0, 1}, 0.01f) == 2);
  p.dry_sequence_breakers = {};
  CHECK(choose({7, 9, 0, 1, 2, 5, 7, 9, 0, 1}, 3.99f) == 0);
  p.dry_penalty_last_n = 4;
  CHECK(choose({0, 1, 2, 5, 0, 1}, 0.01f) == 2);  // the first "a b" lies outside the window
  CHECK(SamplerParams().dry_penalty_last_n == 64);
  p.dry_penalty_last_n = -1;
  CHECK(choose({0, 1, 2, 5, 0, 1}, 0.99f) == 0);
}

TEST_CASE("logit bias and ignore_eos") {
  SamplerParams p;
  p.temperature = 0;
  p.logit_bias = {{0, 10.0f}, {1, -kInf}};
  CHECK(Sampler(p, letters()).sample(std::vector<float>{0, 50, 5, 1}) == 0);
  p.logit_bias = {};
  p.ignore_eos = true;
  CHECK(Sampler(p, letters()).sample(std::vector<float>{0, 1, 5, 9}) == 2);
}

TEST_CASE("one seed gives one text, reset starts it again, another seed another") {
  std::vector<float> logits;
  for (int i = 0; i < 5000; ++i) logits.push_back(static_cast<float>((i * 7919) % 1000) / 200.0f);
  SamplerParams p;
  p.seed = 7;
  p.top_k = 0;
  const auto text = [&](Sampler& s) {
    std::vector<int32_t> out;
    for (int i = 0; i < 50; ++i) {
      out.push_back(s.sample(logits));
      s.accept(out.back());
    }
    return out;
  };
  Sampler a(p, letters()), b(p, letters());
  const auto first = text(a);
  CHECK(text(b) == first);
  a.reset();
  CHECK(text(a) == first);
  p.seed = 8;
  Sampler c(p, letters());
  CHECK(text(c) != first);
  p.seed = 0xFFFFFFFF;
  CHECK(Sampler(p, letters()).seed() != 0xFFFFFFFF);
}

TEST_CASE("draws follow the distribution of the chain") {
  const std::vector<double> p = {0.05, 0.4, 0.1, 0.25, 0.2};
  const int n = 50000;
  Sampler plain(only(""), letters());
  CHECK(chi_square(draws(plain, logits_of(p), n), p, n) < 18.5);  // 4 degrees of freedom, 0.1 %
  SamplerParams params = only("top_k;temperature");
  params.top_k = 3;
  params.temperature = 0.5f;
  Sampler chain(params, letters());
  const double sum = 0.16 + 0.0625 + 0.04;
  CHECK(chi_square(draws(chain, logits_of(p), n), {0, 0.16 / sum, 0, 0.0625 / sum, 0.04 / sum}, n) < 13.8);
  params = only("top_p");
  params.top_p = 0.6f;
  Sampler nucleus(params, letters());
  CHECK(chi_square(draws(nucleus, logits_of(p), n), {0, 0.4 / 0.65, 0, 0.25 / 0.65, 0}, n) < 10.8);
}

TEST_CASE("a sampler listed twice runs twice, and the order is the given one") {
  SamplerParams p = only("temperature;temperature");
  p.temperature = 0.5f;
  Sampler twice(p, letters());
  const int n = 50000;
  const double sum = 0.0081 + 0.2401;  // {.3, .7} to the power 4
  CHECK(chi_square(draws(twice, logits_of({0.3, 0.7}), n), {0.0081 / sum, 0.2401 / sum}, n) < 10.8);
  // min_p after a low temperature keeps less than before it.
  p = only("temperature;min_p");
  p.temperature = 0.5f;
  p.min_p = 0.3f;
  Sampler after(p, letters());
  CHECK(draws(after, logits_of({0.3, 0.7}), 2000).size() == 1);
  p.samplers = "min_p;temperature";
  Sampler before(p, letters());
  CHECK(draws(before, logits_of({0.3, 0.7}), 2000).size() == 2);
}

TEST_CASE("mirostat 2 cuts by mu and steers the surprise to tau") {
  SamplerParams p = only("");
  p.mirostat = 2;
  p.mirostat_tau = 3.0f;
  p.mirostat_eta = 0.05f;
  std::vector<double> zipf;
  double sum = 0;
  for (int i = 1; i <= 2000; ++i) sum += 1.0 / i;
  for (int i = 1; i <= 2000; ++i) zipf.push_back(1.0 / i / sum);
  for (int version : {1, 2}) {
    p.mirostat = version;
    Sampler sampler(p, letters());
    const auto logits = logits_of(zipf);
    double surprise = 0;
    int counted = 0;
    for (int i = 0; i < 6000; ++i) {
      const int32_t id = sampler.sample(logits);
      if (i < 1000) continue;
      // Over the cut distribution the surprise is lower than over the whole one; it is the former that is steered.
      surprise += -std::log2(zipf[static_cast<size_t>(id)]);
      ++counted;
    }
    CHECK(surprise / counted > 3.0);
    CHECK(surprise / counted < 6.0);
  }
}

TEST_CASE("adaptive-p prefers tokens near the target and steers the average to it") {
  SamplerParams p = only("adaptive_p");
  p.adaptive_target = 0.3f;
  Sampler sampler(p, letters());
  const std::vector<double> probabilities = {0.55, 0.3, 0.1, 0.05};
  const auto logits = logits_of(probabilities);
  double mean = 0;
  for (int i = 0; i < 4000; ++i) mean += probabilities[static_cast<size_t>(sampler.sample(logits))] / 4000;
  CHECK(mean == doctest::Approx(0.3).epsilon(0.1));
  p.adaptive_target = -1;  // off: a plain draw
  Sampler off(p, letters());
  CHECK(chi_square(draws(off, logits, 20000), probabilities, 20000) < 16.3);
}

TEST_CASE("typed errors") {
  Sampler sampler(only("top_k"), letters());
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(code_of([&] { sampler.sample(std::vector<float>{1, nan, 2}); }) == ErrorCode::numerical);
  CHECK(code_of([&] { sampler.sample(std::vector<float>{1, kInf, 2}); }) == ErrorCode::numerical);
  CHECK(code_of([&] { sampler.sample(std::vector<float>{-kInf, -kInf}); }) == ErrorCode::argument);
  CHECK(code_of([&] { sampler.sample(std::vector<float>{}); }) == ErrorCode::argument);
  CHECK(code_of([&] { Sampler(only("top_k;banana"), letters()); }) == ErrorCode::argument);
  SamplerParams p;
  p.mirostat = 3;
  CHECK(code_of([&] { Sampler(p, letters()); }) == ErrorCode::argument);
  p = {};
  p.logit_bias = {{99, 1.0f}};
  CHECK(code_of([&] { Sampler(p, letters()).sample(std::vector<float>{1, 2}); }) == ErrorCode::token);
  CHECK(samplers_from_letters("edskypmxt") == SamplerParams().samplers);
  CHECK(code_of([&] { samplers_from_letters("q"); }) == ErrorCode::argument);
}
