// Source: the serialization of Hugging Face's `tokenizers`. What we cannot do exactly is refused by name.
#include "tokenizer/hf_json.h"

#include <algorithm>

#include "base/fail.h"
#include "base/json.h"
#include "tokenizer/vocab_parts.h"

namespace phial {
namespace {

const Json* member(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(key);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

bool flag(const Json& object, const char* key, bool otherwise, const std::string& where) {
  const Json* v = member(object, key);
  if (!v) return otherwise;
  if (!v->is_boolean()) fail(ErrorCode::vocab, "{}: '{}' is not true or false", where, key);
  return v->get<bool>();
}

std::string text_of(const Json& object, const char* key, const std::string& where) {
  const Json* v = member(object, key);
  if (!v || !v->is_string()) fail(ErrorCode::vocab, "{}: '{}' is not a string", where, key);
  return v->get<std::string>();
}

int64_t id_of(const Json& value, const std::string& where) {
  if (value.is_number_unsigned() && value.get<uint64_t>() <= INT32_MAX) return value.get<int64_t>();
  fail(ErrorCode::vocab, "{}: a token id is not a whole number from 0 to 2147483647", where);
}

/// Puts a token at its id. Two texts with one id are refused; the same text again is fine.
class TokenList {
 public:
  TokenList(HfTokenizer& t, const std::string& where, int64_t vocab_size, size_t n_known)
      : t_(t),
        where_(where),
        // Ids may have holes (they become padding), but a hole cannot be larger than the vocabulary itself.
        limit_(vocab_size > 0 ? vocab_size : static_cast<int64_t>(n_known) * 2 + 1024),
        from_embedding_(vocab_size > 0) {}

  void put(int64_t id, const std::string& text) {
    if (id >= limit_)
      fail(ErrorCode::vocab, "{}: token '{}' has id {}, but {}", where_, printable(text), id,
           from_embedding_ ? fmt::format("the embedding has {} rows", limit_) : std::string("the ids below it are missing"));
    const auto i = static_cast<size_t>(id);
    if (i >= t_.tokens.size()) {
      check_token_limits(i + 1, 0);
      t_.tokens.resize(i + 1);
      t_.defined.resize(i + 1);
    }
    check_token_text(text, i);
    if (t_.defined[i] && t_.tokens[i] != text)
      fail(ErrorCode::vocab, "{}: id {} belongs to '{}' and to '{}'", where_, id, printable(t_.tokens[i]), printable(text));
    t_.defined[i] = true;
    t_.tokens[i] = text;
  }

 private:
  HfTokenizer& t_;
  const std::string& where_;
  int64_t limit_;
  bool from_embedding_;
};

void read_merges(const Json& model, const std::string& where, HfTokenizer& t) {
  const Json* merges = member(model, "merges");
  if (!merges || !merges->is_array()) fail(ErrorCode::vocab, "{}: 'merges' is not a list", where);
  check_token_limits(t.tokens.size(), merges->size());
  IdMap ids;
  ids.reserve(t.tokens.size());
  for (size_t i = 0; i < t.tokens.size(); ++i)
    if (t.defined[i]) ids.emplace(t.tokens[i], static_cast<int32_t>(i));
  t.merges.reserve(merges->size());
  for (const Json& m : *merges) {
    const size_t number = t.merges.size();
    if (m.is_string()) {
      t.merges.push_back(merge_of_text(m.get_ref<const std::string&>(), number, ids));
    } else if (m.is_array() && m.size() == 2 && m[0].is_string() && m[1].is_string()) {
      t.merges.push_back(merge_of_parts(m[0].get_ref<const std::string&>(), m[1].get_ref<const std::string&>(), number, ids));
    } else {
      fail(ErrorCode::vocab, "{}: merge {} is neither 'left right' nor a pair", where, number);
    }
  }
}

void read_model(const Json& model, const std::string& where, HfTokenizer& t, TokenList& list) {
  const std::string type = member(model, "type") ? text_of(model, "type", where) : "BPE";
  if (type != "BPE") fail(ErrorCode::vocab, "{}: the model is of type '{}'; only BPE is supported", where, printable(type));
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (const Json* v = member(model, key); v && !is_text(*v, ""))
      fail(ErrorCode::vocab, "{}: '{}' is not supported", where, key);
  if (const Json* v = member(model, "dropout"); v && *v != 0.0)
    fail(ErrorCode::vocab, "{}: 'dropout' makes the tokens random; set it to null", where);
  t.byte_fallback = flag(model, "byte_fallback", false, where);
  t.fuse_unk = flag(model, "fuse_unk", false, where);
  t.ignore_merges = flag(model, "ignore_merges", false, where);
  if (member(model, "unk_token")) t.unk_token = text_of(model, "unk_token", where);
  const Json* vocab = member(model, "vocab");
  if (!vocab || !vocab->is_object()) fail(ErrorCode::vocab, "{}: 'vocab' is not an object of token texts and ids", where);
  for (const auto& [text, id] : vocab->items()) list.put(id_of(id, where), text);
}

void read_added(const Json& root, const std::string& where, HfTokenizer& t, TokenList& list) {
  const Json* added = member(root, "added_tokens");
  if (!added) return;
  if (!added->is_array()) fail(ErrorCode::vocab, "{}: 'added_tokens' is not a list", where);
  for (const Json& one : *added) {
    const Json* id = member(one, "id");
    AddedToken a;
    a.text = text_of(one, "content", where);
    if (!id) fail(ErrorCode::vocab, "{}: the added token '{}' has no id", where, printable(a.text));
    a.id = static_cast<int32_t>(id_of(*id, where));
    a.special = flag(one, "special", false, where);
    a.lstrip = flag(one, "lstrip", false, where);
    a.rstrip = flag(one, "rstrip", false, where);
    a.single_word = flag(one, "single_word", false, where);
    a.normalized = flag(one, "normalized", !a.special, where);
    list.put(a.id, a.text);
    t.added.push_back(std::move(a));
  }
}

/// Calls `visit` for each decoder or processor, those of Sequences too. The parser has bounded the depth.
template <typename Visit>
void each_component(const Json* json, const char* list_key, const Visit& visit) {
  if (!json || !json->is_object()) return;
  const Json* type = member(*json, "type");
  if (type && is_text(*type, "Sequence")) {
    if (const Json* list = member(*json, list_key); list && list->is_array())
      for (const Json& one : *list) each_component(&one, list_key, visit);
    return;
  }
  visit(type && type->is_string() ? type->get<std::string>() : std::string(), *json);
}

void read_decoder(const Json& root, const std::string& where, HfTokenizer& t, bool& byte_level) {
  each_component(member(root, "decoder"), "decoders", [&](const std::string& type, const Json& d) {
    if (type == "ByteLevel") byte_level = true;
    if (type == "Strip") {
      const Json* start = member(d, "start");
      const Json* content = member(d, "content");
      if (start && start->is_number_unsigned() && start->get<uint64_t>() > 0 && content && is_text(*content, " "))
        t.rules.strip_prefix_space = true;
    }
    if (type == "Metaspace") {
      const Json* scheme = member(d, "prepend_scheme");
      t.rules.strip_prefix_space = scheme ? !is_text(*scheme, "never") : flag(d, "add_prefix_space", true, where);
    }
  });
}

/// The one id that a template's special token stands for.
std::optional<int32_t> template_id(const Json& processor, const Json& item, const std::string& where) {
  const Json* token = member(item, "SpecialToken");
  const Json* name = token ? member(*token, "id") : nullptr;
  const Json* all = member(processor, "special_tokens");
  const Json* entry = name && name->is_string() && all ? member(*all, name->get_ref<const std::string&>().c_str()) : nullptr;
  const Json* ids = entry ? member(*entry, "ids") : nullptr;
  if (!ids || !ids->is_array() || ids->size() != 1)
    fail(ErrorCode::vocab, "{}: the post-processor's template is not understood", where);
  return static_cast<int32_t>(id_of((*ids)[0], where));
}

void read_post_processor(const Json& root, const std::string& where, HfTokenizer& t) {
  each_component(member(root, "post_processor"), "processors", [&](const std::string& type, const Json& p) {
    if (type != "TemplateProcessing") {
      if (type != "ByteLevel") fail(ErrorCode::vocab, "{}: the post-processor '{}' is not supported", where, printable(type));
      return;
    }
    const Json* single = member(p, "single");
    if (!single || !single->is_array()) fail(ErrorCode::vocab, "{}: a post-processor without 'single'", where);
    bool text_seen = false;
    for (const Json& item : *single) {
      if (member(item, "Sequence")) {
        text_seen = true;
        continue;
      }
      std::optional<int32_t>& place = text_seen ? t.after : t.before;
      if (place) fail(ErrorCode::vocab, "{}: the post-processor adds more than one token on a side of the text", where);
      place = template_id(p, item, where);
    }
  });
}

}  // namespace

HfTokenizer parse_tokenizer_json(std::string_view text, const std::string& where, int64_t vocab_size) {
  const JsonTree root = parse_json(text, where);
  const Json* model = member(root, "model");
  if (!model) fail(ErrorCode::vocab, "{}: no 'model'; this is not a tokenizer.json", where);
  HfTokenizer t;
  const Json* vocab = member(*model, "vocab");
  const Json* added = member(root, "added_tokens");
  TokenList list(t, where, vocab_size, (vocab ? vocab->size() : 0) + (added ? added->size() : 0));
  read_model(*model, where, t, list);
  const size_t n_model = t.tokens.size();
  read_added(root, where, t, list);
  if (n_model == 0 || t.tokens.size() < 2) fail(ErrorCode::vocab, "{}: the vocabulary is empty", where);
  read_merges(*model, where, t);
  for (const auto& [key, parse] : {std::pair("normalizer", 0), std::pair("pre_tokenizer", 1)}) {
    const Json* rules = member(root, key);
    if (!rules) continue;
    if (parse == 0)
      t.rules.normalizer = parse_normalizer(rules->dump(), where + ", " + key);
    else
      t.rules.pre_tokenizer = parse_pre_tokenizer(rules->dump(), where + ", " + key);
  }
  bool byte_level = std::any_of(t.rules.pre_tokenizer.begin(), t.rules.pre_tokenizer.end(),
                                [](const PreTokenizerStep& s) { return s.kind == PreTokenizerKind::byte_level; });
  if (!byte_level)
    read_decoder(root, where, t, byte_level);
  else {
    bool ignored = false;
    read_decoder(root, where, t, ignored);
    t.rules.strip_prefix_space = false;
  }
  t.model = byte_level ? VocabModel::bpe : VocabModel::spm;
  if (t.model == VocabModel::spm && t.ignore_merges) t.ignore_merges = false;  // no spm file sets it
  read_post_processor(root, where, t);
  return t;
}

}  // namespace phial
