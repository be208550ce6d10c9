// Hostile vocabularies and texts: each ends in the code that the table of bad inputs names, or gives right tokens in linear time.
#include <doctest/doctest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cmath>

#include "phial/tokenizer.h"
#include "test_files.h"
#include "tokenizer/regex.h"
#include "tokenizer/sentencepiece.h"
#include "tokenizer/vocab.h"

using namespace phial;

namespace {

using Ids = std::vector<int32_t>;
using Strings = std::vector<std::string>;

#define CHECK_FAILS(expression, wanted) CHECK_MESSAGE(test::code_of([&] { (void)(expression); }) == wanted, #expression)

/// <unk>, <s>, </s>, 256 byte tokens, and a few pieces.
Metadata small_spm() {
  Strings tokens = {"<unk>", "<s>", "</s>"};
  std::vector<int32_t> types = {2, 3, 3};
  for (int b = 0; b < 256; ++b) {
    char text[8];
    std::snprintf(text, sizeof text, "<0x%02X>", static_cast<unsigned>(b));
    tokens.emplace_back(text);
    types.push_back(6);
  }
  for (const char* piece : {"\xE2\x96\x81", "a", "b", "ab",
                            "\xE2\x96\x81"
                            "a",
                            "abab", "\xE2\x96\x81\xE2\x96\x81"}) {
    tokens.emplace_back(piece);
    types.push_back(1);
  }
  std::vector<float> scores(tokens.size());
  for (size_t i = 0; i < scores.size(); ++i) scores[i] = -static_cast<float>(i);
  Metadata m;
  m.set("tokenizer.ggml.model", std::string("llama"));
  m.set("tokenizer.ggml.tokens", tokens);
  m.set("tokenizer.ggml.token_type", types);
  m.set("tokenizer.ggml.scores", scores);
  m.set("tokenizer.ggml.bos_token_id", uint32_t{1});
  m.set("tokenizer.ggml.eos_token_id", uint32_t{2});
  m.set("tokenizer.ggml.unknown_token_id", uint32_t{0});
  return m;
}

Strings byte_letters() {
  Strings out;
  for (int b = 0; b < 256; ++b) {
    const bool printable = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
    static int next;
    if (b == 0) next = 256;
    const int code = printable ? b : next++;
    std::string letter;
    if (code < 0x80)
      letter = static_cast<char>(code);
    else
      (letter += static_cast<char>(0xC0 | code >> 6)) += static_cast<char>(0x80 | (code & 63));
    out.push_back(letter);
  }
  return out;
}

/// All bytes, "ab", "abab", and a control token.
Metadata small_bpe(const std::string& pre = "gpt-2") {
  Strings tokens = byte_letters();
  for (const char* t : {"ab", "abab", "<|im_end|>"}) tokens.emplace_back(t);
  std::vector<int32_t> types(tokens.size(), 1);
  types.back() = 3;
  Metadata m;
  m.set("tokenizer.ggml.model", std::string("gpt2"));
  m.set("tokenizer.ggml.pre", pre);
  m.set("tokenizer.ggml.tokens", tokens);
  m.set("tokenizer.ggml.token_type", types);
  m.set("tokenizer.ggml.merges", Strings{"a b", "ab ab"});
  m.set("tokenizer.ggml.eos_token_id", uint32_t{258});
  return m;
}

template <typename T>
Metadata with(Metadata m, const char* key, T value) {
  m.set(key, std::move(value));
  return m;
}

Metadata with_token(Metadata m, size_t id, const std::string& text) {
  Strings tokens = *m.array<std::string>("tokenizer.ggml.tokens");
  tokens[id] = text;
  m.set("tokenizer.ggml.tokens", tokens);
  return m;
}

Tokenizer make(const Metadata& m) { return Tokenizer(vocab_from_metadata(m)); }

/// A tokenizer.json of the bytes' letters with parts to fill in.
std::string json_tokenizer(const std::string& more_vocab, const std::string& merges, const std::string& pattern = "\\\\s+",
                           const std::string& added = "") {
  std::string vocab;
  const Strings letters = byte_letters();
  for (size_t i = 0; i < letters.size(); ++i) {
    const std::string escape = letters[i] == "\"" || letters[i] == "\\" ? "\\" : "";
    vocab += (i ? ",\"" : "\"") + escape + letters[i] + "\":" + std::to_string(i);
  }
  return R"({"added_tokens":[)" + added + R"(],"normalizer":null,"pre_tokenizer":{"type":"Sequence","pretokenizers":[)" +
         R"({"type":"Split","pattern":{"Regex":")" + pattern + R"("},"behavior":"Isolated","invert":false},)" +
         R"({"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":false}]},"post_processor":null,)" +
         R"("decoder":{"type":"ByteLevel"},"model":{"type":"BPE","vocab":{)" + vocab + more_vocab + R"(},"merges":[)" + merges +
         "]}}";
}

Vocab vocab_of_json(const std::string& json, int64_t rows = 0) {
  const test::TempFolder folder;
  test::write_bytes(folder / "tokenizer.json", json);
  return vocab_from_folder(folder.path(), rows);
}

}  // namespace

TEST_CASE("B09: a vocabulary must be there") {
  Metadata m = small_spm();
  m.erase("tokenizer.ggml.tokens");
  CHECK_FAILS(vocab_from_metadata(m), "VOCAB");
  CHECK_FAILS(vocab_from_metadata(with(small_spm(), "tokenizer.ggml.tokens", Strings{})), "VOCAB");
  CHECK_FAILS(vocab_from_metadata(with(small_spm(), "tokenizer.ggml.tokens", Strings{"a"})), "VOCAB");
  CHECK_FAILS(vocab_from_metadata(Metadata()), "VOCAB");
  CHECK_FAILS(vocab_from_metadata(with(small_spm(), "tokenizer.ggml.model", std::string("bert"))), "VOCAB");
  CHECK_NOTHROW(vocab_from_metadata(small_spm()));
  CHECK_NOTHROW(vocab_from_metadata(small_bpe()));
}

TEST_CASE("B10: scores and types of the right kind and number") {
  const size_t n = small_spm().array<std::string>("tokenizer.ggml.tokens")->size();
  CHECK_FAILS(vocab_from_metadata(with(small_spm(), "tokenizer.ggml.scores", std::vector<int8_t>(n))), "TYPE");
  CHECK_FAILS(vocab_from_metadata(with(small_spm(), "tokenizer.ggml.token_type", std::vector<int8_t>(n))), "TYPE");
  CHECK_FAILS(vocab_from_metadata(with(small_spm(), "tokenizer.ggml.scores", std::vector<float>(n - 1))), "TYPE");
  CHECK_FAILS(vocab_from_metadata(with(small_spm(), "tokenizer.ggml.token_type", std::vector<int32_t>(n - 1, 1))), "TYPE");
  CHECK_FAILS(vocab_from_metadata(with(small_spm(), "tokenizer.ggml.token_type", std::vector<int32_t>(n, 7))), "VOCAB");
  CHECK_FAILS(vocab_from_metadata(with(small_spm(), "tokenizer.ggml.tokens", std::vector<int32_t>(n))), "TYPE");
  CHECK_FAILS(vocab_from_metadata(with(small_spm(), "tokenizer.ggml.scores", std::vector<float>(n, std::nanf("")))), "VOCAB");
}

TEST_CASE("B11: special ids within the vocabulary") {
  const auto n = static_cast<uint32_t>(small_spm().array<std::string>("tokenizer.ggml.tokens")->size());
  for (const char* key : {"tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id", "tokenizer.ggml.unknown_token_id",
                          "tokenizer.ggml.padding_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
    CHECK_FAILS(vocab_from_metadata(with(small_spm(), key, n)), "VOCAB");
    CHECK_FAILS(vocab_from_metadata(with(small_spm(), key, UINT32_MAX)), "VOCAB");
    CHECK_FAILS(vocab_from_metadata(with(small_spm(), key, int32_t{-1})), "VOCAB");
    CHECK_FAILS(vocab_from_metadata(with(small_spm(), key, UINT64_MAX)), "VOCAB");
    CHECK_NOTHROW(vocab_from_metadata(with(small_spm(), key, n - 1)));
  }
  CHECK_FAILS(vocab_from_metadata(with(small_spm(), "phial.tokenizer.eog_token_ids", std::vector<int32_t>{-1})), "VOCAB");
  Metadata m = with(small_spm(), "phial.tokenizer.added_token_ids", std::vector<int32_t>{static_cast<int32_t>(n)});
  CHECK_FAILS(vocab_from_metadata(with(m, "phial.tokenizer.added_token_flags", std::vector<uint32_t>{1})), "VOCAB");
  CHECK_FAILS(vocab_from_metadata(with(m, "phial.tokenizer.added_token_flags", std::vector<uint32_t>{1, 1})), "VOCAB");
}

TEST_CASE("B12: byte tokens are bytes") {
  for (const char* text : {"<0x-1>", "<0x-f>", "<0xZZ>", "<0x100>", "<0x0>", "", "<0x 1>"})
    CHECK_FAILS(vocab_from_metadata(with_token(small_spm(), 3 + 65, text)), "VOCAB");
  CHECK_NOTHROW(vocab_from_metadata(with_token(small_spm(), 3 + 65, "<0x41>")));
}

TEST_CASE("B13: token length") {
  CHECK_FAILS(vocab_from_metadata(with_token(small_spm(), 260, std::string((64 << 10) + 1, 'x'))), "LIMIT");
  const Tokenizer t = make(with_token(small_spm(), 260, std::string(64 << 10, 'x')));
  CHECK(t.piece(260).size() == 64 << 10);
}

TEST_CASE("B14: merges") {
  for (const char* merge : {"ab", "a b c", "a zz", "zz a", " a", "a ", "", " ", "a  b", "b a"})
    CHECK_FAILS(vocab_from_metadata(with(small_bpe(), "tokenizer.ggml.merges", Strings{merge})), "VOCAB");
  CHECK_FAILS(vocab_from_metadata(with(small_bpe(), "tokenizer.ggml.merges", Strings(10'000'000, "a b"))), "LIMIT");
  CHECK_FAILS(vocab_from_metadata(with(small_bpe(), "tokenizer.ggml.merges", std::vector<int32_t>{1})), "TYPE");
  Metadata none = small_bpe();
  none.erase("tokenizer.ggml.merges");
  CHECK_FAILS(vocab_from_metadata(none), "VOCAB");
  Metadata m = with(small_spm(), "phial.tokenizer.merge_ties", std::string("listed"));
  CHECK_FAILS(vocab_from_metadata(m), "VOCAB");
  CHECK_FAILS(vocab_from_metadata(with(m, "phial.tokenizer.merges", std::vector<int32_t>{260, 261})), "VOCAB");
  CHECK_FAILS(vocab_from_metadata(with(m, "phial.tokenizer.merges", std::vector<int32_t>{260, 261, 9999})), "VOCAB");
  CHECK_FAILS(vocab_from_metadata(with(m, "phial.tokenizer.merges", std::vector<int32_t>{260, 261, 263})), "VOCAB");
  CHECK_NOTHROW(vocab_from_metadata(with(m, "phial.tokenizer.merges", std::vector<int32_t>{260, 261, 262})));
  CHECK_FAILS(vocab_from_metadata(with(small_spm(), "phial.tokenizer.merge_ties", std::string("x"))), "VOCAB");
}

TEST_CASE("B15: character maps of SentencePiece") {
  const char* key = "tokenizer.ggml.precompiled_charsmap";
  using Bytes = std::vector<uint8_t>;
  CHECK_FAILS(vocab_from_metadata(with(small_spm(), key, Bytes{255, 255, 255, 255, 0})), "VOCAB");  // trie larger than the map
  CHECK_FAILS(vocab_from_metadata(with(small_spm(), key, Bytes{8, 0, 0, 0, 1, 2, 3, 4})), "VOCAB");
  CHECK_FAILS(vocab_from_metadata(with(small_spm(), key, Bytes{1, 2})), "VOCAB");
  CHECK_FAILS(vocab_from_metadata(with(small_spm(), key, Bytes{4, 0, 0, 0, 1, 2, 3, 4, 'x'})), "VOCAB");  // no NUL
  CHECK_FAILS(vocab_from_metadata(with(small_spm(), key, std::vector<int32_t>{4})), "TYPE");
  CHECK_NOTHROW(vocab_from_metadata(with(small_spm(), key, Bytes{4, 0, 0, 0, 1, 2, 3, 4, 'x', 0})));
}

TEST_CASE("B16: duplicate, empty and invalid token texts load; the first id wins") {
  Metadata m = with_token(with_token(with_token(small_spm(), 263, "ab"), 264, ""), 265, "\xFF\xC0");
  const Tokenizer t = make(m);
  CHECK(t.encode("ab", false, true) == Ids{259, 262});  // the prefix, then the first "ab"
  CHECK(t.piece(265) == "\xFF\xC0");
  CHECK(t.piece(264).empty());
  const Metadata gap = with_token(with(small_bpe(), "tokenizer.ggml.merges", Strings{"a b"}), 257, "");
  CHECK(make(gap).encode("ab", false, true) == Ids{256});
}

TEST_CASE("unknown rules are an error that says so") {
  CHECK_FAILS(vocab_from_metadata(small_bpe("never-heard-of")), "VOCAB");
  const Metadata kept =
      with(small_bpe("never-heard-of"), "phial.tokenizer.pre_tokenizer", std::string(R"({"type":"ByteLevel"})"));
  CHECK_NOTHROW(vocab_from_metadata(kept));
  CHECK_FAILS(vocab_from_metadata(with(kept, "phial.tokenizer.pre_tokenizer", std::string(R"({"type":"Magic"})"))), "VOCAB");
  CHECK_FAILS(vocab_from_metadata(with(kept, "phial.tokenizer.pre_tokenizer", std::string("{"))), "JSON");
  CHECK_FAILS(make(with(kept, "phial.tokenizer.pre_tokenizer",
                        std::string(R"({"type":"Split","pattern":{"Regex":"("},"behavior":"Isolated","invert":false})"))),
              "VOCAB");
  CHECK_FAILS(vocab_from_metadata(with(kept, "phial.tokenizer.normalizer", std::string(R"({"type":"Precompiled"})"))), "VOCAB");
}

TEST_CASE("C11: hostile tokenizer.json") {
  const std::string ab = R"(,"ab":256)";
  CHECK(vocab_of_json(json_tokenizer(ab, R"("a b")")).tokens.size() == 257);
  CHECK(vocab_of_json(json_tokenizer(ab, R"(["a","b"])")).merges.size() == 1);
  CHECK_FAILS(vocab_of_json(json_tokenizer(R"(,"ab":2147483648)", "")), "VOCAB");
  CHECK_FAILS(vocab_of_json(json_tokenizer(R"(,"ab":2147483647)", "")), "VOCAB");
  CHECK_FAILS(vocab_of_json(json_tokenizer(R"(,"ab":-1)", "")), "VOCAB");
  CHECK_FAILS(vocab_of_json(json_tokenizer(R"(,"ab":1.5)", "")), "VOCAB");
  CHECK_FAILS(vocab_of_json(json_tokenizer(R"(,"ab":7)", "")), "VOCAB");  // two texts, one id
  CHECK_FAILS(vocab_of_json(json_tokenizer(R"(,"ab":256,"ab":257)", "")), "DUP");
  CHECK_FAILS(vocab_of_json(json_tokenizer(ab, R"("a b c")")), "VOCAB");
  CHECK_FAILS(vocab_of_json(json_tokenizer(ab, R"(["a"])")), "VOCAB");
  CHECK_FAILS(vocab_of_json(json_tokenizer(ab, "1")), "VOCAB");
  CHECK_FAILS(vocab_of_json(json_tokenizer(ab, R"("b a")")), "VOCAB");
  CHECK_FAILS(Tokenizer(vocab_of_json(json_tokenizer(ab, "", "("))), "VOCAB");
  CHECK_FAILS(vocab_of_json(json_tokenizer(ab, "", "\\\\s+", R"({"id":300000,"content":"x"})")), "VOCAB");
  CHECK_FAILS(vocab_of_json(json_tokenizer(ab, "", "\\\\s+", R"({"id":300,"content":"x"})"), 300), "VOCAB");
  CHECK_FAILS(vocab_of_json("{}"), "VOCAB");
  CHECK_FAILS(vocab_of_json(R"({"model":{"type":"Unigram","vocab":[]}})"), "VOCAB");
  CHECK_FAILS(vocab_of_json("{\"model\":"), "JSON");
  const test::TempFolder empty;
  CHECK_FAILS(vocab_from_folder(empty.path(), 0), "VOCAB");

  // Holes become padding.
  const Vocab holes = vocab_of_json(json_tokenizer(R"(,"ab":260)", ""), 300);
  CHECK(holes.tokens.size() == 300);
  CHECK(holes.tokens[258] == "[PAD258]");
  CHECK(holes.types[258] == TokenType::unused);
}

TEST_CASE("patterns that backtrack without bound end in an error") {
  for (const char* pattern : {"(a+)+$", "(a|aa)+$", "(a+)+!!", "(a+)+[bc]"}) {
    CAPTURE(pattern);
    const Tokenizer t(vocab_of_json(json_tokenizer("", "", pattern)));
    CHECK_FAILS(t.encode(std::string(5000, 'a') + "!", false, true), "BUDGET");
    CHECK_NOTHROW(t.encode("short aab", false, true));
  }
  std::string nested;
  for (int i = 0; i < 5000; ++i) nested += '(';
  CHECK_FAILS(Regex(nested + "a"), "VOCAB");
  CHECK_FAILS(Regex(std::string(100 << 10, 'a')), "LIMIT");
  CHECK_FAILS(Regex("\xFF"), "VOCAB");
}

TEST_CASE("damaged SentencePiece files") {
  CHECK_FAILS(parse_sentencepiece("", "m"), "VOCAB");
  CHECK_FAILS(parse_sentencepiece("\x0A\xFF\xFF\xFF\xFF\x0F", "m"), "VOCAB");
  CHECK_FAILS(parse_sentencepiece(std::string("\x0A\x05\x0A\xFF\xFF\xFF\x7F", 7), "m"), "VOCAB");
  CHECK_FAILS(parse_sentencepiece("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", "m"), "VOCAB");
  // Two pieces, and a trainer spec of the unigram kind.
  const std::string pieces = std::string("\x0A\x03\x0A\x01") + "a" + "\x0A\x03\x0A\x01" + "b";
  CHECK_FAILS(parse_sentencepiece(pieces, "m"), "VOCAB");
  CHECK(parse_sentencepiece(pieces + std::string("\x12\x02\x18\x02", 4), "m").pieces.size() == 2);
  CHECK_FAILS(parse_sentencepiece(pieces + std::string("\x12\x02\x18", 3), "m"), "VOCAB");
  // Every prefix of a real file loads or is refused.
  const std::string whole = test::read_bytes(PHIAL_SOURCE_DIR "/models/phial-tiny/tokenizer.model");
  REQUIRE(whole.size() > 50000);
  CHECK(parse_sentencepiece(whole, "m").pieces.size() == 4064);
  for (size_t n = 0; n < whole.size(); n += n < 2000 ? 1 : 997)
    CHECK_FAILS(parse_sentencepiece(whole.substr(0, n), "m"), "VOCAB");
}

TEST_CASE("D01, D02: long runs and long words, on a small stack") {
  struct Case {
    const char* name;
    std::string text;
    size_t n_spm, n_bpe;
  };
  const size_t mib = size_t{1} << 20;
  std::string ab, cjk;
  for (int i = 0; i < 500'000; ++i) ab += "ab";
  for (int i = 0; i < 26'000; ++i) cjk += "\xE6\xBC\xA2";
  const Case cases[] = {{"A", std::string(43'000, 'A'), 43'001, 43'000},
                        {"Z", std::string(131'072, 'Z'), 131'073, 131'072},
                        {"CJK", cjk, 78'001, 78'000},
                        {"ab", ab, 250'001, 250'000},
                        {"spaces", std::string(mib, ' '), mib / 2 + 1, mib},
                        {"newlines", std::string(mib, '\n'), mib + 1, mib}};
  for (const char* pre : {"gpt-2", "llama-bpe", "gpt-4o", "deepseek-coder", "starcoder"}) {
    CAPTURE(pre);
    std::string failure;
    test::on_small_stack([&] {
      const Tokenizer bpe = make(small_bpe(pre)), spm = make(small_spm());
      for (const Case& c : cases) {
        const Ids b = bpe.encode(c.text, false, true);
        if (b.size() != c.n_bpe || bpe.decode(b) != c.text) failure += std::string(c.name) + " (bpe) ";
        if (std::string(pre) != "gpt-2") continue;
        const Ids s = spm.encode(c.text, false, true);
        if (s.size() != c.n_spm || spm.decode(s) != c.text) failure += std::string(c.name) + " (spm) " + std::to_string(s.size());
      }
    });
    CHECK(failure == "");
  }
}

TEST_CASE("D03: a text of 2 GiB is refused before anything is read") {
  const size_t size = size_t{1} << 31;
  void* nothing = mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  REQUIRE(nothing != MAP_FAILED);
  const Tokenizer t = make(small_bpe());
  CHECK_FAILS(t.encode({static_cast<const char*>(nothing), size}, true, true), "LIMIT");
  munmap(nothing, size);
}

TEST_CASE("normalizer rules cannot fill the memory") {
  std::string rules = R"({"type":"Sequence","normalizers":[)";
  for (int i = 0; i < 20; ++i)
    rules +=
        std::string(i ? "," : "") + R"({"type":"Replace","pattern":{"String":"a"},"content":")" + std::string(1000, 'a') + "\"}";
  const Tokenizer t = make(with(small_bpe(), "phial.tokenizer.normalizer", rules + "]}"));
  CHECK_FAILS(t.encode(std::string(10'000, 'a'), false, true), "BUDGET");
}

TEST_CASE("D04: bytes that are no UTF-8 come back") {
  const Tokenizer bpe = make(small_bpe("llama-bpe")), spm = make(small_spm());
  for (const std::string text : {"\xC0\x80", "\xED\xA0\x80", "\xF5\x80\x80\x80", "\x80", "a\xF0\x9F\x98", "\xF0\x9F\x98 b\xFF"}) {
    CHECK(bpe.decode(bpe.encode(text, true, true)) == text);
    CHECK(spm.decode(spm.encode(text, true, true)) == text);
  }
  const std::string nul("a\0b", 3);
  CHECK(bpe.decode(bpe.encode(nul, true, true)) == nul);
  CHECK(spm.decode(spm.encode(nul, true, true)) == nul);
  CHECK(spm.encode("\xC0", false, true) == Ids{259, 3 + 0xC0});
}

TEST_CASE("D05: texts of special tokens in a message stay text") {
  const std::string content = "x<|im_end|>y <s> </s><unk>";
  for (const Metadata& m : {small_bpe(), small_spm()}) {
    const Tokenizer t = make(m);
    const Vocab& v = t.vocab();
    for (const int32_t id : t.encode(content, false, false)) CHECK(v.types[static_cast<size_t>(id)] != TokenType::control);
    CHECK(t.decode(t.encode(content, false, false)) == content);
    // The same by guarding the content within a rendered template.
    const std::string guarded = t.guard_content(content);
    CHECK(guarded != content);
    CHECK(t.holds_control_token(content));
    CHECK(t.encode_rendered(guarded) == t.encode(content, false, false));
    CHECK_FALSE(t.holds_control_token("nothing < | here"));
  }
  const Tokenizer t = make(small_bpe());
  CHECK(t.encode("<|im_end|>", false, true) == Ids{258});
  const Ids mixed = t.encode_rendered("<|im_end|>" + t.guard_content("<|im_end|>") + "<|im_end|>");
  CHECK(mixed.front() == 258);
  CHECK(mixed.back() == 258);
  CHECK(std::count(mixed.begin(), mixed.end(), 258) == 2);
  const std::string odd = "\xEF\xB7\x90\xEF\xB7\x90<\xEF\xB7\x90|im_end|>";  // guards in the content itself
  CHECK(t.decode(t.encode_rendered(t.guard_content(odd))) == odd);
}

TEST_CASE("D06: ids that are no tokens") {
  const Tokenizer t = make(small_spm());
  for (const int32_t id : {-1, t.vocab_size(), INT32_MIN, INT32_MAX}) {
    CHECK_FAILS(t.decode(Ids{id}), "TOKEN");
    CHECK_FAILS(t.piece(id), "TOKEN");
    CHECK_FALSE(t.is_end_of_generation(id));
  }
}
