// The rule table of the mixes, and how a tensor finds its row.
#include "quant/recipe.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <numeric>
#include <optional>

#include "base/fail.h"
#include "quant/codec.h"
#include "quant/name_pattern.h"

namespace phial {
namespace {

constexpr std::array kMixes{
#define X(name, ftype, base, what) MixRow{#name, ftype, DType::base, what},
#include "quant/mixes.def"
#undef X
};

enum class Role { attn_v, attn_k, attn_output, ffn_down, output, token_embd, other };

/// Where a rule holds; i counts tensors of the role, n is their number.
enum class Where { always, grouped, more_bits, first_8th, first_16th, first_2, first_4 };

struct Rule {
  Mix mix;
  Role role;
  Where where;
  DType dtype;
  std::string_view architecture = {};  // "" = all
};

// The first row that holds counts; without one the tensor gets the base type of the mix.
constexpr Rule kRules[] = {
    {Mix::Q2_K, Role::attn_v, Where::grouped, DType::q4_k},
    {Mix::Q2_K, Role::attn_v, Where::always, DType::q3_k},
    {Mix::Q2_K, Role::ffn_down, Where::always, DType::q3_k},
    {Mix::Q2_K, Role::attn_output, Where::always, DType::q2_k, "falcon"},
    {Mix::Q2_K, Role::attn_output, Where::always, DType::q3_k},
    {Mix::Q2_K_S, Role::attn_v, Where::grouped, DType::q4_k},
    {Mix::Q2_K_S, Role::ffn_down, Where::first_8th, DType::q4_k},
    {Mix::Q3_K_M, Role::attn_v, Where::first_2, DType::q5_k},
    {Mix::Q3_K_M, Role::attn_v, Where::always, DType::q4_k},
    {Mix::Q3_K_M, Role::ffn_down, Where::first_16th, DType::q5_k},
    {Mix::Q3_K_M, Role::ffn_down, Where::more_bits, DType::q4_k, "falcon"},
    {Mix::Q3_K_M, Role::ffn_down, Where::always, DType::q3_k, "falcon"},
    {Mix::Q3_K_M, Role::ffn_down, Where::always, DType::q4_k},
    {Mix::Q3_K_M, Role::attn_output, Where::always, DType::q3_k, "falcon"},
    {Mix::Q3_K_M, Role::attn_output, Where::always, DType::q4_k},
    {Mix::Q3_K_L, Role::attn_v, Where::always, DType::q5_k},
    {Mix::Q3_K_L, Role::ffn_down, Where::always, DType::q4_k, "falcon"},
    {Mix::Q3_K_L, Role::ffn_down, Where::always, DType::q5_k},
    {Mix::Q3_K_L, Role::attn_output, Where::always, DType::q4_k, "falcon"},
    {Mix::Q3_K_L, Role::attn_output, Where::always, DType::q5_k},
    {Mix::Q4_K_S, Role::attn_v, Where::first_4, DType::q5_k},
    {Mix::Q4_K_S, Role::ffn_down, Where::always, DType::q4_k, "falcon"},
    {Mix::Q4_K_S, Role::ffn_down, Where::first_8th, DType::q5_k},
    {Mix::Q4_K_M, Role::attn_v, Where::more_bits, DType::q6_k},
    {Mix::Q4_K_M, Role::ffn_down, Where::first_16th, DType::q6_k, "falcon"},
    {Mix::Q4_K_M, Role::ffn_down, Where::more_bits, DType::q5_k, "falcon"},
    {Mix::Q4_K_M, Role::ffn_down, Where::always, DType::q4_k, "falcon"},
    {Mix::Q4_K_M, Role::ffn_down, Where::more_bits, DType::q6_k},
    {Mix::Q5_K_M, Role::attn_v, Where::more_bits, DType::q6_k},
    {Mix::Q5_K_M, Role::ffn_down, Where::more_bits, DType::q6_k},
};

/// Parts of names of tensors that are never quantized: small, or so sensitive that it does not pay.
constexpr std::string_view kKeptParts[] = {"_norm.weight",
                                           "ffn_gate_inp.weight",
                                           "ffn_gate_tid2eid.weight",
                                           "altup",
                                           "laurel",
                                           "per_layer_model_proj",
                                           "ssm_conv1d",
                                           "shortconv.conv.weight",
                                           "time_mix_first.weight",
                                           "time_mix_w0.weight",
                                           "time_mix_w1.weight",
                                           "time_mix_w2.weight",
                                           "time_mix_v0.weight",
                                           "time_mix_v1.weight",
                                           "time_mix_v2.weight",
                                           "time_mix_a0.weight",
                                           "time_mix_a1.weight",
                                           "time_mix_a2.weight",
                                           "time_mix_g1.weight",
                                           "time_mix_g2.weight",
                                           "time_mix_decay_w1.weight",
                                           "time_mix_decay_w2.weight",
                                           "time_mix_lerp_fused.weight",
                                           "attn_rel_b.weight",
                                           ".position_embd",
                                           ".patch_embd"};
constexpr std::string_view kKeptNames[] = {"position_embd.weight", "token_types.weight"};

/// What the rules ask of the model.
struct Facts {
  int64_t n_layers = 0, n_experts = 0;
  int64_t heads_per_kv_head = 0;  // 0 = not known
  std::string architecture;
};

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return out;
}

/// N of "blk.N.", or -1.
int64_t layer_of(std::string_view name) {
  if (!name.starts_with("blk.")) return -1;
  name.remove_prefix(4);
  int64_t layer = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), layer);
  const bool good = error == std::errc() && layer >= 0 && end != name.data() + name.size() && *end == '.';
  return good ? layer : -1;
}

/// An integer, the first of an array of them (counts per layer), or 0 when absent.
int64_t first_integer(const Metadata& metadata, const std::string& key) {
  const MetaValue* value = metadata.find(key);
  if (!value) return 0;
  return std::visit(
      [&](const auto& v) -> int64_t {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, std::vector<int32_t>> || std::is_same_v<T, std::vector<uint32_t>> ||
                      std::is_same_v<T, std::vector<int64_t>> || std::is_same_v<T, std::vector<uint64_t>>) {
          return v.empty() ? 0 : static_cast<int64_t>(v[0]);
        } else {
          return metadata.integer(key);
        }
      },
      *value);
}

Facts read_facts(const Metadata& metadata, const std::vector<RecipeTensor>& tensors) {
  Facts f;
  f.architecture = metadata.text("general.architecture", "");
  const std::string prefix = f.architecture + ".";
  f.n_layers = first_integer(metadata, prefix + "block_count");
  if (f.n_layers <= 0)  // a file without it still has its layers
    for (const RecipeTensor& t : tensors) f.n_layers = std::max(f.n_layers, layer_of(t.name) + 1);
  f.n_experts = first_integer(metadata, prefix + "expert_count");
  const int64_t heads = first_integer(metadata, prefix + "attention.head_count");
  const int64_t kv_heads =
      metadata.has(prefix + "attention.head_count_kv") ? first_integer(metadata, prefix + "attention.head_count_kv") : heads;
  f.heads_per_kv_head = heads > 0 && kv_heads > 0 ? heads / kv_heads : 0;
  return f;
}

bool is_kept(const RecipeTensor& t) {
  // Leading axes of length 1 do not make a vector a matrix.
  const auto first = std::find_if(t.shape.begin(), t.shape.end(), [](int64_t n) { return n != 1; });
  if (t.shape.end() - first < 2) return true;
  if (!t.name.ends_with("weight")) return true;
  for (std::string_view part : kKeptParts)
    if (contains(t.name, part)) return true;
  return std::find(std::begin(kKeptNames), std::end(kKeptNames), t.name) != std::end(kKeptNames);
}

Role role_of(std::string_view name, bool has_output) {
  if (name == "output.weight") return Role::output;
  if (name == "token_embd.weight" || name == "per_layer_token_embd.weight") return has_output ? Role::token_embd : Role::output;
  if (contains(name, "attn_v.weight") || contains(name, "attn_qkv.weight") || contains(name, "attn_kv_b.weight"))
    return Role::attn_v;
  if (contains(name, "attn_k.weight")) return Role::attn_k;
  if (contains(name, "attn_output.weight")) return Role::attn_output;
  if (contains(name, "ffn_down")) return Role::ffn_down;
  return Role::other;
}

bool holds(Where where, int64_t i, int64_t n, const Facts& facts) {
  switch (where) {
    case Where::always:
      return true;
    case Where::grouped:
      return facts.heads_per_kv_head >= 4;
    case Where::more_bits:
      return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
    case Where::first_8th:
      return i < n / 8;
    case Where::first_16th:
      return i < n / 16;
    case Where::first_2:
      return i < 2;
    case Where::first_4:
      return i < 4;
  }
  return false;
}

/// The mix's answer for tensor i of n of its role.
DType mixed_type(const RecipeOptions& options, const Facts& facts, Role role, int64_t i, int64_t n, int64_t row_length) {
  const DType base = mix_row(options.mix).base;
  if (role == Role::output) {
    const bool fits = row_length % format_info(base).block_values == 0;
    return base == DType::q8_0 || !fits || facts.architecture == "falcon" ? DType::q8_0 : DType::q6_k;
  }
  DType dtype = base;
  for (const Rule& r : kRules)
    if (r.mix == options.mix && r.role == role && (r.architecture.empty() || r.architecture == facts.architecture) &&
        holds(r.where, i, n, facts)) {
      dtype = r.dtype;
      break;
    }
  if (role == Role::ffn_down && options.has_importance && holds(Where::first_8th, i, n, facts)) {
    if (base == DType::q4_0) dtype = DType::q4_1;
    if (base == DType::q5_0) dtype = DType::q5_1;
  }
  // 80 layers with shared KV heads: attn_v is so small beside the rest that more bits cost nothing.
  if (role == Role::attn_v && facts.n_layers == 80 && facts.heads_per_kv_head > 1 &&
      (dtype == DType::q3_k || dtype == DType::q4_k))
    dtype = DType::q5_k;
  // The same with 8 experts, where attention is small beside the experts.
  if (facts.n_experts == 8) {
    if (role == Role::attn_v || role == Role::attn_k) return DType::q8_0;
    if (role == Role::attn_output && facts.architecture != "falcon") {
      const bool low = options.mix == Mix::Q2_K || options.mix == Mix::Q3_K_S || options.mix == Mix::Q3_K_M ||
                       options.mix == Mix::Q4_K_S || options.mix == Mix::Q4_K_M;
      return low ? DType::q5_k : base;
    }
  }
  return dtype;
}

/// A type whose block divides the row, as close as possible.
DType fitting_type(DType wanted, int64_t row_length) {
  const auto fits = [row_length](DType d) { return row_length % format_info(d).block_values == 0; };
  if (fits(wanted)) return wanted;
  DType next = DType::f16;
  switch (wanted) {
    case DType::q2_k:
    case DType::q3_k:
      next = DType::q4_0;
      break;
    case DType::q4_k:
      next = DType::q5_0;
      break;
    case DType::q5_k:
      next = DType::q5_1;
      break;
    case DType::q6_k:
      next = DType::q8_0;
      break;
    default:
      break;
  }
  return fits(next) ? next : DType::f16;
}

std::optional<DType> optional_type(const std::string& text, std::string_view what) {
  if (text.empty()) return std::nullopt;
  return parse_tensor_type(text, what);
}

std::string mix_names() {
  std::string names;
  for (const MixRow& row : kMixes) names += (names.empty() ? "" : ", ") + std::string(row.name);
  return names;
}

}  // namespace

const MixRow& mix_row(Mix mix) { return kMixes[static_cast<size_t>(mix)]; }

Mix parse_mix(std::string_view text) {
  std::string name = upper(text);
  if (name == "Q3_K" || name == "Q4_K" || name == "Q5_K") name += "_M";
  int number = -1;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  const bool is_number = error == std::errc() && end == name.data() + name.size();
  for (size_t i = 0; i < kMixes.size(); ++i)
    if (is_number ? kMixes[i].ftype == number : kMixes[i].name == name) return static_cast<Mix>(i);
  fail(ErrorCode::argument, "unknown quantization type '{}'; use one of {}, or COPY", printable(text), mix_names());
}

DType parse_tensor_type(std::string_view text, std::string_view what) {
  const std::optional<DType> dtype = dtype_from_text(text);
  if (!dtype || !codec(*dtype).encode) {
    std::string names;
    for (DType d : kAllDTypes)
      if (codec(d).encode) names += (names.empty() ? "" : ", ") + std::string(format_info(d).text);
    fail(ErrorCode::argument, "{}: '{}' is not a tensor type that can be written; use one of {}", what, printable(text), names);
  }
  return *dtype;
}

std::vector<TensorChoice> choose_types(const RecipeOptions& options, const Metadata& metadata,
                                       const std::vector<RecipeTensor>& tensors) {
  const Facts facts = read_facts(metadata, tensors);
  const DType base = mix_row(options.mix).base;
  const auto output_type = optional_type(options.output_tensor_type, "--output-tensor-type");
  const auto embedding_type = optional_type(options.token_embedding_type, "--token-embedding-type");
  std::vector<std::pair<NamePattern, DType>> patterns;
  for (const auto& [regex, type] : options.tensor_types)
    patterns.emplace_back(NamePattern(regex, "--tensor-type"), parse_tensor_type(type, "--tensor-type"));

  const bool has_output = std::any_of(tensors.begin(), tensors.end(), [](const auto& t) { return t.name == "output.weight"; });
  // Rules that count do so by layer, then name, whatever the order in the file.
  std::vector<size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    const int64_t la = layer_of(tensors[a].name), lb = layer_of(tensors[b].name);
    return la != lb ? la < lb : tensors[a].name < tensors[b].name;
  });
  int64_t n_attn_v = 0, i_attn_v = 0, i_ffn_down = 0;
  for (const RecipeTensor& t : tensors) n_attn_v += role_of(t.name, has_output) == Role::attn_v;

  std::vector<TensorChoice> choices(tensors.size());
  for (size_t index : order) {
    const RecipeTensor& t = tensors[index];
    TensorChoice& choice = choices[index];
    choice.dtype = choice.wanted = t.dtype;
    const bool left = options.leave_output_tensor && t.name == "output.weight";
    if (options.copy || left || is_kept(t)) continue;
    choice.quantizable = true;
    choice.wanted = base;
    const Role role = role_of(t.name, has_output);
    const bool is_embedding = t.name == "token_embd.weight" || t.name == "per_layer_token_embd.weight";
    if (is_embedding && embedding_type) {
      choice.wanted = *embedding_type;
    } else if (t.name == "output.weight" && output_type) {
      choice.wanted = *output_type;
    } else if (format_info(base).is_quantized()) {
      const auto match = std::find_if(patterns.begin(), patterns.end(), [&](const auto& p) { return p.first.matches(t.name); });
      int64_t i = 0, n = 0;
      if (role == Role::attn_v) {
        i = i_attn_v++;
        n = n_attn_v;
      } else if (role == Role::ffn_down) {
        i = facts.n_experts > 1 ? layer_of(t.name) : i_ffn_down;
        ++i_ffn_down;
        n = facts.n_layers;
      }
      if (match != patterns.end()) {
        choice.wanted = match->second;
      } else if (!options.pure) {
        choice.wanted = mixed_type(options, facts, role, i, n, t.shape.back());
      }
    }
    choice.dtype = fitting_type(choice.wanted, t.shape.back());
    choice.needs_importance = choice.dtype == DType::q2_k && options.mix == Mix::Q2_K_S && role != Role::output &&
                              role != Role::token_embd && !is_embedding;
  }
  return choices;
}

void describe_mix(Mix mix, Metadata& metadata) {
  metadata.set("general.quantization_version", uint32_t{2});
  metadata.set("general.file_type", static_cast<uint32_t>(mix_row(mix).ftype));
}

}  // namespace phial
