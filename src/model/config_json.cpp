// config.json -> Config. Reads the older spelling (rope_scaling, rope_theta beside it) and the newer one (rope_parameters with
// everything inside). Source: transformers' configuration classes and modeling_rope_utils.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/fail.h"
#include "model/config.h"

namespace phial {
namespace {

/// A member that is there and not null, or nullptr.
const Json* member(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  auto it = object.find(key);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

[[noreturn]] void wrong_value(const char* key, const char* wanted, const Json& got) {
  fail(ErrorCode::hparam, "config.json: {} must be {}, not {}", key, wanted, printable(got.dump(-1, ' ', true), 60));
}

int64_t as_integer(const char* key, const Json& v) {
  if (v.is_number_unsigned()) {
    const auto u = v.get<uint64_t>();
    if (u <= static_cast<uint64_t>(INT64_MAX)) return static_cast<int64_t>(u);
  } else if (v.is_number_integer()) {
    return v.get<int64_t>();
  }
  wrong_value(key, "an integer", v);
}

double as_real(const char* key, const Json& v) {
  if (!v.is_number()) wrong_value(key, "a number", v);
  return v.get<double>();
}

int64_t integer(const Json& o, const char* key) {
  const Json* v = member(o, key);
  if (!v) fail(ErrorCode::hparam, "config.json: {} is missing; is this the model's own config.json?", key);
  return as_integer(key, *v);
}

int64_t integer(const Json& o, const char* key, int64_t otherwise) {
  const Json* v = member(o, key);
  return v ? as_integer(key, *v) : otherwise;
}

double real(const Json& o, const char* key, double otherwise) {
  const Json* v = member(o, key);
  return v ? as_real(key, *v) : otherwise;
}

bool boolean(const Json& o, const char* key, bool otherwise) {
  const Json* v = member(o, key);
  if (!v) return otherwise;
  if (!v->is_boolean()) wrong_value(key, "true or false", *v);
  return v->get<bool>();
}

std::vector<float> real_list(const Json& o, const char* key) {
  const Json* v = member(o, key);
  if (!v) return {};
  if (!v->is_array()) wrong_value(key, "a list of numbers", *v);
  std::vector<float> out;
  out.reserve(v->size());
  for (const Json& x : *v) out.push_back(static_cast<float>(as_real(key, x)));
  return out;
}

/// Window of all layers; models whose layers differ are refused rather than run wrongly.
int64_t sliding_window(const Json& json, int64_t n_layers) {
  const int64_t window = integer(json, "sliding_window", 0);
  if (window == 0 || !boolean(json, "use_sliding_window", true)) return 0;
  int64_t n_sliding = n_layers;
  if (const Json* types = member(json, "layer_types")) {
    if (!types->is_array()) wrong_value("layer_types", "a list", *types);
    n_sliding = 0;
    for (const Json& t : *types) n_sliding += t == "sliding_attention";
  } else if (member(json, "use_sliding_window")) {
    // Qwen: the layers from max_window_layers on slide.
    n_sliding = n_layers - std::min(n_layers, std::max<int64_t>(0, integer(json, "max_window_layers", n_layers)));
  }
  if (n_sliding == 0) return 0;
  if (n_sliding != n_layers)
    fail(ErrorCode::unsupported,
         "config.json: {} of {} layers use a sliding window; a mix of layers with and without one is "
         "not supported for this architecture",
         n_sliding, n_layers);
  return window;
}

/// Divisors of the frequencies by Llama 3.1's rule: long waves are stretched by `factor`, short ones kept, a blend between.
std::vector<float> llama3_factors(const RopeConfig& rope, double low_freq_factor, double high_freq_factor) {
  std::vector<float> out;
  const auto original = static_cast<double>(rope.original_context);
  for (int32_t i = 0; i < rope.n_rot / 2; ++i) {
    const double wavelength = 2 * std::numbers::pi * std::pow(rope.theta, 2.0 * i / rope.n_rot);
    double divisor = 1;
    if (wavelength > original / low_freq_factor) {
      divisor = rope.factor;
    } else if (wavelength > original / high_freq_factor) {
      const double smooth = (original / wavelength - low_freq_factor) / (high_freq_factor - low_freq_factor);
      divisor = 1 / ((1 - smooth) / rope.factor + smooth);
    }
    out.push_back(static_cast<float>(divisor));
  }
  return out;
}

double yarn_mscale(double factor, double mscale) { return factor <= 1 ? 1 : 0.1 * mscale * std::log(factor) + 1; }

void read_rope(const Json& json, Config& c) {
  const Json* scaling = member(json, "rope_parameters");
  if (!scaling) scaling = member(json, "rope_scaling");
  static const Json kNone = Json::object();
  const Json& s = scaling ? *scaling : kNone;
  if (!s.is_object()) wrong_value("rope_parameters (rope_scaling)", "an object", s);
  for (const auto& [key, value] : s.items())
    if (value.is_object())
      fail(ErrorCode::unsupported,
           "config.json: rope_parameters differ by layer type ('{}'); not supported for this architecture", printable(key));

  RopeConfig& r = c.rope;
  r.theta = real(s, "rope_theta", real(json, "rope_theta", 10000.0));
  const double partial = real(s, "partial_rotary_factor", real(json, "partial_rotary_factor", 1.0));
  if (!(partial > 0 && partial <= 1))
    fail(ErrorCode::hparam, "config.json: partial_rotary_factor is {}; it must lie in (0, 1]", partial);
  r.n_rot = static_cast<int32_t>(static_cast<double>(c.head_dim) * partial);

  const Json* type = member(s, "rope_type");
  if (!type) type = member(s, "type");
  std::string name = "default";
  if (type) {
    if (!type->is_string()) wrong_value("rope_type", "a string", *type);
    name = type->get<std::string>();
  }
  // The top-level value wins over the one inside: transformers reads them in this order.
  r.original_context = integer(json, "original_max_position_embeddings", integer(s, "original_max_position_embeddings", 0));
  r.short_factors = real_list(s, "short_factor");
  r.long_factors = real_list(s, "long_factor");
  // "su" and "yarn" are early names of LongRoPE in Phi-3's configurations.
  if (name == "su" || (name == "yarn" && !r.long_factors.empty())) name = "longrope";

  if (name == "default" || name == "dynamic" || name == "mrope") {
    // "dynamic" changes nothing up to max_position_embeddings, which is as far as a sequence may go here.
    if (name == "mrope") fail(ErrorCode::unsupported, "config.json: rope type 'mrope' belongs to vision models; not supported");
    if (!r.long_factors.empty()) fail(ErrorCode::hparam, "config.json: long_factor is given but rope_type is '{}'", name);
    r.scaling = "none";
    return;
  }
  const double max_position = static_cast<double>(c.max_position_embeddings);
  const double original = r.original_context ? static_cast<double>(r.original_context) : max_position;
  r.scaling = name;
  if (name == "longrope") {
    if (r.short_factors.empty() || r.long_factors.empty())
      fail(ErrorCode::hparam, "config.json: rope type longrope needs short_factor and long_factor");
    r.original_context = static_cast<int64_t>(original);
    const double factor = real(s, "factor", max_position / original);
    r.attention_factor = real(s, "attention_factor", factor <= 1 ? 1.0 : std::sqrt(1 + std::log(factor) / std::log(original)));
    return;
  }
  r.short_factors.clear();
  r.factor = real(s, "factor", max_position / original);
  if (name == "yarn") {
    r.original_context = static_cast<int64_t>(original);
    r.yarn_beta_fast = real(s, "beta_fast", 32);
    r.yarn_beta_slow = real(s, "beta_slow", 1);
    const double mscale = real(s, "mscale", 0), all = real(s, "mscale_all_dim", 0);
    const double by_rule =
        mscale != 0 && all != 0 ? yarn_mscale(r.factor, mscale) / yarn_mscale(r.factor, all) : yarn_mscale(r.factor, 1);
    r.attention_factor = real(s, "attention_factor", by_rule);
    if (!boolean(s, "truncate", true)) fail(ErrorCode::unsupported, "config.json: yarn with truncate = false is not supported");
  } else if (name == "llama3") {
    if (r.original_context == 0) fail(ErrorCode::hparam, "config.json: rope type llama3 needs original_max_position_embeddings");
    const double low = real(s, "low_freq_factor", 1), high = real(s, "high_freq_factor", 4);
    if (!(r.factor >= 1 && low > 0 && high > low))
      fail(ErrorCode::hparam, "config.json: rope type llama3 has factor {}, low_freq_factor {}, high_freq_factor {}", r.factor,
           low, high);
    r.short_factors = llama3_factors(r, low, high);
  } else if (name != "linear") {
    fail(ErrorCode::unsupported,
         "config.json: rope type '{}' is not supported; there are default, linear, dynamic, yarn, longrope "
         "and llama3",
         printable(name));
  }
}

}  // namespace

Config config_from_json(const Json& json, const std::string& architecture) {
  if (!json.is_object()) fail(ErrorCode::hparam, "config.json must hold an object");
  if (const Json* q = member(json, "quantization_config")) {
    const Json* method = member(*q, "quant_method");
    fail(ErrorCode::unsupported,
         "config.json: the checkpoint is quantized already ({}); convert the model's original float checkpoint",
         method && method->is_string() ? printable(method->get<std::string>()) : "quantization_config");
  }
  Config c;
  c.architecture = architecture;
  c.n_layers = integer(json, "num_hidden_layers");
  c.hidden_size = integer(json, "hidden_size");
  c.intermediate_size = integer(json, "intermediate_size");
  c.n_heads = integer(json, "num_attention_heads");
  c.n_kv_heads = integer(json, "num_key_value_heads", c.n_heads);
  c.vocab_size = integer(json, "vocab_size");
  c.max_position_embeddings = integer(json, "max_position_embeddings");
  if (c.vocab_size < 1) fail(ErrorCode::hparam, "config.json: vocab_size is {}", c.vocab_size);
  if (c.n_heads < 1) fail(ErrorCode::hparam, "config.json: num_attention_heads is {}", c.n_heads);
  c.head_dim = integer(json, "head_dim", 0);
  if (c.head_dim == 0) {
    if (c.hidden_size % c.n_heads != 0)
      fail(ErrorCode::hparam, "config.json: hidden_size {} is not a multiple of num_attention_heads {}", c.hidden_size,
           c.n_heads);
    c.head_dim = c.hidden_size / c.n_heads;
  }
  if (c.head_dim < 1 || c.head_dim > 1 << 16) fail(ErrorCode::hparam, "config.json: head_dim is {}", c.head_dim);
  const Json* eps = member(json, "rms_norm_eps");
  if (!eps) fail(ErrorCode::hparam, "config.json: rms_norm_eps is missing; is this the model's own config.json?");
  c.norm_eps = as_real("rms_norm_eps", *eps);
  c.tie_word_embeddings = boolean(json, "tie_word_embeddings", false);
  c.attention_bias = boolean(json, "attention_bias", false);
  c.sliding_window = sliding_window(json, c.n_layers);
  for (const char* key : {"hidden_act", "hidden_activation"})
    if (const Json* act = member(json, key); act && !is_text(*act, "silu") && !is_text(*act, "swish"))
      fail(ErrorCode::unsupported, "config.json: {} is {}; only silu is supported for this architecture", key,
           printable(act->dump(-1, ' ', true)));
  if (boolean(json, "mlp_bias", false))
    fail(ErrorCode::unsupported, "config.json: mlp_bias is true; biases in the feed-forward layers are not supported");
  for (const char* key : {"num_local_experts", "num_experts"})
    if (integer(json, key, 0) > 0)
      fail(ErrorCode::unsupported, "config.json: {} is set; mixture-of-experts models are not supported", key);
  read_rope(json, c);
  return c;
}

}  // namespace phial
