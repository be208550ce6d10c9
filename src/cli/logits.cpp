// phial logits: f32 logits of every position as .npy, to compare implementations.
#include <fmt/core.h>

#include <sstream>

#include "files.h"
#include "run_flags.h"
#include "phial/engine.h"
#include "phial/error.h"
#include "phial/npy.h"
#include "terminal.h"
#include "verb.h"

namespace phial::cli {
namespace {

constexpr const char* kExamples =
    "  phial logits -m phi.gguf --tokens 1,306,4966 -o logits.npy\n"
    "  phial logits -m phi.gguf -f page.txt -o logits.npy\n"
    "  phial logits -m phi.gguf -p \"Hello\" -ctk q8_0 -ub 64 -o logits.npy\n";

std::vector<int32_t> parse_ids(const std::string& text) {
  std::vector<int32_t> ids;
  std::string plain = text;
  for (char& c : plain)
    if (c == ',' || c == '[' || c == ']' || c == '\n') c = ' ';
  std::stringstream words(plain);
  for (std::string word; words >> word;) {
    int32_t id = 0;
    if (!CLI::detail::lexical_cast(word, id)) throw Usage("--tokens: '" + word + "' is not a token id");
    ids.push_back(id);
  }
  return ids;
}

}  // namespace

int logits_verb(Flags& flags) {
  RunOptions run;
  run.cache_type_k = run.cache_type_v = "f32";  // a comparison wants the exact cache unless -ctk or -ctv say otherwise
  std::string tokens, file, prompt, output;
  bool no_bos = false;
  flags.about("Writes f32 [n_tokens, vocab_size]: row i holds the logits after token i.", kExamples);
  add_run_flags(flags, run);
  flags.group("Texts and output");
  flags.text("--tokens", tokens, "IDS", "1,306,4966", "Token ids: 1,2,3");
  flags.text("--file,-f", file, "FILE", "page.txt", "A text, tokenized by the model");
  flags.text("--prompt,-p", prompt, "TEXT", "Hello", "A text on the command line");
  flags.text("--output,-o", output, "FILE", "logits.npy", "The .npy to write");
  flags.toggle("--no-bos", no_bos, "No BOS before a text, even if the model wants one");
  if (!flags.parse()) return 0;
  if (run.model.empty()) throw Usage("--model is missing: phial logits -m FILE.gguf --tokens 1,2,3 -o OUT.npy");
  if (output.empty()) throw Usage("--output is missing: -o OUT.npy");
  const bool has_prompt = flags.given("--prompt"), has_tokens = flags.given("--tokens");
  if (has_prompt + has_tokens + !file.empty() != 1) throw Usage("give one of --tokens, --file and --prompt");
  watch_interrupt();
  std::vector<int32_t> ids = parse_ids(tokens);
  if (!has_tokens) ids = Tokenizer::open(run.model)->encode(has_prompt ? unescape(prompt) : read_input(file), !no_bos, true);
  if (ids.empty()) throw Usage("there are no tokens: the text is empty");
  // Without -c the context is as long as the text; with it, the text must fit.
  if (run.n_context == 0) run.n_context = static_cast<int64_t>(ids.size());
  auto model = load_model(run);
  NpyWriter writer(output, static_cast<int64_t>(ids.size()), model->info().vocab_size);
  ProgressBar bar(false);
  const auto show = bar.callback();
  const double begin = now_seconds();
  model->logits(ids, [&](int64_t position, std::span<const float> row) {
    writer.row(row);
    if (!show({"logits", "", static_cast<uint64_t>(position + 1), ids.size(), ""}))
      throw Error(ErrorCode::cancelled, "interrupted; nothing was written");
  });
  bar.clear();
  writer.finish();
  fmt::print(stderr, "{} tokens, {:.1f} tokens/s, {} written\n", ids.size(),
             static_cast<double>(ids.size()) / (now_seconds() - begin), output);
  return 0;
}

}  // namespace phial::cli
