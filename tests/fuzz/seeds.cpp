// Small valid inputs of every target, made here so that no binary files need to be kept.
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "formats/gguf.h"
#include "targets.h"
#include "tokenizer/unicode.h"

namespace phial::fuzz {
namespace {

std::string written(const Metadata& metadata, const std::vector<GgufTensorPlan>& tensors) {
  std::string folder = std::filesystem::temp_directory_path().string() + "/phial-seed-XXXXXX";
  if (!::mkdtemp(folder.data())) throw std::runtime_error("no temporary folder");
  const std::string path = folder + "/seed.gguf";
  GgufWriter writer(path, metadata, tensors);
  for (const GgufTensorPlan& t : tensors) {
    std::vector<std::byte> bytes(static_cast<size_t>(t.n_bytes()));
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i % 60);
    writer.write(bytes);
  }
  writer.finish();
  std::ifstream in(path, std::ios::binary);
  std::string out((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  std::filesystem::remove_all(folder);
  return out;
}

Metadata model_metadata(const std::string& a) {
  Metadata m;
  m.set("general.architecture", a);
  m.set(a + ".block_count", uint32_t{1});
  m.set(a + ".context_length", uint32_t{64});
  m.set(a + ".embedding_length", uint32_t{32});
  m.set(a + ".feed_forward_length", uint32_t{32});
  m.set(a + ".attention.head_count", uint32_t{2});
  m.set(a + ".attention.head_count_kv", std::vector<uint32_t>{1});
  m.set(a + ".attention.layer_norm_rms_epsilon", 1e-5f);
  m.set(a + ".rope.dimension_count", uint32_t{16});
  m.set(a + ".rope.freq_base", 10000.0f);
  return m;
}

void add_pieces(Metadata& m) {
  const std::vector<std::string> tokens = {"<unk>", "<s>", "</s>", "<0x41>", "<0xFF>", "\u2581",  "H",
                                           "e",     "l",   "o",    "ll",     "llo",    "<|user|>"};
  m.set("tokenizer.ggml.model", std::string("llama"));
  m.set("tokenizer.ggml.tokens", tokens);
  m.set("tokenizer.ggml.scores", std::vector<float>{0, 0, 0, 0, 0, -1, -2, -3, -4, -5, -6, -7, 0});
  m.set("tokenizer.ggml.token_type", std::vector<int32_t>{2, 3, 3, 6, 6, 1, 1, 1, 1, 1, 1, 1, 3});
  m.set("tokenizer.ggml.bos_token_id", uint32_t{1});
  m.set("tokenizer.ggml.eos_token_id", uint32_t{2});
  m.set("tokenizer.ggml.unknown_token_id", uint32_t{0});
  m.set("tokenizer.ggml.add_bos_token", true);
}

void add_bytes(Metadata& m, const std::string& pre) {
  m.set("tokenizer.ggml.model", std::string("gpt2"));
  m.set("tokenizer.ggml.pre", pre);
  m.set("tokenizer.ggml.tokens", std::vector<std::string>{"H", "e", "l", "o", "\u0120", "ll", "llo", "<|user|>", "1", "2"});
  m.set("tokenizer.ggml.token_type", std::vector<int32_t>{1, 1, 1, 1, 1, 1, 1, 3, 1, 1});
  m.set("tokenizer.ggml.merges", std::vector<std::string>{"l l", "ll o"});
  m.set("tokenizer.ggml.eos_token_id", uint32_t{7});
}

std::string safetensors(const std::string& header, size_t n_data) {
  const uint64_t n = header.size();
  std::string out(8, '\0');
  std::memcpy(out.data(), &n, 8);
  return out + header + std::string(n_data, 'd');
}

std::string json_tokenizer(const std::string& normalizer, const std::string& pre, const std::string& model) {
  return R"({"version":"1.0","added_tokens":[{"id":12,"content":"<|user|>","special":true,"rstrip":true},)"
         R"({"id":13,"content":"w\u00f6","normalized":true,"single_word":true}],"normalizer":)" +
         normalizer + R"(,"pre_tokenizer":)" + pre + R"(,"post_processor":null,"decoder":null,"model":{"type":"BPE",)" + model +
         "}}";
}

std::string varint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  return out + static_cast<char>(value);
}
std::string field(int number, const std::string& bytes) {
  return varint(static_cast<uint64_t>(number) << 3 | 2) + varint(bytes.size()) + bytes;
}
std::string field(int number, uint64_t value) { return varint(static_cast<uint64_t>(number) << 3) + varint(value); }
std::string piece(const std::string& text, float score, uint64_t type) {
  std::string real(4, '\0');
  std::memcpy(real.data(), &score, 4);
  return field(1, field(1, text) + '\x15' + real + field(3, type));
}

}  // namespace

std::vector<std::string> gguf_seeds() {
  Metadata all;
  all.set("general.architecture", std::string("tiny"));
  all.set("a.u8", uint8_t{1});
  all.set("a.i16", int16_t{-1});
  all.set("a.f32", 1.5f);
  all.set("a.u64", uint64_t{1} << 40);
  all.set("a.f64", 2.5);
  all.set("a.bool", true);
  all.set("a.bools", std::vector<bool>{true, false});
  all.set("a.texts", std::vector<std::string>{"x", "", "\u2581y"});
  all.set("general.alignment", uint32_t{64});
  Metadata spm = model_metadata("llama"), bpe = model_metadata("qwen2"), other = model_metadata("phi3");
  add_pieces(spm);
  add_bytes(bpe, "deepseek-coder");
  add_bytes(other, "llama-bpe");
  return {written(all, {{"one", DType::f16, {2, 32}}, {"two", DType::f32, {3}}, {"three", DType::q8_0, {1, 32}}}),
          written(spm, {}), written(bpe, {{"token_embd.weight", DType::f16, {10, 32}}}), written(other, {})};
}

std::vector<std::string> safetensors_seeds() {
  return {
      safetensors(R"({"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"b":{"dtype":"BF16","shape":[3],)"
                  R"("data_offsets":[16,22]},"__metadata__":{"format":"pt"}})",
                  22),
      safetensors(
          R"({"empty":{"dtype":"F16","shape":[0,4],"data_offsets":[0,0]},"u":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}} )",
          4),
      safetensors("{}", 0)};
}

std::vector<std::string> tokenizer_json_seeds() {
  const std::string bytes =
      R"("vocab":{"H":0,"e":1,"l":2,"o":3,"\u0120":4,"ll":5,"llo":6,"1":7,"\u00c3":8,"\u00b6":9,"w":10,"r":11},)";
  const std::string merges = R"("merges":["l l",["ll","o"]])";
  return {
      json_tokenizer("null",
                     R"({"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"\\p{N}{1,3}|\\s?\\p{L}+"},)"
                     R"("behavior":"Isolated","invert":false},{"type":"ByteLevel","add_prefix_space":false,"use_regex":false}]})",
                     bytes + merges + R"(,"ignore_merges":true)"),
      json_tokenizer(R"({"type":"NFC"})", R"({"type":"ByteLevel","add_prefix_space":true,"use_regex":true})", bytes + merges),
      json_tokenizer(R"({"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"_"},{"type":"Replace","pattern":)"
                     R"({"String":" "},"content":"_"},{"type":"Lowercase"},{"type":"NFKD"}]})",
                     "null",
                     R"("byte_fallback":true,"fuse_unk":true,"unk_token":"H","vocab":{"H":0,"<0x41>":1,"_":2,"l":3,"ll":4},)"
                     R"("merges":[["l","l"]])"),
      json_tokenizer("null",
                     R"({"type":"Sequence","pretokenizers":[{"type":"Digits","individual_digits":true},{"type":"Punctuation",)"
                     R"("behavior":"Contiguous"},{"type":"Metaspace","replacement":"_","prepend_scheme":"first","split":true},)"
                     R"({"type":"Split","pattern":{"String":"e"},"behavior":"MergedWithNext","invert":true}]})",
                     R"("vocab":{"H":0,"e":1,"_":2,"l":3,"ll":4},"unk_token":"H","merges":["l l"])")};
}

std::vector<std::string> tokenizer_model_seeds() {
  std::string pieces = piece("<unk>", 0, 2) + piece("<s>", 0, 3) + piece("</s>", 0, 3);
  for (const char* byte : {"<0x00>", "<0x41>", "<0xFF>"}) pieces += piece(byte, 0, 6);
  float score = 0;
  for (const char* text : {"\u2581", "H", "e", "l", "o", "ll", "llo", "\u2581H", "w"}) pieces += piece(text, score -= 1, 1);
  const std::string trainer = field(2, field(3, 2) + field(35, 1) + field(40, uint64_t{0}) + field(41, 1) + field(42, 2));
  return {pieces + trainer + field(3, field(1, std::string("identity")) + field(3, 1) + field(4, uint64_t{0})), pieces + trainer,
          pieces + trainer + field(3, field(2, std::string("\x04\0\0\0\1\2\3\4x\0", 10)) + field(3, uint64_t{0}))};
}

std::vector<std::string> template_seeds() {
  return {
      kTemplate,
      "{%- set ns = namespace(n=0, last=none) -%}{%- for m in messages if m.role != 'system' -%}{%- set ns.n = ns.n + 1 -%}"
      "{{- loop.first ~ loop.last ~ loop.previtem|default('') -}}{%- else -%}none{%- endfor -%}{{ ns.n }}",
      "{% macro item(x, deep=1) %}{% if x is mapping %}{% for k, v in x|items %}{{ k }}={{ item(v, deep + 1) }};{% endfor %}"
      "{% elif x is iterable and x is not string %}{{ x|map('string')|join(', ') }}{% else %}{{ x }}{% endif %}{% endmacro %}"
      "{{ item(messages[0]) }}{{ item(tools) }}",
      "{{ messages|selectattr('role', 'equalto', 'user')|map(attribute='content')|list|length }}{{ "
      "messages[::-1][0]['role']|upper }}"
      "{{ 'a,b,,c'.split(',')|reject('equalto', '')|join('-') }}{{ '%s %05.2f'|format('x', 2.5) }}",
      "{% raw %}{{ no }}{% endraw %}{# a comment #}{% filter upper|trim %} text {{ bos_token }} {% endfilter %}"
      "{% call(x) wrap(3) %}{{ x }}{% endcall %}{% macro wrap(n) %}{{ caller(n) }}{% endmacro %}",
      "{% if not messages or messages[0].role not in ['system', \"user\"] %}{{ raise_exception('bad ' ~ 1) }}{% endif %}"
      "{{ strftime_now('%d %b %Y') }}{{ (1 + 2 * 3 ** 2 // 4 - -5 % 3) / 2 }}{{ [1, 2, 3]|sum }}{{ range(2, 9, 3)|list|tojson }}",
      "{% generation %}{{ '  x y  '.strip().title().replace('X', 'z') }}{% endgeneration %}{{ 'long text "
      "here'|wordwrap(5)|indent(2) }}"
      "{{ {'b': 1, 'a': [1, (2, 3)]}|tojson(indent=1) }}{{ 'a' if messages is defined else 'b' }}{% set x %}block{% endset %}{{ "
      "x }}",
      "{% for a in range(5) %}{% if a == 1 %}{% continue %}{% endif %}{% if a > 3 %}{% break %}{% endif %}{{ loop.cycle('x', "
      "'y') }}"
      "{% for b in [a] recursive %}{{ loop.depth }}{% if b is number and b < 0 %}{{ loop([b]) }}{% endif %}{% endfor %}{% endfor "
      "%}"};
}

std::vector<std::string> messages_seeds() {
  return {
      kMessages, R"({"messages":[{"role":"user","content":"a"}]})",
      R"({"messages":[{"role":"user","content":[{"type":"image"},{"type":"text","text":"\ud83d\ude00"}]}],"tools":[],"x":1e30})"};
}

}  // namespace phial::fuzz
