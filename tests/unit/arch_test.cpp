// The tensor tables: names, shapes and order of what each architecture is made of.
#include "model/arch.h"

#include <doctest/doctest.h>

#include <map>
#include <set>

#include "base/fail.h"

using namespace phial;

namespace {

Json small_json() {
  return Json{{"hidden_size", 64},        {"intermediate_size", 96}, {"num_hidden_layers", 2},         {"num_attention_heads", 4},
              {"num_key_value_heads", 2}, {"vocab_size", 288},       {"max_position_embeddings", 256}, {"rms_norm_eps", 1e-5}};
}

std::map<std::string, ExpectedTensor> table(const char* hf_name, const Json& json) {
  const Architecture& arch = architecture_by_hf(hf_name);
  const Config config = arch.from_json(json);
  std::map<std::string, ExpectedTensor> out;
  std::set<std::string> sources;
  int last_layer = -1;
  for (ExpectedTensor& t : expected_tensors(arch, config)) {
    CHECK(t.gguf.find('{') == std::string::npos);
    CHECK(t.hf.find('{') == std::string::npos);
    CHECK(t.layer >= last_layer);  // file order
    last_layer = t.layer;
    if (!t.hf.empty()) CHECK(sources.insert(t.hf).second);
    const std::string name = t.gguf;
    CHECK(out.emplace(name, std::move(t)).second);
  }
  return out;
}

using Shape = std::vector<int64_t>;

}  // namespace

TEST_CASE("tensor table: phi3") {
  Json json = small_json();
  json["tie_word_embeddings"] = false;
  auto t = table("Phi3ForCausalLM", json);
  CHECK(t.size() == 3 + 2 * 6);
  CHECK(t.at("blk.1.attn_qkv.weight").shape == Shape{64 + 2 * 32, 64});
  CHECK(t.at("blk.1.attn_qkv.weight").hf == "model.layers.1.self_attn.qkv_proj.weight");
  CHECK(t.at("blk.0.ffn_up.weight").shape == Shape{192, 64});
  CHECK(t.at("blk.0.ffn_down.weight").shape == Shape{64, 96});
  CHECK(t.at("token_embd.weight").shape == Shape{288, 64});

  json["tie_word_embeddings"] = true;
  json["partial_rotary_factor"] = 0.75;
  const std::vector<float> factors(6, 1.5f);
  json["rope_scaling"] = {{"type", "longrope"}, {"short_factor", factors}, {"long_factor", factors}};
  t = table("Phi3ForCausalLM", json);
  CHECK_FALSE(t.contains("output.weight"));
  CHECK(t.at("rope_factors_long.weight").shape == Shape{6});
  CHECK(t.at("rope_factors_short.weight").hf.empty());
}

TEST_CASE("tensor table: llama and mistral") {
  Json json = small_json();
  auto t = table("LlamaForCausalLM", json);
  CHECK(t.size() == 3 + 2 * 9);
  CHECK(t.at("blk.0.attn_q.weight").spec->transform == Transform::permute_q);
  CHECK(t.at("blk.0.attn_k.weight").spec->transform == Transform::permute_kv);
  CHECK(t.at("blk.0.attn_v.weight").spec->transform == Transform::none);
  CHECK(t.at("blk.0.attn_k.weight").shape == Shape{32, 64});
  json["head_dim"] = 32;
  json["attention_bias"] = true;
  json["rope_scaling"] = {{"rope_type", "llama3"}, {"factor", 8}, {"original_max_position_embeddings", 128}};
  t = table("LlamaForCausalLM", json);
  CHECK(t.at("blk.0.attn_q.weight").shape == Shape{128, 64});
  CHECK(t.at("blk.0.attn_q.bias").shape == Shape{128});
  CHECK(t.at("blk.0.attn_q.bias").spec->transform == Transform::permute_q);
  CHECK(t.at("blk.0.attn_output.bias").shape == Shape{64});
  CHECK(t.at("rope_freqs.weight").shape == Shape{16});
  CHECK(table("MistralForCausalLM", small_json()).size() == 3 + 2 * 9);
}

TEST_CASE("tensor table: qwen2 and qwen3") {
  auto t = table("Qwen2ForCausalLM", small_json());
  CHECK(t.at("blk.1.attn_k.bias").shape == Shape{32});
  CHECK(t.at("blk.0.attn_q.weight").spec->transform == Transform::none);
  CHECK_FALSE(t.contains("blk.0.attn_output.bias"));
  Json json = small_json();
  json["head_dim"] = 32;
  t = table("Qwen3ForCausalLM", json);
  CHECK(t.at("blk.1.attn_q_norm.weight").shape == Shape{32});
  CHECK(t.at("blk.1.attn_k.weight").shape == Shape{64, 64});
  CHECK_FALSE(t.contains("blk.0.attn_q.bias"));
}

TEST_CASE("registry: names lead to one architecture, others are refused with the list") {
  for (const Architecture* a : architectures()) {
    CHECK(&architecture_by_gguf(a->gguf_name) == a);
    for (const char* name : a->hf_names) CHECK(&architecture_by_hf(name) == a);
  }
  try {
    architecture_by_gguf("mamba\x1b[31m");
    FAIL("accepted");
  } catch (const Error& e) {
    CHECK(e.code() == ErrorCode::unsupported);
    CHECK(std::string(e.what()).find("phi3, llama, qwen2, qwen3") != std::string::npos);
    CHECK(std::string(e.what()).find('\x1b') == std::string::npos);
  }
}
