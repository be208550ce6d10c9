// tokenizer.json's normalizers and pre-tokenizers: JSON to rules and back.
#include "tokenizer/text_rules.h"

#include <algorithm>

#include "base/fail.h"
#include "base/json.h"

namespace phial {

const char* const kByteLevelPattern = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

namespace {

constexpr size_t kMaxSteps = 32;

constexpr std::pair<SplitBehavior, const char*> kBehaviors[] = {{SplitBehavior::removed, "Removed"},
                                                                {SplitBehavior::isolated, "Isolated"},
                                                                {SplitBehavior::merged_with_previous, "MergedWithPrevious"},
                                                                {SplitBehavior::merged_with_next, "MergedWithNext"},
                                                                {SplitBehavior::contiguous, "Contiguous"}};
constexpr std::pair<PrependScheme, const char*> kSchemes[] = {
    {PrependScheme::first, "first"}, {PrependScheme::always, "always"}, {PrependScheme::never, "never"}};

/// A field of one component, with errors that name the place.
struct Component {
  const Json& json;
  const std::string& where;

  const Json* find(const char* key) const {
    const auto it = json.find(key);
    return it == json.end() || it->is_null() ? nullptr : &*it;
  }
  std::string text(const char* key, const char* otherwise = nullptr) const {
    const Json* v = find(key);
    if (!v && otherwise) return otherwise;
    if (!v || !v->is_string()) fail(ErrorCode::vocab, "{}: '{}' is not a string", where, key);
    return v->get<std::string>();
  }
  bool boolean(const char* key, bool otherwise) const {
    const Json* v = find(key);
    if (!v) return otherwise;
    if (!v->is_boolean()) fail(ErrorCode::vocab, "{}: '{}' is not true or false", where, key);
    return v->get<bool>();
  }
  /// {"String": ..} or {"Regex": ..}
  void pattern(std::string& text_out, bool& is_regex) const {
    const Json* v = find("pattern");
    if (v && v->is_object() && v->size() == 1 && v->begin()->is_string() && (v->contains("String") || v->contains("Regex"))) {
      is_regex = v->contains("Regex");
      text_out = v->begin()->get<std::string>();
      return;
    }
    fail(ErrorCode::vocab, "{}: 'pattern' is neither a String nor a Regex", where);
  }
  template <typename T, size_t n>
  T one_of(const char* key, const std::pair<T, const char*> (&names)[n], const char* otherwise) const {
    const std::string name = text(key, otherwise);
    for (const auto& [value, text] : names)
      if (name == text) return value;
    fail(ErrorCode::vocab, "{}: '{}' is '{}', which is unknown", where, key, printable(name));
  }
};

template <typename T, size_t n>
const char* name_of(T value, const std::pair<T, const char*> (&names)[n]) {
  for (const auto& [v, text] : names)
    if (v == value) return text;
  return "";
}

NormalizerStep read_normalizer(const std::string& type, const Component& c) {
  NormalizerStep s;
  if (type == "NFC")
    s.kind = NormalizerKind::nfc;
  else if (type == "NFD")
    s.kind = NormalizerKind::nfd;
  else if (type == "NFKC")
    s.kind = NormalizerKind::nfkc;
  else if (type == "NFKD")
    s.kind = NormalizerKind::nfkd;
  else if (type == "Lowercase")
    s.kind = NormalizerKind::lowercase;
  else if (type == "Strip") {
    s.kind = NormalizerKind::strip;
    s.left = c.boolean("strip_left", true);
    s.right = c.boolean("strip_right", true);
  } else if (type == "Replace") {
    s.kind = NormalizerKind::replace;
    c.pattern(s.pattern, s.is_regex);
    s.content = c.text("content");
  } else if (type == "Prepend") {
    s.kind = NormalizerKind::prepend;
    s.content = c.text("prepend");
  } else {
    fail(ErrorCode::vocab, "{}: the normalizer '{}' is not supported", c.where, printable(type));
  }
  return s;
}

PreTokenizerStep read_pre_tokenizer(const std::string& type, const Component& c) {
  PreTokenizerStep s;
  if (type == "Split") {
    s.kind = PreTokenizerKind::split;
    c.pattern(s.pattern, s.is_regex);
    s.behavior = c.one_of("behavior", kBehaviors, "Isolated");
    s.invert = c.boolean("invert", false);
  } else if (type == "Digits") {
    s.kind = PreTokenizerKind::digits;
    s.individual_digits = c.boolean("individual_digits", false);
  } else if (type == "Punctuation") {
    s.kind = PreTokenizerKind::punctuation;
    s.behavior = c.one_of("behavior", kBehaviors, "Isolated");
  } else if (type == "Whitespace") {
    s.kind = PreTokenizerKind::whitespace;
  } else if (type == "WhitespaceSplit") {
    s.kind = PreTokenizerKind::whitespace_split;
  } else if (type == "ByteLevel") {
    s.kind = PreTokenizerKind::byte_level;
    s.add_prefix_space = c.boolean("add_prefix_space", true);
    s.use_regex = c.boolean("use_regex", true);
  } else if (type == "Metaspace") {
    s.kind = PreTokenizerKind::metaspace;
    s.replacement = c.text("replacement", "\xE2\x96\x81");
    // Files older than prepend_scheme say add_prefix_space.
    const bool older = !c.find("prepend_scheme") && c.find("add_prefix_space");
    s.prepend_scheme =
        older && !c.boolean("add_prefix_space", true) ? PrependScheme::never : c.one_of("prepend_scheme", kSchemes, "always");
    s.split = c.boolean("split", true);
  } else {
    fail(ErrorCode::vocab, "{}: the pre-tokenizer '{}' is not supported", c.where, printable(type));
  }
  return s;
}

/// Flattens sequences; parse_json has bounded the depth.
template <typename Step, typename Read>
void flatten(const Json& json, const char* list_key, const std::string& where, Read read, std::vector<Step>& out) {
  if (json.is_null()) return;
  const Component c{json, where};
  if (!json.is_object()) fail(ErrorCode::vocab, "{}: not an object", where);
  const std::string type = c.text("type");
  if (type == "Sequence") {
    const Json* list = c.find(list_key);
    if (!list || !list->is_array()) fail(ErrorCode::vocab, "{}: a Sequence without '{}'", where, list_key);
    for (const Json& one : *list) flatten(one, list_key, where, read, out);
    return;
  }
  if (out.size() >= kMaxSteps) fail(ErrorCode::limit, "{}: more than {} steps", where, kMaxSteps);
  out.push_back(read(type, c));
}

// Written as text: trees of the library allocate when they end (base/json.h).
std::string quoted(const std::string& text) { return Json(text).dump(); }
std::string boolean(bool value) { return value ? "true" : "false"; }

/// An object of members already written, in the order of their keys.
std::string object(std::vector<std::pair<std::string, std::string>> members) {
  std::sort(members.begin(), members.end());
  std::string out = "{";
  for (const auto& [key, value] : members) out += (out.size() > 1 ? "," : "") + quoted(key) + ":" + value;
  return out + "}";
}
std::string pattern_text(const std::string& pattern, bool is_regex) {
  return object({{is_regex ? "Regex" : "String", quoted(pattern)}});
}

std::string to_text(const NormalizerStep& s) {
  const auto plain = [](const char* type) { return object({{"type", quoted(type)}}); };
  switch (s.kind) {
    case NormalizerKind::nfc:
      return plain("NFC");
    case NormalizerKind::nfd:
      return plain("NFD");
    case NormalizerKind::nfkc:
      return plain("NFKC");
    case NormalizerKind::nfkd:
      return plain("NFKD");
    case NormalizerKind::lowercase:
      return plain("Lowercase");
    case NormalizerKind::strip:
      return object({{"type", quoted("Strip")}, {"strip_left", boolean(s.left)}, {"strip_right", boolean(s.right)}});
    case NormalizerKind::replace:
      return object(
          {{"type", quoted("Replace")}, {"pattern", pattern_text(s.pattern, s.is_regex)}, {"content", quoted(s.content)}});
    case NormalizerKind::prepend:
      return object({{"type", quoted("Prepend")}, {"prepend", quoted(s.content)}});
  }
  return "null";
}

std::string to_text(const PreTokenizerStep& s) {
  const auto plain = [](const char* type) { return object({{"type", quoted(type)}}); };
  switch (s.kind) {
    case PreTokenizerKind::split:
      return object({{"type", quoted("Split")},
                     {"pattern", pattern_text(s.pattern, s.is_regex)},
                     {"behavior", quoted(name_of(s.behavior, kBehaviors))},
                     {"invert", boolean(s.invert)}});
    case PreTokenizerKind::digits:
      return object({{"type", quoted("Digits")}, {"individual_digits", boolean(s.individual_digits)}});
    case PreTokenizerKind::punctuation:
      return object({{"type", quoted("Punctuation")}, {"behavior", quoted(name_of(s.behavior, kBehaviors))}});
    case PreTokenizerKind::whitespace:
      return plain("Whitespace");
    case PreTokenizerKind::whitespace_split:
      return plain("WhitespaceSplit");
    case PreTokenizerKind::byte_level:
      return object({{"type", quoted("ByteLevel")},
                     {"add_prefix_space", boolean(s.add_prefix_space)},
                     {"use_regex", boolean(s.use_regex)}});
    case PreTokenizerKind::metaspace:
      return object({{"type", quoted("Metaspace")},
                     {"replacement", quoted(s.replacement)},
                     {"prepend_scheme", quoted(name_of(s.prepend_scheme, kSchemes))},
                     {"split", boolean(s.split)}});
  }
  return "null";
}

template <typename Step>
std::string sequence_text(const std::vector<Step>& steps, const char* list_key) {
  if (steps.empty()) return "null";
  if (steps.size() == 1) return to_text(steps[0]);
  std::string list;
  for (const Step& s : steps) list += (list.empty() ? "" : ",") + to_text(s);
  return object({{"type", quoted("Sequence")}, {list_key, "[" + list + "]"}});
}

}  // namespace

std::vector<NormalizerStep> parse_normalizer(std::string_view json, const std::string& where) {
  std::vector<NormalizerStep> out;
  flatten<NormalizerStep>(parse_json(json, where), "normalizers", where, read_normalizer, out);
  return out;
}

std::vector<PreTokenizerStep> parse_pre_tokenizer(std::string_view json, const std::string& where) {
  std::vector<PreTokenizerStep> out;
  flatten<PreTokenizerStep>(parse_json(json, where), "pretokenizers", where, read_pre_tokenizer, out);
  return out;
}

std::string normalizer_json(const std::vector<NormalizerStep>& steps) { return sequence_text(steps, "normalizers"); }
std::string pre_tokenizer_json(const std::vector<PreTokenizerStep>& steps) { return sequence_text(steps, "pretokenizers"); }

}  // namespace phial
