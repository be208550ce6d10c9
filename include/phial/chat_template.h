// Chat templates: our Jinja engine under Hugging Face's settings (trim_blocks, lstrip_blocks). No object model to escape.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace phial {

struct TemplateBudget {
  uint64_t max_steps = 10'000'000;
  uint64_t max_bytes = 64u << 20;  // of values and output together
  int max_depth = 100;
  double max_seconds = 1.0;
};

class ChatTemplate {
 public:
  /// Throws TEMPLATE (with line) on a syntax error, DEPTH on nesting.
  explicit ChatTemplate(const std::string& source);
  ~ChatTemplate();
  ChatTemplate(ChatTemplate&&) noexcept;

  /// variables_json: a JSON object of the template's variables (messages, tools, add_generation_prompt, bos_token, ...), keys in
  /// order. Throws TEMPLATE (raise_exception, undefined use, wrong types: with line), BUDGET, DEPTH.
  std::string render(const std::string& variables_json, const TemplateBudget& budget = {}) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace phial
