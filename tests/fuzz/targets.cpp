// The targets. Files lie in memory: one folder per process under /dev/shm.
#include "targets.h"

#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "base/json.h"
#include "formats/gguf.h"
#include "formats/safetensors.h"
#include "model/config.h"
#include "phial/chat_template.h"
#include "phial/error.h"
#include "phial/tokenizer.h"
#include "tokenizer/sentencepiece.h"
#include "tokenizer/vocab.h"

namespace phial::fuzz {
namespace {

/// A folder of this process that vanishes at its end.
class Folder {
 public:
  Folder() {
    std::error_code bad;
    const bool in_memory = std::filesystem::is_directory("/dev/shm", bad);
    path_ = (in_memory ? "/dev/shm" : std::filesystem::temp_directory_path().string()) + "/phial-fuzz-XXXXXX";
    if (!::mkdtemp(path_.data())) throw std::runtime_error("no temporary folder");
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string path(const char* name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// Writes the input as a file of a folder that has only it, and gives the folder.
template <char target>
const Folder& folder_with(const char* name, std::string_view bytes) {
  static const Folder folder;  // one for each target
  std::ofstream out(folder.path(name), std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return folder;
}

void answer(const Error& error) {
  if (error.code() == ErrorCode::internal || error.code() == ErrorCode::no_memory) throw;
}

void read_everything(const TensorFile& file) {
  std::vector<std::byte> bytes;
  for (const TensorEntry& tensor : file.tensors()) {
    if (tensor.foreign_type) continue;
    bytes.resize(static_cast<size_t>(tensor.n_bytes));
    file.read(tensor, 0, bytes);
    if (file.find(tensor.name) != &tensor) throw std::logic_error("a tensor is not found by its name");
  }
}

void use(const Vocab& vocab) {
  const Tokenizer tokenizer(vocab);
  const char* text = "Hello <|user|> w\xC3\xB6rld  \n\n 1234 \xE4\xBD\xA0\xE5\xA5\xBD \xFF it's <0x41>";
  for (const bool special : {false, true}) {
    const auto ids = tokenizer.encode(text, special, special);
    (void)tokenizer.decode(ids, true);
  }
  (void)tokenizer.encode_rendered(tokenizer.guard_content(text));
  for (int32_t id = 0; id < std::min(tokenizer.vocab_size(), 32); ++id) (void)tokenizer.piece(id, true);
}

void gguf(std::string_view input) {
  const std::string path = folder_with<'g'>("f.gguf", input).path("f.gguf");
  const GgufFile file = GgufFile::open(path);
  try {
    read_everything(file);
    (void)config_from_metadata(file.metadata(), file.metadata().text("general.architecture"));
  } catch (const Error& error) {
    answer(error);
  }
  use(vocab_from_metadata(file.metadata()));
}

void safetensors(std::string_view input) {
  const Folder& folder = folder_with<'s'>("model.safetensors", input);
  read_everything(SafetensorsFile::open(folder.path("model.safetensors")));
  (void)SafetensorsFile::open_folder(folder.path());
}

void tokenizer_json(std::string_view input) {
  const Vocab vocab = vocab_from_folder(folder_with<'j'>("tokenizer.json", input).path(), 0);
  use(vocab);
  Metadata metadata;
  vocab_to_metadata(vocab, metadata);
  use(vocab_from_metadata(metadata));
}

void tokenizer_model(std::string_view input) { use(vocab_from_folder(folder_with<'m'>("tokenizer.model", input).path(), 0)); }

constexpr TemplateBudget kBudget = {.max_steps = 1'000'000, .max_bytes = 8u << 20, .max_depth = 100, .max_seconds = 0.5};

void chat_template(std::string_view input) { (void)ChatTemplate(std::string(input)).render(kMessages, kBudget); }

void messages(std::string_view input) {
  static const ChatTemplate fixed(kTemplate);
  (void)parse_json(input, "messages");
  (void)fixed.render(std::string(input), kBudget);
}

const std::vector<std::string>& no_words() {
  static const std::vector<std::string> words;
  return words;
}
const std::vector<std::string>& json_words() {
  static const std::vector<std::string> words = {"{",
                                                 "}",
                                                 "[",
                                                 "]",
                                                 ":",
                                                 ",",
                                                 "\"",
                                                 "null",
                                                 "true",
                                                 "-1",
                                                 "1e400",
                                                 "9223372036854775808",
                                                 "\\u0000",
                                                 "\\ud800",
                                                 "\"type\":",
                                                 "\"Split\"",
                                                 "\"Regex\":",
                                                 "\"Sequence\"",
                                                 "\"normalizer\":",
                                                 "\"pretokenizers\":",
                                                 "\"ByteLevel\"",
                                                 "\"Metaspace\"",
                                                 "\"Replace\"",
                                                 "\"vocab\":",
                                                 "\"merges\":",
                                                 "\"added_tokens\":",
                                                 "\"shape\":",
                                                 "\"data_offsets\":",
                                                 "\"dtype\":",
                                                 "\"role\":",
                                                 "\"content\":",
                                                 "\"tool_calls\":",
                                                 "(a+)+$",
                                                 "(?=",
                                                 "\\\\p{L}",
                                                 "{1,99999}"};
  return words;
}
const std::vector<std::string>& template_words() {
  static const std::vector<std::string> words = {"{{",
                                                 "}}",
                                                 "{%",
                                                 "%}",
                                                 "{%-",
                                                 "-%}",
                                                 "{#",
                                                 "#}",
                                                 "(",
                                                 ")",
                                                 "[",
                                                 "]",
                                                 "|",
                                                 ".",
                                                 "~",
                                                 "**",
                                                 "//",
                                                 "%",
                                                 " in ",
                                                 " not ",
                                                 " is ",
                                                 " and ",
                                                 " or ",
                                                 " if ",
                                                 " else ",
                                                 "{% for m in messages %}",
                                                 "{% endfor %}",
                                                 "{% if x %}",
                                                 "{% endif %}",
                                                 "{% set x = ",
                                                 "{% macro f(a) %}",
                                                 "{% endmacro %}",
                                                 "{% call ",
                                                 "{% filter upper %}",
                                                 "{% endfilter %}",
                                                 "{% raw %}",
                                                 "{% generation %}",
                                                 "loop.index",
                                                 "loop.cycle(",
                                                 "namespace(",
                                                 "range(",
                                                 "raise_exception(",
                                                 "strftime_now(",
                                                 "tojson",
                                                 "join(",
                                                 "replace(",
                                                 "selectattr(",
                                                 "map(attribute=",
                                                 "sort",
                                                 "groupby(",
                                                 "batch(",
                                                 "slice(",
                                                 "format(",
                                                 "indent(",
                                                 "wordwrap(",
                                                 "urlize",
                                                 "[::-1]",
                                                 "[1:2]",
                                                 "'a'",
                                                 "10**9",
                                                 "none",
                                                 "defined",
                                                 "__class__",
                                                 "recursive",
                                                 "self",
                                                 "messages[0]",
                                                 "break",
                                                 "continue"};
  return words;
}

}  // namespace

const char* const kTemplate =
    "{% for m in messages %}{{ loop.index ~ m['role'] }}: {% if m.content is string %}{{ m.content|trim }}{% else %}"
    "{% for p in m.content %}{{ p.text|default(p|tojson) }}{% endfor %}{% endif %}"
    "{% for t in m.tool_calls or [] %}{{ t.function.name }}{{ t.function.arguments|tojson(indent=2) }}{% endfor %}\n"
    "{% endfor %}{{ tools|tojson if tools else '' }}{% if add_generation_prompt %}>{% endif %}";
const char* const kMessages =
    R"({"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hello \u4f60\u597d <b>"},)"
    R"({"role":"assistant","content":"","tool_calls":[{"type":"function","function":{"name":"f","arguments":{"a":[1,2.5,null]}}}]},)"
    R"({"role":"tool","content":[{"type":"text","text":"x"}]}],"tools":[{"type":"function","function":{"name":"f"}}],)"
    R"("add_generation_prompt":true,"bos_token":"<s>","eos_token":"</s>"})";

const std::vector<Target>& targets() {
  static const std::vector<Target> all = {{"gguf", gguf, gguf_seeds, no_words},
                                          {"safetensors", safetensors, safetensors_seeds, json_words},
                                          {"tokenizer_json", tokenizer_json, tokenizer_json_seeds, json_words},
                                          {"tokenizer_model", tokenizer_model, tokenizer_model_seeds, no_words},
                                          {"template", chat_template, template_seeds, template_words},
                                          {"messages", messages, messages_seeds, json_words}};
  return all;
}

void run(const char* name, const unsigned char* data, size_t size) {
  for (const Target& target : targets()) {
    if (std::strcmp(target.name, name) != 0) continue;
    try {
      target.run({reinterpret_cast<const char*>(data), size});
    } catch (const Error& error) {
      answer(error);
    }
    return;
  }
  throw std::logic_error("no such target");
}

}  // namespace phial::fuzz
