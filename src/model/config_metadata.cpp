// GGUF metadata <-> Config for what all architectures share. Keys, types and defaults are those of llama.cpp's files; every
// wrong type or range is HPARAM here, so that a hostile file fails before any tensor or vocabulary code runs.
#include <cmath>
#include <limits>
#include <optional>
#include <type_traits>

#include "base/fail.h"
#include "model/config.h"

namespace phial {
namespace {

constexpr int64_t kMaxExperts = 512;

template <typename T>
constexpr bool kIsInteger = std::is_integral_v<T> && !std::is_same_v<T, bool>;

[[noreturn]] void wrong_type(const std::string& key, const char* wanted) {
  fail(ErrorCode::hparam, "metadata key {} must hold {}; the file is damaged or made by a broken tool", printable(key), wanted);
}

/// Reads keys of one architecture: "phi3." + key.
class Keys {
 public:
  Keys(const Metadata& m, const std::string& architecture) : m_(m), prefix_(architecture + ".") {}

  std::string name(const char* key) const { return prefix_ + key; }
  bool has(const char* key) const { return m_.has(name(key)); }

  std::optional<int64_t> integer(const char* key) const {
    const MetaValue* v = m_.find(name(key));
    if (!v) return std::nullopt;
    return std::visit(
        [&](const auto& x) -> int64_t {
          using T = std::decay_t<decltype(x)>;
          if constexpr (kIsInteger<T>) {
            if (std::cmp_greater(x, std::numeric_limits<int64_t>::max())) wrong_type(name(key), "an integer that fits 63 bits");
            return static_cast<int64_t>(x);
          } else {
            wrong_type(name(key), "an integer");
          }
        },
        *v);
  }
  int64_t required(const char* key) const {
    if (auto v = integer(key)) return *v;
    fail(ErrorCode::hparam, "metadata key {} is missing", printable(name(key)));
  }

  /// An integer for all layers, or an array with one per layer; different values are refused.
  std::optional<int64_t> per_layer(const char* key, int64_t n_layers) const {
    const MetaValue* v = m_.find(name(key));
    if (!v) return std::nullopt;
    return std::visit(
        [&](const auto& x) -> int64_t {
          using T = std::decay_t<decltype(x)>;
          if constexpr (std::is_same_v<T, std::vector<int32_t>> || std::is_same_v<T, std::vector<uint32_t>>) {
            if (std::cmp_not_equal(x.size(), n_layers))
              fail(ErrorCode::hparam, "metadata key {} has {} values for {} layers", printable(name(key)), x.size(), n_layers);
            for (auto e : x)
              if (e != x[0])
                fail(ErrorCode::unsupported, "metadata key {} differs between layers; not supported for this architecture",
                     printable(name(key)));
            return static_cast<int64_t>(x[0]);
          } else if constexpr (kIsInteger<T>) {
            return *integer(key);
          } else {
            wrong_type(name(key), "an integer, or an array of 32-bit integers, one per layer");
          }
        },
        *v);
  }

  std::optional<double> real(const char* key) const {
    const MetaValue* v = m_.find(name(key));
    if (!v) return std::nullopt;
    return std::visit(
        [&](const auto& x) -> double {
          using T = std::decay_t<decltype(x)>;
          if constexpr (std::is_floating_point_v<T>)
            return static_cast<double>(x);
          else
            wrong_type(name(key), "a float");
        },
        *v);
  }

 private:
  const Metadata& m_;
  std::string prefix_;
};

void refuse_experts(const Keys& keys, int64_t n_layers) {
  const int64_t n = keys.integer("expert_count").value_or(0);
  const int64_t used = keys.integer("expert_used_count").value_or(0);
  const int64_t groups = keys.integer("expert_group_count").value_or(1);
  if (n < 0 || n > kMaxExperts)
    fail(ErrorCode::hparam, "{} is {}; it must lie in 0..{}", keys.name("expert_count"), n, kMaxExperts);
  if (used < 0 || used > n)
    fail(ErrorCode::hparam, "{} is {}, but there are {} experts", keys.name("expert_used_count"), used, n);
  if (groups < 1 || (n > 0 && n % groups != 0))
    fail(ErrorCode::hparam, "{} {} does not divide {} experts", keys.name("expert_group_count"), groups, n);
  if (n > 0) fail(ErrorCode::unsupported, "{} is {}: mixture-of-experts models are not supported", keys.name("expert_count"), n);
  const int64_t nextn = keys.integer("nextn_predict_layers").value_or(0);
  if (nextn < 0 || nextn >= n_layers)
    fail(ErrorCode::hparam, "{} is {} of {} layers", keys.name("nextn_predict_layers"), nextn, n_layers);
  if (nextn > 0)
    fail(ErrorCode::unsupported, "{}: multi-token prediction layers are not supported", keys.name("nextn_predict_layers"));
}

void read_rope(const Keys& keys, Config& c) {
  RopeConfig& r = c.rope;
  const int64_t n_rot = keys.integer("rope.dimension_count").value_or(c.head_dim);
  if (n_rot < 2 || n_rot > c.head_dim || n_rot % 2 != 0)
    fail(ErrorCode::hparam, "{} is {}; it must be even and at most the head size {}", keys.name("rope.dimension_count"), n_rot,
         c.head_dim);
  r.n_rot = static_cast<int32_t>(n_rot);
  r.theta = keys.real("rope.freq_base").value_or(10000.0);
  r.original_context = keys.integer("rope.scaling.original_context_length").value_or(0);
  // rope.scale_linear is the key of the first GGUF files.
  r.factor = keys.real("rope.scaling.factor").value_or(keys.real("rope.scale_linear").value_or(1.0));
  if (r.factor == 0) r.factor = 1.0;
  r.attention_factor = keys.real("rope.scaling.attn_factor").value_or(1.0);
  r.yarn_beta_fast = keys.real("rope.scaling.yarn_beta_fast").value_or(32.0);
  r.yarn_beta_slow = keys.real("rope.scaling.yarn_beta_slow").value_or(1.0);
}

}  // namespace

Config config_from_metadata(const Metadata& m, const std::string& architecture) {
  const Keys keys(m, architecture);
  Config c;
  c.architecture = architecture;
  if (const MetaValue* name = m.find("general.name"))
    if (auto* text = std::get_if<std::string>(name)) c.name = *text;
  c.n_layers = keys.required("block_count");
  if (c.n_layers < 1 || c.n_layers > 512)
    fail(ErrorCode::hparam, "{} is {}; it must lie in 1..512", keys.name("block_count"), c.n_layers);
  refuse_experts(keys, c.n_layers);
  c.max_position_embeddings = keys.required("context_length");
  c.hidden_size = keys.required("embedding_length");
  auto per_layer = [&](const char* key) {
    if (auto v = keys.per_layer(key, c.n_layers)) return *v;
    fail(ErrorCode::hparam, "metadata key {} is missing", printable(keys.name(key)));
  };
  c.intermediate_size = per_layer("feed_forward_length");
  c.n_heads = per_layer("attention.head_count");
  c.n_kv_heads = keys.per_layer("attention.head_count_kv", c.n_layers).value_or(c.n_heads);
  if (c.n_heads < 1) fail(ErrorCode::hparam, "{} is {}", keys.name("attention.head_count"), c.n_heads);
  if (auto length = keys.integer("attention.key_length")) {
    c.head_dim = *length;
    if (keys.integer("attention.value_length").value_or(*length) != *length)
      fail(ErrorCode::unsupported, "{} and {} differ; not supported", keys.name("attention.key_length"),
           keys.name("attention.value_length"));
  } else if (c.hidden_size % c.n_heads != 0) {
    fail(ErrorCode::hparam, "{} {} is not a multiple of {} {}", keys.name("embedding_length"), c.hidden_size,
         keys.name("attention.head_count"), c.n_heads);
  } else {
    c.head_dim = c.hidden_size / c.n_heads;
  }
  if (auto n = keys.integer("vocab_size")) {
    c.vocab_size = *n;
    if (*n < 1) fail(ErrorCode::hparam, "{} is {}", keys.name("vocab_size"), *n);
  } else if (const MetaValue* tokens = m.find("tokenizer.ggml.tokens")) {
    if (auto* list = std::get_if<std::vector<std::string>>(tokens)) c.vocab_size = static_cast<int64_t>(list->size());
  }
  c.sliding_window = keys.integer("attention.sliding_window").value_or(0);
  auto eps = keys.real("attention.layer_norm_rms_epsilon");
  if (!eps) fail(ErrorCode::hparam, "metadata key {} is missing", printable(keys.name("attention.layer_norm_rms_epsilon")));
  c.norm_eps = *eps;
  read_rope(keys, c);

  const std::string type_key = keys.name("rope.scaling.type");
  c.rope.scaling = c.rope.factor == 1.0 ? "none" : "linear";
  if (const MetaValue* type = m.find(type_key)) {
    auto* text = std::get_if<std::string>(type);
    if (!text) wrong_type(type_key, "a string");
    if (*text != "linear") c.rope.scaling = *text;
    if (*text == "none") c.rope.factor = 1.0;
  }
  // llama.cpp multiplies yarn's own factor on; Config holds the product.
  if (c.rope.scaling == "yarn" && c.rope.factor > 1) c.rope.attention_factor *= 0.1 * std::log(c.rope.factor) + 1;
  if (keys.real("rope.scaling.yarn_log_multiplier").value_or(0) != 0)
    fail(ErrorCode::unsupported, "{} is not supported for this architecture", keys.name("rope.scaling.yarn_log_multiplier"));
  validate(c);
  return c;
}

void config_to_metadata(const Config& c, Metadata& m) {
  const std::string a = c.architecture + ".";
  auto u32 = [&](const char* key, int64_t v) { m.set(a + key, static_cast<uint32_t>(v)); };
  auto f32 = [&](const char* key, double v) { m.set(a + key, static_cast<float>(v)); };
  u32("block_count", c.n_layers);
  u32("context_length", c.max_position_embeddings);
  u32("embedding_length", c.hidden_size);
  u32("feed_forward_length", c.intermediate_size);
  u32("attention.head_count", c.n_heads);
  u32("attention.head_count_kv", c.n_kv_heads);
  u32("attention.key_length", c.head_dim);
  u32("attention.value_length", c.head_dim);
  f32("attention.layer_norm_rms_epsilon", c.norm_eps);
  if (c.sliding_window > 0) u32("attention.sliding_window", c.sliding_window);
  u32("vocab_size", c.vocab_size);
  u32("rope.dimension_count", c.rope.n_rot);
  f32("rope.freq_base", c.rope.theta);
  const RopeConfig& r = c.rope;
  // Llama 3's factors travel as the tensor rope_freqs.weight and need no key.
  if (r.scaling == "none" || r.scaling == "llama3") return;
  m.set(a + "rope.scaling.type", r.scaling);
  if (r.scaling == "linear") {
    f32("rope.scaling.factor", r.factor);
    return;
  }
  u32("rope.scaling.original_context_length", r.original_context ? r.original_context : c.max_position_embeddings);
  if (r.scaling == "longrope") {
    f32("rope.scaling.attn_factor", r.attention_factor);
    return;
  }
  f32("rope.scaling.factor", r.factor);
  const double by_rule = r.factor > 1 ? 0.1 * std::log(r.factor) + 1 : 1.0;
  if (std::abs(r.attention_factor - by_rule) > 1e-6) f32("rope.scaling.attn_factor", r.attention_factor / by_rule);
  if (r.yarn_beta_fast != 32) f32("rope.scaling.yarn_beta_fast", r.yarn_beta_fast);
  if (r.yarn_beta_slow != 1) f32("rope.scaling.yarn_beta_slow", r.yarn_beta_slow);
}

}  // namespace phial
