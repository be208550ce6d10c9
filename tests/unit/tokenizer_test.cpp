// Tokenizers against the ids that Hugging Face gives: real vocabularies from the shared data, phial-tiny from the repository.
#include "phial/tokenizer.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "formats/gguf.h"
#include "phial/error.h"
#include "tokenizer/vocab.h"

using namespace phial;

namespace {

std::string shared_data() {
  const char* set = std::getenv("PHIAL_SHARED");
  return std::string(set ? set : PHIAL_SOURCE_DIR "/../shared") + "/data";
}

std::string slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::vector<std::string> split(const std::string& text, const std::string& at) {
  std::vector<std::string> out;
  size_t i = 0;
  for (size_t hit; (hit = text.find(at, i)) != std::string::npos; i = hit + at.size()) out.push_back(text.substr(i, hit - i));
  out.push_back(text.substr(i));
  return out;
}

const std::string kTiny = PHIAL_SOURCE_DIR "/models/phial-tiny";

}  // namespace

TEST_CASE("published vocabularies give Hugging Face's ids") {
  const std::string folder = shared_data() + "/vocab";
  if (!std::filesystem::exists(folder)) {
    MESSAGE("skipped: " << folder << " is not there");
    return;
  }
  for (const char* name : {"llama-spm", "phi-3", "gpt-2", "starcoder", "deepseek-coder"}) {
    CAPTURE(name);
    const std::string path = folder + "/ggml-vocab-" + name + ".gguf";
    const auto tokenizer = Tokenizer::open(path);
    const std::vector<std::string> texts = split(slurp(path + ".inp"), "\n__ggml_vocab_test__\n");
    const std::vector<std::string> lines = split(slurp(path + ".out"), "\n");
    REQUIRE(texts.size() > 40);
    for (size_t i = 0; i < texts.size(); ++i) {
      CAPTURE(texts[i]);
      std::istringstream line(lines[i]);
      std::vector<int32_t> wanted;
      for (int32_t id; line >> id;) wanted.push_back(id);
      const std::vector<int32_t> ids = tokenizer->encode(texts[i], false, true);
      CHECK(ids == wanted);
      CHECK(tokenizer->decode(ids, true) == texts[i]);
    }
  }
}

TEST_CASE("phial-tiny: special tokens take white space with them, and each stretch gets its prefix") {
  const auto t = Tokenizer::open(kTiny);
  const auto ids = [&](const char* text) { return t->encode(text, false, true); };
  using Ids = std::vector<int32_t>;
  CHECK(ids("Hello") == Ids{2006});
  CHECK(ids("  Hello") == Ids{266, 2006});
  CHECK(ids("<|user|>\nHi there<|end|>\n<|assistant|>\n") == Ids{4074, 355, 3985, 661, 4071, 4065});
  CHECK(ids("a<|user|> b") == Ids{261, 4074, 285});
  CHECK(ids("<s> x") == Ids{1, 266, 4014});
  CHECK(ids("</s>  y</s>z") == Ids{2, 313, 2, 2366});
  CHECK(ids("") == Ids{});
  CHECK(ids("\n") == Ids{3978, 13});
  CHECK(t->is_end_of_generation(4071));
  CHECK(t->is_end_of_generation(4065));
  CHECK(t->is_end_of_generation(4064));
  CHECK_FALSE(t->is_end_of_generation(4074));
}

TEST_CASE("a vocabulary comes back from GGUF metadata as it was") {
  const Vocab v = vocab_from_folder(kTiny, 4096);
  CHECK_NOTHROW(check_vocab_of_folder(kTiny, v));
  CHECK(v.tokens.size() == 4096);
  CHECK(v.tokens[4095] == "[PAD4095]");
  CHECK(v.types[4095] == TokenType::unused);
  Metadata m;
  vocab_to_metadata(v, m);
  const Vocab w = vocab_from_metadata(m);
  CHECK(w.tokens == v.tokens);
  CHECK(w.types == v.types);
  CHECK(w.eog == v.eog);
  CHECK(w.ties == v.ties);
  CHECK(w.chat_template == v.chat_template);
  REQUIRE(w.added.size() == v.added.size());
  for (size_t i = 0; i < v.added.size(); ++i) {
    CHECK(w.added[i].id == v.added[i].id);
    CHECK(w.added[i].rstrip == v.added[i].rstrip);
    CHECK(w.added[i].special == v.added[i].special);
  }
}
