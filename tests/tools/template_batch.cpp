// Renders many templates in one process, for the tests that compare with jinja2: one JSON line {"template", "variables",
// "budget"?} in, one JSON line {"ok", "text"} or {"ok", "code", "text"} out.
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "phial/chat_template.h"
#include "phial/error.h"

int main() {
  std::ios::sync_with_stdio(false);
  std::string line;
  while (std::getline(std::cin, line)) {
    const auto job = nlohmann::ordered_json::parse(line);
    nlohmann::json reply;
    try {
      phial::TemplateBudget budget;
      if (job.contains("budget")) {
        const auto& b = job["budget"];
        budget.max_steps = b.value("max_steps", budget.max_steps);
        budget.max_bytes = b.value("max_bytes", budget.max_bytes);
        budget.max_depth = b.value("max_depth", budget.max_depth);
        budget.max_seconds = b.value("max_seconds", budget.max_seconds);
      }
      const phial::ChatTemplate chat_template(job["template"].get<std::string>());
      reply = {{"ok", true}, {"text", chat_template.render(job["variables"].dump(), budget)}};
    } catch (const phial::Error& e) {
      reply = {{"ok", false}, {"code", e.code_text()}, {"text", e.what()}};
    }
    std::cout << reply.dump(-1, ' ', true) << "\n" << std::flush;
  }
}
