// phial template: renders a chat template and prints the text, nothing else.
#include <fmt/core.h>

#include <cstdio>

#include "chat_prompt.h"
#include "files.h"
#include "flags.h"
#include "verb.h"

namespace phial::cli {
namespace {

constexpr const char* kExamples =
    "  phial template -m phi.gguf --messages chat.json --add-generation-prompt\n"
    "  phial template --file chat_template.jinja --messages chat.json --var bos_token='\"<s>\"'\n";

nlohmann::ordered_json parse(const std::string& text, const std::string& where) {
  try {
    return nlohmann::ordered_json::parse(text);
  } catch (const nlohmann::json::exception& e) {
    throw Usage(where + " is not JSON: " + e.what());
  }
}

}  // namespace

int template_verb(Flags& flags) {
  std::string model, file, messages, tools;
  std::vector<std::string> variables;
  bool add_generation_prompt = false;
  flags.about("Render a chat template as Hugging Face does and print the text.", kExamples);
  flags.text("--model,-m", model, "FILE", "phi.gguf", "GGUF file or checkpoint folder whose template is used");
  flags.text("--file", file, "FILE", "chat.jinja", "A Jinja template");
  flags.text("--messages", messages, "FILE", "chat.json", "JSON array of messages; - = standard input");
  flags.text("--tools", tools, "FILE", "tools.json", "JSON array of tools");
  flags.toggle("--add-generation-prompt", add_generation_prompt, "End with what makes the model answer");
  flags.list("--var", variables, "NAME=JSON", "enable_thinking=false",
             "Another variable; a value that is not JSON is taken as text");
  if (!flags.parse()) return 0;
  if (model.empty() && file.empty()) throw Usage("give --model or --file");
  if (messages.empty()) throw Usage("--messages is missing");
  std::shared_ptr<const Tokenizer> tokenizer;
  if (!model.empty()) tokenizer = Tokenizer::open(model);
  const std::string source = !file.empty() ? read_input(file) : tokenizer->chat_template();
  if (source.empty()) throw Usage(model + " has no chat template; give one with --file");
  auto values = template_variables(tokenizer.get(), parse(read_input(messages), messages), add_generation_prompt);
  if (!tools.empty()) values["tools"] = parse(read_input(tools), tools);
  for (const std::string& v : variables) {
    const size_t equals = v.find('=');
    if (equals == std::string::npos) throw Usage("--var wants NAME=JSON, not '" + v + "'");
    const std::string text = v.substr(equals + 1);
    values[v.substr(0, equals)] =
        nlohmann::ordered_json::accept(text) ? nlohmann::ordered_json::parse(text) : nlohmann::ordered_json(text);
  }
  const std::string out = ChatTemplate(source).render(values.dump());
  std::fwrite(out.data(), 1, out.size(), stdout);
  return 0;
}

}  // namespace phial::cli
