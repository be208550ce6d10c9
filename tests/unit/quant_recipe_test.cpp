// The mixes, exactly: every tensor of a 32-layer Phi-3 shape, and the rules other shapes bring.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "phial/error.h"
#include "quant/codec.h"
#include "quant/recipe.h"

using namespace phial;

namespace {

struct Model {
  Metadata metadata;
  std::vector<RecipeTensor> tensors;

  void add(const std::string& name, std::vector<int64_t> shape, DType dtype = DType::f16) {
    tensors.push_back({name, std::move(shape), dtype});
  }
  std::map<std::string, TensorChoice> choose(const RecipeOptions& options) const {
    std::map<std::string, TensorChoice> out;
    const auto choices = choose_types(options, metadata, tensors);
    for (size_t i = 0; i < choices.size(); ++i) out[tensors[i].name] = choices[i];
    return out;
  }
  std::map<std::string, DType> types(const RecipeOptions& options) const {
    std::map<std::string, DType> out;
    for (const auto& [name, choice] : choose(options)) out[name] = choice.dtype;
    return out;
  }
};

RecipeOptions by_mix(Mix mix) {
  RecipeOptions o;
  o.mix = mix;
  return o;
}

Model phi3(int n_layers, int heads, int kv_heads, bool tied = false) {
  Model m;
  m.metadata.set("general.architecture", std::string("phi3"));
  m.metadata.set("phi3.block_count", static_cast<uint32_t>(n_layers));
  m.metadata.set("phi3.attention.head_count", static_cast<uint32_t>(heads));
  m.metadata.set("phi3.attention.head_count_kv", static_cast<uint32_t>(kv_heads));
  m.add("token_embd.weight", {32064, 3072});
  m.add("output_norm.weight", {3072}, DType::f32);
  if (!tied) m.add("output.weight", {32064, 3072});
  m.add("rope_factors_long.weight", {48}, DType::f32);
  m.add("rope_factors_short.weight", {48}, DType::f32);
  for (int i = 0; i < n_layers; ++i) {
    const std::string b = "blk." + std::to_string(i) + ".";
    m.add(b + "attn_norm.weight", {3072}, DType::f32);
    m.add(b + "attn_qkv.weight", {9216, 3072});
    m.add(b + "attn_output.weight", {3072, 3072});
    m.add(b + "ffn_norm.weight", {3072}, DType::f32);
    m.add(b + "ffn_up.weight", {16384, 3072});
    m.add(b + "ffn_down.weight", {3072, 8192});
  }
  return m;
}

/// Types by layer of one tensor name, written as runs: "0-3" or single numbers, the rest by `otherwise`.
using Layers = std::set<int>;
const Layers kMoreBits{0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31};

struct Expected {
  Mix mix;
  DType base;
  DType output, embedding;
  Layers qkv_layers;  // these have qkv_first, the others qkv
  DType qkv_first, qkv;
  DType attn_output;
  Layers down_layers;
  DType down_first, down;
};

}  // namespace

TEST_CASE("32 layers of Phi-3: the type of every tensor in every mix") {
  using D = DType;
  const Expected table[] = {
      {Mix::Q2_K, D::q2_k, D::q6_k, D::q2_k, {}, D::q3_k, D::q3_k, D::q3_k, {}, D::q3_k, D::q3_k},
      {Mix::Q2_K_S, D::q2_k, D::q6_k, D::q2_k, {}, D::q2_k, D::q2_k, D::q2_k, {0, 1, 2, 3}, D::q4_k, D::q2_k},
      {Mix::Q3_K_S, D::q3_k, D::q6_k, D::q3_k, {}, D::q3_k, D::q3_k, D::q3_k, {}, D::q3_k, D::q3_k},
      {Mix::Q3_K_M, D::q3_k, D::q6_k, D::q3_k, {0, 1}, D::q5_k, D::q4_k, D::q4_k, {0, 1}, D::q5_k, D::q4_k},
      {Mix::Q3_K_L, D::q3_k, D::q6_k, D::q3_k, {}, D::q5_k, D::q5_k, D::q5_k, {}, D::q5_k, D::q5_k},
      {Mix::Q4_K_S, D::q4_k, D::q6_k, D::q4_k, {0, 1, 2, 3}, D::q5_k, D::q4_k, D::q4_k, {0, 1, 2, 3}, D::q5_k, D::q4_k},
      {Mix::Q4_K_M, D::q4_k, D::q6_k, D::q4_k, kMoreBits, D::q6_k, D::q4_k, D::q4_k, kMoreBits, D::q6_k, D::q4_k},
      {Mix::Q5_K_S, D::q5_k, D::q6_k, D::q5_k, {}, D::q5_k, D::q5_k, D::q5_k, {}, D::q5_k, D::q5_k},
      {Mix::Q5_K_M, D::q5_k, D::q6_k, D::q5_k, kMoreBits, D::q6_k, D::q5_k, D::q5_k, kMoreBits, D::q6_k, D::q5_k},
      {Mix::Q6_K, D::q6_k, D::q6_k, D::q6_k, {}, D::q6_k, D::q6_k, D::q6_k, {}, D::q6_k, D::q6_k},
      {Mix::Q8_0, D::q8_0, D::q8_0, D::q8_0, {}, D::q8_0, D::q8_0, D::q8_0, {}, D::q8_0, D::q8_0},
      {Mix::Q4_0, D::q4_0, D::q6_k, D::q4_0, {}, D::q4_0, D::q4_0, D::q4_0, {}, D::q4_0, D::q4_0},
      {Mix::Q4_1, D::q4_1, D::q6_k, D::q4_1, {}, D::q4_1, D::q4_1, D::q4_1, {}, D::q4_1, D::q4_1},
      {Mix::Q5_0, D::q5_0, D::q6_k, D::q5_0, {}, D::q5_0, D::q5_0, D::q5_0, {}, D::q5_0, D::q5_0},
      {Mix::Q5_1, D::q5_1, D::q6_k, D::q5_1, {}, D::q5_1, D::q5_1, D::q5_1, {}, D::q5_1, D::q5_1},
      {Mix::F16, D::f16, D::f16, D::f16, {}, D::f16, D::f16, D::f16, {}, D::f16, D::f16},
      {Mix::BF16, D::bf16, D::bf16, D::bf16, {}, D::bf16, D::bf16, D::bf16, {}, D::bf16, D::bf16},
      {Mix::F32, D::f32, D::f32, D::f32, {}, D::f32, D::f32, D::f32, {}, D::f32, D::f32},
  };
  const Model m = phi3(32, 32, 32);
  for (const Expected& e : table) {
    CAPTURE(mix_row(e.mix).name);
    const auto types = m.types(by_mix(e.mix));
    CHECK(types.at("output.weight") == e.output);
    CHECK(types.at("token_embd.weight") == e.embedding);
    CHECK(types.at("output_norm.weight") == D::f32);
    CHECK(types.at("rope_factors_long.weight") == D::f32);
    for (int i = 0; i < 32; ++i) {
      CAPTURE(i);
      const std::string b = "blk." + std::to_string(i) + ".";
      CHECK(types.at(b + "attn_norm.weight") == D::f32);
      CHECK(types.at(b + "attn_qkv.weight") == (e.qkv_layers.count(i) ? e.qkv_first : e.qkv));
      CHECK(types.at(b + "attn_output.weight") == e.attn_output);
      CHECK(types.at(b + "ffn_up.weight") == e.base);
      CHECK(types.at(b + "ffn_down.weight") == (e.down_layers.count(i) ? e.down_first : e.down));
    }
  }
}

TEST_CASE("the order of tensors in the file does not matter") {
  Model m = phi3(32, 32, 32);
  const auto forwards = m.types(by_mix(Mix::Q4_K_M));
  std::reverse(m.tensors.begin(), m.tensors.end());
  CHECK(m.types(by_mix(Mix::Q4_K_M)) == forwards);
}

TEST_CASE("shared KV heads, tied output, 80 layers, importance") {
  CHECK(phi3(32, 32, 8).types(by_mix(Mix::Q2_K)).at("blk.5.attn_qkv.weight") == DType::q4_k);
  CHECK(phi3(32, 24, 8).types(by_mix(Mix::Q2_K)).at("blk.5.attn_qkv.weight") == DType::q3_k);
  CHECK(phi3(32, 32, 8).types(by_mix(Mix::Q2_K_S)).at("blk.5.attn_qkv.weight") == DType::q4_k);
  CHECK(phi3(32, 32, 32, true).types(by_mix(Mix::Q4_K_M)).at("token_embd.weight") == DType::q6_k);
  CHECK(phi3(80, 64, 8).types(by_mix(Mix::Q4_K_M)).at("blk.10.attn_qkv.weight") == DType::q5_k);
  CHECK(phi3(80, 64, 64).types(by_mix(Mix::Q4_K_M)).at("blk.10.attn_qkv.weight") == DType::q4_k);
  RecipeOptions o = by_mix(Mix::Q4_0);
  o.has_importance = true;
  const auto types = phi3(32, 32, 32).types(o);
  CHECK(types.at("blk.3.ffn_down.weight") == DType::q4_1);
  CHECK(types.at("blk.4.ffn_down.weight") == DType::q4_0);
  o.mix = Mix::Q5_0;
  CHECK(phi3(32, 32, 32).types(o).at("blk.0.ffn_down.weight") == DType::q5_1);
}

TEST_CASE("counts per layer may be arrays, and a missing layer count is taken from the names") {
  Model m = phi3(32, 32, 32);
  const auto want = m.types(by_mix(Mix::Q4_K_M));
  m.metadata.set("phi3.attention.head_count_kv", std::vector<int32_t>(32, 32));
  m.metadata.erase("phi3.block_count");
  CHECK(m.types(by_mix(Mix::Q4_K_M)) == want);
}

TEST_CASE("experts count by the layer in the name") {
  Model m;
  m.metadata.set("general.architecture", std::string("phimoe"));
  m.metadata.set("phimoe.block_count", uint32_t{32});
  m.metadata.set("phimoe.expert_count", uint32_t{16});
  m.add("blk.20.ffn_down_exps.weight", {16, 4096, 6400});
  m.add("blk.1.ffn_down_exps.weight", {16, 4096, 6400});
  m.add("blk.1.ffn_gate_inp.weight", {16, 4096}, DType::f32);
  const auto types = m.types(by_mix(Mix::Q4_K_M));
  CHECK(types.at("blk.20.ffn_down_exps.weight") == DType::q4_k);
  CHECK(types.at("blk.1.ffn_down_exps.weight") == DType::q6_k);
  CHECK(types.at("blk.1.ffn_gate_inp.weight") == DType::f32);
  m.metadata.set("phimoe.expert_count", uint32_t{8});
  m.add("blk.1.attn_k.weight", {1024, 4096});
  m.add("blk.1.attn_v.weight", {1024, 4096});
  m.add("blk.1.attn_output.weight", {4096, 4096});
  const auto eight = m.types(by_mix(Mix::Q4_K_M));
  CHECK(eight.at("blk.1.attn_k.weight") == DType::q8_0);
  CHECK(eight.at("blk.1.attn_v.weight") == DType::q8_0);
  CHECK(eight.at("blk.1.attn_output.weight") == DType::q5_k);
  CHECK(m.types(by_mix(Mix::Q3_K_L)).at("blk.1.attn_output.weight") == DType::q3_k);
}

TEST_CASE("rows that do not fit take the nearest type that does") {
  const auto type = [](Mix mix, int64_t row) {
    Model m;
    m.add("blk.0.ffn_up.weight", {8, row});
    RecipeOptions o = by_mix(mix);
    o.pure = true;
    const TensorChoice c = m.choose(o).at("blk.0.ffn_up.weight");
    CHECK(c.is_fallback() == (row != 512));
    return c.dtype;
  };
  CHECK(type(Mix::Q4_K_M, 512) == DType::q4_k);
  CHECK(type(Mix::Q2_K, 96) == DType::q4_0);
  CHECK(type(Mix::Q3_K_M, 96) == DType::q4_0);
  CHECK(type(Mix::Q4_K_M, 96) == DType::q5_0);
  CHECK(type(Mix::Q5_K_M, 96) == DType::q5_1);
  CHECK(type(Mix::Q6_K, 96) == DType::q8_0);
  CHECK(type(Mix::Q4_K_M, 100) == DType::f16);
  CHECK(type(Mix::Q8_0, 100) == DType::f16);
}

TEST_CASE("what is never quantized") {
  Model m;
  const char* kept[] = {"blk.0.attn_norm.weight", "blk.0.ffn_gate_inp.weight", "position_embd.weight", "token_types.weight",
                        "blk.0.attn_qkv.bias",    "blk.0.ssm_conv1d.weight",   "v.patch_embd.weight"};
  for (const char* name : kept) m.add(name, {256, 256});
  m.add("blk.0.vector.weight", {256});
  m.add("blk.0.row.weight", {1, 256});  // a vector by another name
  m.add("blk.0.attn_q.weight", {256, 256});
  for (const auto& [name, choice] : m.choose(by_mix(Mix::Q8_0))) {
    CAPTURE(name);
    CHECK(choice.quantizable == (name == "blk.0.attn_q.weight"));
    CHECK(choice.dtype == (choice.quantizable ? DType::q8_0 : DType::f16));
  }
}

TEST_CASE("options: pure, overrides, expressions, copy, importance needed") {
  const Model m = phi3(32, 32, 32);
  RecipeOptions o = by_mix(Mix::Q4_K_M);
  o.pure = true;
  for (const auto& [name, choice] : m.choose(o))
    if (choice.quantizable) CHECK(choice.dtype == DType::q4_k);
  o = by_mix(Mix::Q4_K_M);
  o.output_tensor_type = "q8_0";
  o.token_embedding_type = "F16";
  o.tensor_types = {{"blk\\.[01]\\.ffn_up", "q6_k"}, {"ffn_up", "Q5_K"}};
  auto types = m.types(o);
  CHECK(types.at("output.weight") == DType::q8_0);
  CHECK(types.at("token_embd.weight") == DType::f16);
  CHECK(types.at("blk.1.ffn_up.weight") == DType::q6_k);
  CHECK(types.at("blk.2.ffn_up.weight") == DType::q5_k);
  o = by_mix(Mix::Q4_K_M);
  o.leave_output_tensor = true;
  CHECK(m.types(o).at("output.weight") == DType::f16);
  o.copy = true;
  for (const auto& [name, choice] : m.choose(o)) CHECK(choice.quantizable == false);
  const auto low = m.choose(by_mix(Mix::Q2_K_S));
  CHECK(low.at("blk.9.ffn_up.weight").needs_importance);
  CHECK_FALSE(low.at("token_embd.weight").needs_importance);
  CHECK_FALSE(low.at("output.weight").needs_importance);
  CHECK_FALSE(m.choose(by_mix(Mix::Q2_K)).at("blk.9.ffn_up.weight").needs_importance);
  o = by_mix(Mix::Q4_K_M);
  o.tensor_types = {{"ffn_(up", "q6_k"}};
  CHECK_THROWS_AS(m.types(o), Error);
  o.tensor_types = {{"ffn_up", "q6_kk"}};
  CHECK_THROWS_AS(m.types(o), Error);
}

TEST_CASE("names of mixes") {
  CHECK(parse_mix("q4_k_m") == Mix::Q4_K_M);
  CHECK(parse_mix("Q4_K") == Mix::Q4_K_M);
  CHECK(parse_mix("Q3_K") == Mix::Q3_K_M);
  CHECK(parse_mix("Q5_K") == Mix::Q5_K_M);
  CHECK(parse_mix("15") == Mix::Q4_K_M);
  CHECK(parse_mix("0") == Mix::F32);
  for (const char* wrong : {"", "Q9", "15x", "-1", "999", "Q4_K_M "}) CHECK_THROWS_AS(parse_mix(wrong), Error);
}
