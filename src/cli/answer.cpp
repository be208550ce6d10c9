// Tokens to text: whole characters only, and nothing that may be the begin of a stop text.
#include "answer.h"

#include "terminal.h"

namespace phial::cli {
namespace {

/// Bytes at the end of `text` that begin a character whose rest has not come yet.
size_t unfinished_tail(const std::string& text) {
  for (size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const auto c = static_cast<unsigned char>(text[text.size() - back]);
    if ((c & 0xC0) == 0x80) continue;
    const size_t need = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC0 ? 2 : 1;
    return need > back ? back : 0;
  }
  return 0;
}

/// The text so far, and how much of it was shown.
class TextStream {
 public:
  TextStream(const std::vector<std::string>& stops, const std::function<void(std::string_view)>& show)
      : stops_(stops), show_(show) {}

  const std::string& text() const { return text_; }
  bool stopped() const { return stopped_; }

  void add(const std::string& piece) {
    text_ += piece;
    advance(unfinished_tail(text_), true);
  }
  /// Nothing comes any more: what was held back is shown.
  void finish() { advance(0, false); }

 private:
  void advance(size_t n_held, bool more_comes) {
    size_t until = text_.size() - n_held;
    for (const std::string& stop : stops_) {
      if (stop.empty()) continue;
      if (const size_t at = text_.find(stop, shown_ > stop.size() ? shown_ - stop.size() : 0); at != std::string::npos) {
        text_.resize(at);
        until = at;
        stopped_ = true;
      } else if (more_comes) {
        for (size_t n = std::min(stop.size(), text_.size()); n > 0; --n)
          if (text_.compare(text_.size() - n, n, stop, 0, n) == 0) {
            until = std::min(until, text_.size() - n);
            break;
          }
      }
    }
    if (until > shown_) {
      show_(std::string_view(text_).substr(shown_, until - shown_));
      shown_ = until;
    }
  }

  const std::vector<std::string>& stops_;
  const std::function<void(std::string_view)>& show_;
  std::string text_;
  size_t shown_ = 0;
  bool stopped_ = false;
};

}  // namespace

const char* reason_text(const Answer& answer) {
  if (answer.interrupted) return "cancelled";
  if (answer.reason == StopReason::length) return "length";
  return answer.reason == StopReason::context_full ? "context" : "stop";
}

Answer stream_answer(Session& session, const Tokenizer& tokenizer, const AnswerOptions& options, std::span<const int32_t> tokens,
                     const std::function<void(std::string_view)>& show) {
  g_interrupted = false;
  session.set_tokens(tokens, [] { return g_interrupted.load(); });
  TextStream stream(options.stops, show);
  // An answer after a special token begins a text of its own: its first piece has no space before it.
  const bool begins = !tokens.empty() && tokenizer.holds_control_token(tokenizer.piece(tokens.back(), true));
  Answer answer;
  answer.n_before = tokens.size();
  answer.reason = session.generate(options.sampling, options.n_predict, [&](int32_t id) {
    if (!tokenizer.is_end_of_generation(id) || options.special)
      stream.add(begins && stream.text().empty() ? tokenizer.decode({&id, 1}, options.special)
                                                 : tokenizer.piece(id, options.special));
    return !stream.stopped() && !g_interrupted.load();
  });
  stream.finish();
  answer.text = stream.text();
  answer.interrupted = g_interrupted.exchange(false) && !stream.stopped();
  return answer;
}

}  // namespace phial::cli
