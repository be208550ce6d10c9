// Sessions: what is kept of a text that changes, how answers end, and which errors come.
#include "fixture_models.h"

using namespace phial;
using namespace phial::test;

namespace {

std::vector<int32_t> text_of(int n) {
  std::vector<int32_t> out;
  for (int i = 0; i < n; ++i) out.push_back(3 + i * 37 % 250);
  return out;
}

std::vector<float> copy(std::span<const float> v) { return {v.begin(), v.end()}; }

auto keep_all(std::vector<int32_t>& out) {
  return [&out](int32_t id) {
    out.push_back(id);
    return true;
  };
}

}  // namespace

TEST_CASE("a changed text keeps its common prefix and gives what a fresh one gives") {
  auto model = Model::load(exact(fixture("phi3-longrope"), "cpu"));
  auto session = model->open_session();
  auto fresh = [&](std::span<const int32_t> text) {
    session.reset();
    auto other = model->open_session();
    other->set_tokens(text);
    auto logits = copy(other->last_logits());
    other.reset();
    session = model->open_session();
    return logits;
  };
  auto a = text_of(20), b = text_of(28);
  b[15] = 7;
  const auto want_a = fresh(a), want_b = fresh(b);
  session->set_tokens(a);
  CHECK(session->timings().n_cached == 0);
  CHECK(session->timings().n_prompt == 20);
  CHECK(copy(session->last_logits()) == want_a);
  session->set_tokens(a);  // nothing to do
  CHECK(session->timings().n_prompt == 0);
  session->set_tokens(b);
  CHECK(session->timings().n_cached == 15);
  CHECK(session->timings().n_prompt == 13);
  CHECK(copy(session->last_logits()) == want_b);
  session->set_tokens(std::span(a).first(10));  // shorter: only the last token is computed anew
  CHECK(session->timings().n_cached == 9);
  session->set_tokens(a);
  CHECK(copy(session->last_logits()) == want_a);
  // Beyond the original context of 32 nothing can be kept, in either direction.
  session->set_tokens(text_of(40));
  CHECK(session->timings().n_cached == 0);
  session->set_tokens(a);
  CHECK(session->timings().n_cached == 0);
  CHECK(copy(session->last_logits()) == want_a);
}

TEST_CASE("how an answer ends") {
  RunOptions options = exact(fixture("phi3-plain"), "cpu");
  options.n_context = 30;
  auto model = Model::load(options);
  auto session = model->open_session();
  std::vector<int32_t> out;
  session->set_tokens(text_of(10));
  CHECK(session->generate(greedy_sampling(), 5, keep_all(out)) == StopReason::length);
  CHECK(out.size() == 5);
  CHECK(session->tokens().size() == 15);
  CHECK(std::equal(out.begin(), out.end(), session->tokens().begin() + 10));
  CHECK(session->generate(greedy_sampling(), 5, [](int32_t) { return false; }) == StopReason::cancelled);
  CHECK(session->tokens().size() == 16);
  SamplerParams endless = greedy_sampling();
  endless.ignore_eos = true;
  CHECK(session->generate(endless, -1, keep_all(out)) == StopReason::context_full);
  CHECK(session->tokens().size() == 30);
  CHECK(session->generate(endless, -1, keep_all(out)) == StopReason::context_full);

  // The recorded greedy answer of this fixture holds its end token (id 2) before the 16th.
  const Expected e = expected("phi3-plain");
  out.clear();
  session->set_tokens(e.prompt);
  CHECK(session->generate(greedy_sampling(), 16, keep_all(out)) == StopReason::end_of_generation);
  CHECK(out.back() == 2);
  CHECK(out == until_end(*model->tokenizer(), e.greedy));
}

TEST_CASE("going on after a pause equals one long answer") {
  auto model = Model::load(exact(fixture("phi3-longrope"), "cpu"));
  std::vector<int32_t> whole, parts;
  const auto prompt = text_of(25);
  {
    auto session = model->open_session();
    session->set_tokens(prompt);
    session->generate(greedy_sampling(), 20, keep_all(whole));
  }
  auto session = model->open_session();
  session->set_tokens(prompt);
  for (int i = 0; i < 4; ++i) session->generate(greedy_sampling(), 5, keep_all(parts));
  CHECK(parts == whole);
}

TEST_CASE("errors of a session leave it usable") {
  RunOptions options = exact(fixture("phi3-plain"), "cpu");
  options.n_context = 64;
  options.n_ubatch = 8;
  auto model = Model::load(options);
  auto session = model->open_session();
  CHECK(code_of([&] { session->generate(greedy_sampling(), 1, [](int32_t) { return true; }); }) == "ARGUMENT");
  session->set_tokens(text_of(12));
  const auto before = copy(session->last_logits());
  CHECK(code_of([&] { session->set_tokens(text_of(65)); }) == "CONTEXT");
  for (int32_t bad : {-1, 288, INT32_MIN, INT32_MAX}) {
    auto text = text_of(5);
    text[3] = bad;
    CHECK(code_of([&] { session->set_tokens(text); }) == "TOKEN");
    CHECK(code_of([&] { all_logits(*model, text); }) == "TOKEN");
  }
  CHECK(copy(session->last_logits()) == before);
  int n_asked = 0;
  CHECK(code_of([&] { session->set_tokens(text_of(60), [&] { return ++n_asked == 3; }); }) == "CANCELLED");
  session->set_tokens(text_of(12));
  CHECK(copy(session->last_logits()) == before);
  CHECK(code_of([&] { model->open_session(); }) == "BUSY");
  session.reset();
  CHECK(code_of([&] { model->open_session(); }) == "none");
  try {
    all_logits(*model, text_of(65));
    FAIL("the text is too long");
  } catch (const Error& e) {
    CHECK(std::string(e.code_text()) == "CONTEXT");
    CHECK(std::string(e.what()).find("65") != std::string::npos);
    CHECK(std::string(e.what()).find("64") != std::string::npos);
  }
}

TEST_CASE("a session outlives its model") {
  auto model = Model::load(exact(fixture("phi3-plain"), "cpu"));
  auto session = model->open_session();
  model.reset();
  session->set_tokens(text_of(4));
  CHECK(session->last_logits().size() == 288);
}

TEST_CASE("requests that cannot run fail alone") {
  RunOptions options = exact(fixture("phi3-plain"), "cpu");
  options.n_context = 64;
  auto model = Model::load(options);
  std::vector<Model::GenerateRequest> requests(5);
  for (auto& r : requests) {
    r.prompt = text_of(10);
    r.n_predict = 4;
    r.sampling = greedy_sampling();
  }
  requests[0].prompt.clear();
  requests[1].prompt = text_of(65);
  requests[2].prompt[4] = 1000;
  requests[3].n_predict = 0;
  std::vector<int32_t> told;
  for (auto& r : requests) r.on_token = [&told](int32_t id) { told.push_back(id); };
  const auto results = model->generate(requests);
  CHECK(told == results[4].tokens);
  CHECK(results[0].error.starts_with("ARGUMENT: "));
  CHECK(results[1].error.starts_with("CONTEXT: "));
  CHECK(results[2].error.starts_with("TOKEN: "));
  CHECK(results[3].error.empty());
  CHECK(results[3].tokens.empty());
  CHECK(results[4].error.empty());
  CHECK(results[4].tokens.size() == 4);
}
