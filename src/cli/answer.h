// One answer of the model, as text that streams.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "phial/engine.h"

namespace phial::cli {

struct AnswerOptions {
  SamplerParams sampling;
  std::vector<std::string> stops;  // texts that end it and are left out
  int64_t n_predict = -1;
  bool special = false;  // the texts of special tokens are shown
};

struct Answer {
  std::string text;
  StopReason reason = StopReason::length;
  bool interrupted = false;  // by Ctrl-C
  size_t n_before = 0;       // tokens of the text it answers
};

/// "stop", "length", "context" or "cancelled".
const char* reason_text(const Answer& answer);

/// Computes `tokens` and answers; show() gets the text in whole characters as it becomes certain.
Answer stream_answer(Session& session, const Tokenizer& tokenizer, const AnswerOptions& options, std::span<const int32_t> tokens,
                     const std::function<void(std::string_view)>& show);

}  // namespace phial::cli
