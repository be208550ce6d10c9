// Config from config.json and from GGUF keys: real models' values, both spellings of the rope settings, hostile values.
#include "model/config.h"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "base/fail.h"
#include "model/arch.h"

using namespace phial;

namespace {

Config from_text(const std::string& hf_name, const std::string& text) {
  const Config c = architecture_by_hf(hf_name).from_json(parse_json(text, "config.json"));
  validate(c);
  return c;
}

ErrorCode code_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& e) {
    return e.code();
  }
  return ErrorCode::internal;  // no error at all
}

std::string factors(int n, double first, double step) {
  std::string out = "[";
  for (int i = 0; i < n; ++i) out += (i ? ", " : "") + std::to_string(first + step * i);
  return out + "]";
}

// Values of microsoft/Phi-3-mini-4k-instruct, -128k, Phi-3-medium-128k, Phi-3.5-mini, phi-4, Phi-4-mini; the factor lists are
// made up.
const char* kPhi3Mini4k =
    R"({"architectures": ["Phi3ForCausalLM"], "model_type": "phi3", "hidden_act": "silu", "hidden_size": 3072,
  "intermediate_size": 8192, "max_position_embeddings": 4096, "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 32,
  "original_max_position_embeddings": 4096, "rms_norm_eps": 1e-05, "rope_scaling": null, "rope_theta": 10000.0, "sliding_window": 2047,
  "tie_word_embeddings": false, "attention_bias": false, "vocab_size": 32064})";

std::string phi3_long(const std::string& type, const std::string& sizes) {
  return R"({"hidden_act": "silu", "max_position_embeddings": 131072, "original_max_position_embeddings": 4096, "rms_norm_eps": 1e-05,
    "rope_theta": 10000.0, "rope_scaling": {"type": ")" +
         type + R"(", "short_factor": )" + factors(48, 1, 0.03) + R"(, "long_factor": )" + factors(48, 1, 1.2) + "}, " + sizes +
         "}";
}
const char* kMiniSizes = R"("hidden_size": 3072, "intermediate_size": 8192, "num_attention_heads": 32, "num_key_value_heads": 32,
    "num_hidden_layers": 32, "sliding_window": 262144, "vocab_size": 32064)";

const char* kLlama31 =
    R"({"hidden_act": "silu", "hidden_size": 4096, "intermediate_size": 14336, "max_position_embeddings": 131072,
  "mlp_bias": false, "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-05,
  "rope_scaling": {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192,
  "rope_type": "llama3"}, "rope_theta": 500000.0, "tie_word_embeddings": false, "vocab_size": 128256})";
const char* kLlama31New =
    R"({"hidden_act": "silu", "hidden_size": 4096, "intermediate_size": 14336, "max_position_embeddings": 131072,
  "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-05,
  "rope_parameters": {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192,
  "rope_type": "llama3", "rope_theta": 500000.0}, "tie_word_embeddings": false, "vocab_size": 128256})";

const char* kQwen25 = R"({"hidden_act": "silu", "hidden_size": 3584, "intermediate_size": 18944, "max_position_embeddings": 32768,
  "max_window_layers": 28, "num_attention_heads": 28, "num_hidden_layers": 28, "num_key_value_heads": 4, "rms_norm_eps": 1e-06,
  "rope_theta": 1000000.0, "sliding_window": 131072, "tie_word_embeddings": false, "use_sliding_window": false, "vocab_size": 152064})";

/// Metadata of a small, valid model of llama.cpp's making.
Metadata small_metadata(const std::string& a) {
  Metadata m;
  m.set("general.architecture", a);
  m.set(a + ".block_count", uint32_t{4});
  m.set(a + ".context_length", uint32_t{2048});
  m.set(a + ".embedding_length", uint32_t{256});
  m.set(a + ".feed_forward_length", uint32_t{512});
  m.set(a + ".attention.head_count", uint32_t{8});
  m.set(a + ".attention.head_count_kv", uint32_t{4});
  m.set(a + ".attention.layer_norm_rms_epsilon", 1e-5f);
  m.set(a + ".rope.dimension_count", uint32_t{32});
  m.set("tokenizer.ggml.tokens", std::vector<std::string>(100, "x"));
  return m;
}

JsonTree with(const char* text, const char* key, Json value) {
  JsonTree json = parse_json(text, "config.json");
  json[key] = std::move(value);
  return json;
}

}  // namespace

TEST_CASE("config.json: Phi-3 family") {
  Config c = from_text("Phi3ForCausalLM", kPhi3Mini4k);
  CHECK(c.architecture == "phi3");
  CHECK(c.head_dim == 96);
  CHECK(c.rope.n_rot == 96);
  CHECK(c.rope.kind == RopeKind::neox);
  CHECK(c.rope.scaling == "none");
  CHECK(c.rope.attention_factor == 1.0);
  CHECK(c.sliding_window == 2047);
  CHECK_FALSE(c.tie_word_embeddings);

  for (const char* type : {"su", "longrope", "yarn"}) {  // the names it had over time
    c = from_text("Phi3ForCausalLM", phi3_long(type, kMiniSizes));
    CHECK(c.rope.scaling == "longrope");
    CHECK(c.rope.original_context == 4096);
    CHECK(c.rope.attention_factor == doctest::Approx(1.1902380714238083).epsilon(1e-12));
    REQUIRE(c.rope.long_factors.size() == 48);
    CHECK(c.rope.short_factors[1] == 1.03f);
    CHECK(c.rope.long_factors[1] == 2.2f);
    CHECK(c.sliding_window == 262144);
  }

  c = from_text("Phi3ForCausalLM", R"({"hidden_size": 5120, "intermediate_size": 17920, "max_position_embeddings": 16384,
    "num_attention_heads": 40, "num_hidden_layers": 40, "num_key_value_heads": 10, "original_max_position_embeddings": 16384,
    "rms_norm_eps": 1e-05, "rope_scaling": null, "rope_theta": 250000, "sliding_window": null, "vocab_size": 100352})");  // phi-4
  CHECK(c.head_dim == 128);
  CHECK(c.n_kv_heads == 10);
  CHECK(c.rope.theta == 250000);
  CHECK(c.sliding_window == 0);
  CHECK(c.rope.attention_factor == 1.0);

  c = from_text("Phi3ForCausalLM",
                phi3_long("longrope", R"("hidden_size": 3072, "intermediate_size": 8192, "num_attention_heads": 24,
    "num_key_value_heads": 8, "num_hidden_layers": 32, "sliding_window": 262144, "vocab_size": 200064, "partial_rotary_factor": 0.75,
    "tie_word_embeddings": true)"));  // Phi-4-mini
  CHECK(c.head_dim == 128);
  CHECK(c.rope.n_rot == 96);
  CHECK(c.tie_word_embeddings);

  c = from_text("Phi3ForCausalLM",
                phi3_long("longrope", R"("hidden_size": 5120, "intermediate_size": 17920, "num_attention_heads": 40,
    "num_key_value_heads": 10, "num_hidden_layers": 40, "sliding_window": 131072, "vocab_size": 32064, "head_dim": 96)"));
  CHECK(c.n_heads * c.head_dim != c.hidden_size);  // an explicit head_dim counts
}

TEST_CASE("config.json: both spellings give the same rope") {
  const Config old = from_text("LlamaForCausalLM", kLlama31), now = from_text("LlamaForCausalLM", kLlama31New);
  CHECK(old.rope.theta == 500000.0);
  CHECK(now.rope.theta == old.rope.theta);
  CHECK(now.rope.scaling == old.rope.scaling);
  CHECK(now.rope.short_factors == old.rope.short_factors);
  CHECK(old.rope.kind == RopeKind::interleaved);

  JsonTree longrope = parse_json(phi3_long("longrope", kMiniSizes), "config.json");
  const Config before = architecture_by_hf("Phi3ForCausalLM").from_json(longrope);
  Json parameters = longrope["rope_scaling"];
  parameters["rope_type"] = parameters["type"];
  parameters.erase("type");
  parameters["rope_theta"] = 10000.0;
  parameters["partial_rotary_factor"] = 1.0;
  parameters["original_max_position_embeddings"] = longrope["original_max_position_embeddings"];
  for (const char* key : {"rope_scaling", "rope_theta", "original_max_position_embeddings"}) longrope.erase(key);
  longrope["rope_parameters"] = parameters;
  const Config after = architecture_by_hf("Phi3ForCausalLM").from_json(longrope);
  CHECK(after.rope.long_factors == before.rope.long_factors);
  CHECK(after.rope.original_context == 4096);
  CHECK(after.rope.attention_factor == before.rope.attention_factor);
}

TEST_CASE("config.json: Llama 3 factors as transformers computes them") {
  const std::vector<float> f = from_text("LlamaForCausalLM", kLlama31).rope.short_factors;
  REQUIRE(f.size() == 64);
  const float expected[] = {1, 1.207484f, 1.553414f, 2.026313f, 2.69453f, 3.684254f, 5.257327f, 8};
  for (size_t i = 0; i < 8; ++i) CHECK(f[28 + i] == doctest::Approx(expected[i]).epsilon(2e-6));
  CHECK(f.front() == 1);
  CHECK(f.back() == 8);
}

TEST_CASE("config.json: Llama 3.2, Mistral, Qwen2.5, Qwen3") {
  Config c =
      from_text("LlamaForCausalLM", R"({"head_dim": 64, "hidden_act": "silu", "hidden_size": 2048, "intermediate_size": 8192,
    "max_position_embeddings": 131072, "mlp_bias": false, "num_attention_heads": 32, "num_hidden_layers": 16, "num_key_value_heads": 8,
    "rms_norm_eps": 1e-05, "rope_scaling": {"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
    "original_max_position_embeddings": 8192, "rope_type": "llama3"}, "rope_theta": 500000.0, "tie_word_embeddings": true,
    "attention_bias": false, "vocab_size": 128256})");
  CHECK(c.tie_word_embeddings);
  CHECK(c.rope.short_factors.back() == 32);

  const char* mistral =
      R"({"hidden_size": 4096, "intermediate_size": 14336, "max_position_embeddings": 32768, "num_attention_heads": 32,
    "num_hidden_layers": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "sliding_window": 4096,
    "vocab_size": 32000})";
  c = from_text("MistralForCausalLM", mistral);
  CHECK(c.architecture == "llama");
  CHECK(c.sliding_window == 4096);
  CHECK(architecture_by_hf("MistralForCausalLM").from_json(with(mistral, "sliding_window", nullptr)).sliding_window == 0);
  // Mistral-Nemo: heads narrower than hidden_size / heads.
  CHECK(architecture_by_hf("MistralForCausalLM").from_json(with(mistral, "head_dim", 96)).head_dim == 96);

  c = from_text("Qwen2ForCausalLM", kQwen25);
  CHECK(c.attention_bias);
  CHECK(c.sliding_window == 0);
  CHECK(c.norm_eps == 1e-6);

  c = from_text("Qwen3ForCausalLM", R"({"attention_bias": false, "head_dim": 128, "hidden_act": "silu", "hidden_size": 1024,
    "intermediate_size": 3072, "max_position_embeddings": 40960, "max_window_layers": 28, "num_attention_heads": 16,
    "num_hidden_layers": 28, "num_key_value_heads": 8, "rms_norm_eps": 1e-06, "rope_scaling": null, "rope_theta": 1000000,
    "sliding_window": null, "tie_word_embeddings": true, "use_sliding_window": false, "vocab_size": 151936})");
  CHECK(c.qk_norm);
  CHECK(c.n_heads * c.head_dim == 2048);
}

TEST_CASE("config.json: yarn, linear, dynamic, sliding layers") {
  const Architecture& qwen = architecture_by_hf("Qwen2ForCausalLM");
  JsonTree yarn = with(kQwen25, "rope_scaling", {{"type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 32768}});
  Config c = qwen.from_json(yarn);
  CHECK(c.rope.scaling == "yarn");
  CHECK(c.rope.attention_factor == doctest::Approx(1.138629436111989).epsilon(1e-12));
  CHECK(c.rope.original_context == 32768);
  yarn["rope_scaling"]["attention_factor"] = 1.5;
  CHECK(qwen.from_json(yarn).rope.attention_factor == 1.5);
  c = qwen.from_json(with(kQwen25, "rope_scaling", {{"type", "linear"}, {"factor", 2.5}}));
  CHECK(c.rope.scaling == "linear");
  CHECK(c.rope.factor == 2.5);
  CHECK(qwen.from_json(with(kQwen25, "rope_scaling", {{"type", "dynamic"}, {"factor", 2.0}})).rope.scaling == "none");

  JsonTree sliding = with(kQwen25, "use_sliding_window", true);
  CHECK(qwen.from_json(sliding).sliding_window == 0);  // from layer 28 of 28 on
  sliding["max_window_layers"] = 0;
  CHECK(qwen.from_json(sliding).sliding_window == 131072);
  sliding["max_window_layers"] = 14;
  CHECK(code_of([&] { qwen.from_json(sliding); }) == ErrorCode::unsupported);
  sliding["layer_types"] = Json::array();
  for (int i = 0; i < 28; ++i) sliding["layer_types"].push_back("full_attention");
  CHECK(qwen.from_json(sliding).sliding_window == 0);
}

TEST_CASE("config.json: what is refused, and how") {
  const Architecture& llama = architecture_by_hf("LlamaForCausalLM");
  const struct {
    const char* key;
    Json value;
    ErrorCode code;
  } cases[] = {
      {"num_hidden_layers", "32", ErrorCode::hparam},
      {"num_hidden_layers", 0, ErrorCode::hparam},
      {"num_hidden_layers", 513, ErrorCode::hparam},
      {"num_hidden_layers", -1, ErrorCode::hparam},
      {"num_hidden_layers", 4294967295u, ErrorCode::hparam},
      {"num_hidden_layers", 1e3, ErrorCode::hparam},
      {"num_hidden_layers", nullptr, ErrorCode::hparam},
      {"hidden_size", 4097, ErrorCode::hparam},
      {"hidden_size", 18446744073709551615u, ErrorCode::hparam},
      {"num_attention_heads", 0, ErrorCode::hparam},
      {"num_key_value_heads", 5, ErrorCode::hparam},
      {"num_key_value_heads", 64, ErrorCode::hparam},
      {"num_key_value_heads", 0, ErrorCode::hparam},
      {"head_dim", 127, ErrorCode::hparam},
      {"vocab_size", 0, ErrorCode::hparam},
      {"rms_norm_eps", 0.0, ErrorCode::hparam},
      {"rms_norm_eps", -1.0, ErrorCode::hparam},
      {"rms_norm_eps", "1e-5", ErrorCode::hparam},
      {"rope_theta", 0.0, ErrorCode::hparam},
      {"partial_rotary_factor", 1.5, ErrorCode::hparam},
      {"partial_rotary_factor", 0.0, ErrorCode::hparam},
      {"max_position_embeddings", 0, ErrorCode::hparam},
      {"max_position_embeddings", 2147483648u, ErrorCode::hparam},
      {"sliding_window", -1, ErrorCode::hparam},
      {"tie_word_embeddings", 1, ErrorCode::hparam},
      {"rope_scaling", 8, ErrorCode::hparam},
      {"rope_scaling", {{"rope_type", "llama3"}, {"factor", 8}}, ErrorCode::hparam},
      {"rope_scaling", {{"rope_type", "longrope"}}, ErrorCode::hparam},
      {"rope_scaling", {{"rope_type", "longrope"}, {"short_factor", {1, 2}}, {"long_factor", {1, 2}}}, ErrorCode::hparam},
      {"rope_scaling", {{"rope_type", "linear"}, {"factor", -2}}, ErrorCode::hparam},
      {"rope_scaling", {{"rope_type", "new-kind"}}, ErrorCode::unsupported},
      {"rope_parameters", {{"full_attention", {{"rope_type", "default"}}}}, ErrorCode::unsupported},
      {"hidden_act", "gelu", ErrorCode::unsupported},
      {"mlp_bias", true, ErrorCode::unsupported},
      {"num_local_experts", 8, ErrorCode::unsupported},
      {"quantization_config", {{"quant_method", "gptq"}, {"bits", 4}}, ErrorCode::unsupported},
  };
  for (const auto& c : cases) {
    CAPTURE(std::string(c.key));
    CAPTURE(c.value.dump());
    CHECK(code_of([&] { validate(llama.from_json(with(kLlama31, c.key, c.value))); }) == c.code);
  }
  CHECK(code_of([] { architecture_by_hf("GPT2LMHeadModel"); }) == ErrorCode::unsupported);
}

TEST_CASE("GGUF keys: hostile values are HPARAM before anything else (B01..B07)") {
  const struct {
    const char* id;
    const char* key;
    MetaValue value;
    ErrorCode code = ErrorCode::hparam;
  } cases[] = {
      {"B01", "block_count", uint32_t{0}},
      {"B01", "block_count", std::string("4")},
      {"B01", "block_count", 4.0f},
      {"B01", "block_count", std::vector<uint32_t>{4}},
      {"B02", "block_count", uint32_t{513}},
      {"B02", "block_count", uint32_t{0xFFFFFFFF}},
      {"B02", "block_count", int32_t{-1}},
      {"B02", "block_count", uint64_t{0xFFFFFFFFFFFFFFFF}},
      {"B03", "nextn_predict_layers", uint32_t{4}},
      {"B03", "nextn_predict_layers", uint32_t{0xFFFFFFFF}},
      {"B03", "nextn_predict_layers", uint32_t{1}, ErrorCode::unsupported},
      {"B04", "attention.head_count", uint32_t{0}},
      {"B04", "attention.head_count", uint32_t{7}},  // 256 % 7
      {"B04", "attention.head_count_kv", uint32_t{0}},
      {"B04", "attention.head_count_kv", uint32_t{16}},
      {"B04", "attention.head_count_kv", uint32_t{3}},
      {"B04", "attention.key_length", uint32_t{0}},
      {"B04", "embedding_length", uint32_t{0}},
      {"B04", "embedding_length", uint32_t{0xFFFFFFFF}},
      {"B05", "expert_count", uint32_t{513}},
      {"B05", "expert_used_count", uint32_t{2}},
      {"B05", "expert_count", uint32_t{8}, ErrorCode::unsupported},
      {"B06", "attention.head_count", std::vector<uint32_t>{8, 8, 8}},
      {"B06", "attention.head_count", std::vector<uint32_t>{8, 8, 8, 8, 8}},
      {"B06", "attention.head_count", std::vector<float>{8, 8, 8, 8}},
      {"B06", "attention.head_count", std::vector<std::string>{"8", "8", "8", "8"}},
      {"B06", "attention.head_count_kv", std::vector<int32_t>(1'000'000, 4)},
      {"B06", "attention.head_count_kv", std::vector<int32_t>{4, 4, 2, 4}, ErrorCode::unsupported},
      {"B06", "feed_forward_length", std::vector<int32_t>{}},
      {"B07", "attention.layer_norm_rms_epsilon", std::numeric_limits<float>::quiet_NaN()},
      {"B07", "attention.layer_norm_rms_epsilon", 0.0f},
      {"B07", "attention.layer_norm_rms_epsilon", -1.0f},
      {"B07", "attention.layer_norm_rms_epsilon", uint32_t{1}},
      {"B07", "rope.freq_base", 0.0f},
      {"B07", "rope.freq_base", std::numeric_limits<float>::infinity()},
      {"B07", "rope.freq_base", std::numeric_limits<float>::quiet_NaN()},
      {"B07", "rope.dimension_count", uint32_t{31}},
      {"B07", "rope.dimension_count", uint32_t{34}},
      {"B07", "rope.dimension_count", uint32_t{0}},
      {"B07", "rope.scaling.factor", -1.0f},
      {"B07", "rope.scaling.factor", std::numeric_limits<float>::quiet_NaN()},
      {"B07", "rope.scaling.attn_factor", 0.0f},
      {"B07", "rope.scaling.original_context_length", uint32_t{0x80000000}},
      {"B07", "rope.scaling.type", std::string("spiral"), ErrorCode::unsupported},
      {"B07", "rope.scaling.type", uint32_t{1}},
      {"B07", "context_length", uint32_t{0}},
      {"B07", "context_length", uint32_t{0x80000000}},
      {"B07", "attention.sliding_window", uint32_t{0x80000000}},
      {"B07", "vocab_size", uint32_t{0}},
      {"B07", "vocab_size", uint32_t{0xFFFFFFFF}},
  };
  for (const char* a : {"phi3", "llama", "qwen2", "qwen3"}) {
    const Architecture& arch = architecture_by_gguf(a);
    CHECK_NOTHROW(arch.from_metadata(small_metadata(a)));
    for (const auto& c : cases) {
      Metadata m = small_metadata(a);
      m.set(std::string(a) + "." + c.key, c.value);
      CAPTURE(std::string(a));
      CAPTURE(std::string(c.id));
      CAPTURE(std::string(c.key));
      CHECK(code_of([&] { arch.from_metadata(m); }) == c.code);
    }
    for (const char* key : {"block_count", "context_length", "embedding_length", "feed_forward_length", "attention.head_count",
                            "attention.layer_norm_rms_epsilon"}) {
      Metadata m = small_metadata(a);
      m.erase(std::string(a) + "." + key);
      CHECK(code_of([&] { arch.from_metadata(m); }) == ErrorCode::hparam);
    }
  }
}

TEST_CASE("GGUF keys: defaults, per-layer arrays of equal values, other integer types") {
  Metadata m = small_metadata("llama");
  m.erase("llama.attention.head_count_kv");
  m.erase("llama.rope.dimension_count");
  m.set("llama.attention.head_count", std::vector<int32_t>(4, 8));
  m.set("llama.feed_forward_length", std::vector<uint32_t>(4, 512));
  m.set("llama.block_count", uint64_t{4});
  Config c = architecture_by_gguf("llama").from_metadata(m);
  CHECK(c.n_kv_heads == 8);
  CHECK(c.head_dim == 32);
  CHECK(c.rope.n_rot == 32);
  CHECK(c.rope.theta == 10000.0);
  CHECK(c.rope.kind == RopeKind::interleaved);
  CHECK(c.vocab_size == 100);
  CHECK(c.rope.scaling == "none");
  m.set("llama.rope.scale_linear", 4.0f);
  c = architecture_by_gguf("llama").from_metadata(m);
  CHECK(c.rope.scaling == "linear");
  CHECK(c.rope.factor == 4.0);
}

TEST_CASE("GGUF keys: Phi-3 files of other makers") {
  // As llama.cpp's converter writes Phi-3.5-mini: no rope.scaling.type.
  Metadata m = small_metadata("phi3");
  m.set("phi3.context_length", uint32_t{131072});
  m.set("phi3.rope.scaling.original_context_length", uint32_t{4096});
  m.set("phi3.rope.scaling.attn_factor", 1.19023807f);
  m.set("phi3.attention.sliding_window", uint32_t{262144});
  Config c = architecture_by_gguf("phi3").from_metadata(m);
  CHECK(c.rope.original_context == 4096);
  CHECK(c.rope.attention_factor == doctest::Approx(1.1902380714238083).epsilon(1e-7));
  m.erase("phi3.rope.scaling.attn_factor");
  c = architecture_by_gguf("phi3").from_metadata(m);
  CHECK(c.rope.attention_factor == doctest::Approx(1.1902380714238083).epsilon(1e-12));

  m = small_metadata("phi3");
  m.set("phi3.context_length", uint32_t{4096});
  CHECK(architecture_by_gguf("phi3").from_metadata(m).sliding_window == 2047);
  m.set("phi3.attention.sliding_window", uint32_t{0});
  CHECK(architecture_by_gguf("phi3").from_metadata(m).sliding_window == 0);
}

TEST_CASE("GGUF keys: a config comes back as it was, with llama.cpp's types") {
  const Config configs[] = {
      from_text("Phi3ForCausalLM", kPhi3Mini4k),
      from_text("Phi3ForCausalLM", phi3_long("longrope", kMiniSizes)),
      from_text("LlamaForCausalLM", kLlama31),
      from_text("Qwen2ForCausalLM", kQwen25),
      architecture_by_hf("Qwen2ForCausalLM").from_json(with(kQwen25, "rope_scaling", {{"type", "yarn"}, {"factor", 4.0}})),
      architecture_by_hf("Qwen2ForCausalLM")
          .from_json(with(kQwen25, "rope_scaling",
                          {{"type", "yarn"}, {"factor", 4.0}, {"attention_factor", 1.25}, {"beta_fast", 16.0}})),
      architecture_by_hf("Qwen2ForCausalLM").from_json(with(kQwen25, "rope_scaling", {{"type", "linear"}, {"factor", 2.5}})),
  };
  for (const Config& c : configs) {
    const Architecture& arch = architecture_by_gguf(c.architecture);
    Metadata m;
    arch.to_metadata(c, m);
    for (const auto& [key, value] : m.entries()) {
      CAPTURE(key);
      CHECK((std::holds_alternative<uint32_t>(value) || std::holds_alternative<float>(value) ||
             std::holds_alternative<std::string>(value)));
    }
    const Config d = arch.from_metadata(m);
    CHECK(d.n_layers == c.n_layers);
    CHECK(d.hidden_size == c.hidden_size);
    CHECK(d.intermediate_size == c.intermediate_size);
    CHECK(d.n_heads == c.n_heads);
    CHECK(d.n_kv_heads == c.n_kv_heads);
    CHECK(d.head_dim == c.head_dim);
    CHECK(d.vocab_size == c.vocab_size);
    CHECK(d.max_position_embeddings == c.max_position_embeddings);
    CHECK(d.sliding_window == c.sliding_window);
    CHECK(d.norm_eps == doctest::Approx(c.norm_eps).epsilon(1e-7));
    CHECK(d.rope.kind == c.rope.kind);
    CHECK(d.rope.n_rot == c.rope.n_rot);
    CHECK(d.rope.theta == c.rope.theta);
    CHECK(d.rope.factor == c.rope.factor * (c.rope.scaling == "llama3" ? 1 / c.rope.factor : 1));
    CHECK(d.rope.attention_factor == doctest::Approx(c.rope.attention_factor).epsilon(1e-6));
    CHECK(d.rope.yarn_beta_fast == c.rope.yarn_beta_fast);
    // Llama 3's factors and LongRoPE's are tensors; the type of the former is theirs alone.
    CHECK(d.rope.scaling == (c.rope.scaling == "llama3" ? "none" : c.rope.scaling));
  }
}
