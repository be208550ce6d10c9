// Vocab from a Hugging Face checkpoint folder. tokenizer.json is the truth for rules and ids, tokenizer.model for scores and
// types, tokenizer_config.json for flags of added tokens, BOS and EOS (as `transformers` has it).
#include <sys/stat.h>

#include <algorithm>
#include <optional>

#include "base/fail.h"
#include "base/file.h"
#include "base/json.h"
#include "tokenizer/hf_json.h"
#include "tokenizer/pre_names.h"
#include "tokenizer/sentencepiece.h"
#include "tokenizer/subword.h"
#include "tokenizer/vocab.h"
#include "tokenizer/vocab_parts.h"

namespace phial {
namespace {

constexpr float kAddedScore = -1000.0f;  // as llama.cpp's converter writes them
constexpr float kPaddingScore = -10000.0f;

std::optional<std::string> read_if_present(const std::string& folder, const char* name) {
  const std::string path = folder + "/" + name;
  struct stat s;
  if (stat(path.c_str(), &s) != 0) return std::nullopt;
  return read_text_file(path);
}

JsonTree json_if_present(const std::string& folder, const char* name) {
  const std::optional<std::string> text = read_if_present(folder, name);
  if (!text) return JsonTree(Json::object());
  JsonTree json = parse_json(*text, name);
  if (!json.is_object()) fail(ErrorCode::vocab, "{}: not a JSON object", name);
  return json;
}

/// A token given as "text" or {"content": "text", ...}; "" when absent.
std::string token_text(const Json& object, const char* key) {
  const auto it = object.find(key);
  if (it == object.end()) return "";
  if (it->is_string()) return it->get<std::string>();
  if (it->is_object() && it->contains("content") && (*it)["content"].is_string()) return (*it)["content"].get<std::string>();
  return "";
}

bool flag(const Json& object, const char* key, bool otherwise) {
  const auto it = object.find(key);
  return it != object.end() && it->is_boolean() ? it->get<bool>() : otherwise;
}

struct Folder {
  std::string path;
  JsonTree config, special_map, added, model_config, generation;
};

void put_added(Vocab& v, AddedToken a) {
  const auto same = [&](const AddedToken& b) { return b.id == a.id; };
  const auto it = std::find_if(v.added.begin(), v.added.end(), same);
  if (it == v.added.end())
    v.added.push_back(std::move(a));
  else
    *it = std::move(a);
}

/// Flags in tokenizer_config.json's added_tokens_decoder overrule those of tokenizer.json; tokens only there are added.
void apply_added_tokens_decoder(const Folder& f, Vocab& v) {
  const auto decoder = f.config.find("added_tokens_decoder");
  if (decoder == f.config.end() || !decoder->is_object()) return;
  for (const auto& [key, one] : decoder->items()) {
    const bool number = !key.empty() && key.size() <= 9 && key.find_first_not_of("0123456789") == std::string::npos;
    const std::string text = one.is_object() ? token_text(*decoder, key.c_str()) : "";
    if (!number || text.empty())
      fail(ErrorCode::vocab, "tokenizer_config.json: added_tokens_decoder has a bad entry '{}'", printable(key));
    const int id = std::stoi(key);
    if (static_cast<size_t>(id) >= v.tokens.size() || v.tokens[static_cast<size_t>(id)] != text)
      fail(ErrorCode::vocab, "tokenizer_config.json: added token {} is '{}', but the vocabulary does not have it there", id,
           printable(text));
    const bool special = flag(one, "special", false);
    put_added(v, {id, text, special, flag(one, "lstrip", false), flag(one, "rstrip", false), flag(one, "single_word", false),
                  flag(one, "normalized", !special)});
  }
}

/// The token that the configuration files give a role, or -1. Such a token is special, listed as added or not.
int32_t role(const Folder& f, Vocab& v, const IdMap& ids, const char* key, const char* id_key) {
  int32_t id = -1;
  for (const Json* source : {&f.config, &f.special_map}) {
    const std::string text = token_text(*source, key);
    if (text.empty()) continue;
    const auto it = ids.find(text);
    if (it == ids.end()) continue;
    id = it->second;
    if (std::none_of(v.added.begin(), v.added.end(), [&](const AddedToken& a) { return a.id == id; }))
      v.added.push_back({id, text, true, false, false, false, false});
    return id;
  }
  for (const Json* source : {&f.model_config, &f.generation}) {
    const auto it = source->find(id_key);
    if (it == source->end()) continue;
    const Json& value = it->is_array() && !it->empty() ? (*it)[0] : *it;
    if (value.is_number_unsigned() && value.get<uint64_t>() < v.tokens.size()) return value.get<int32_t>();
  }
  return id;
}

void read_eog(const Folder& f, Vocab& v) {
  for (const Json* source : {&f.generation, &f.model_config}) {
    const auto it = source->find("eos_token_id");
    if (it == source->end() || it->is_null()) continue;
    const auto add = [&](const Json& id) {
      if (!id.is_number_integer() || id < 0 || id >= v.tokens.size())
        fail(ErrorCode::vocab, "eos_token_id {} is not in the vocabulary of {} tokens", printable(id.dump()), v.tokens.size());
      v.eog.push_back(id.get<int32_t>());
    };
    if (it->is_array())
      for (const Json& id : *it) add(id);
    else
      add(*it);
  }
  add_known_eog(v);
}

void read_templates(const Folder& f, Vocab& v) {
  const auto in_config = f.config.find("chat_template");
  if (in_config != f.config.end() && in_config->is_string()) {
    v.chat_template = in_config->get<std::string>();
  } else if (in_config != f.config.end() && in_config->is_array()) {
    for (const Json& one : *in_config) {
      if (!one.is_object() || !one.contains("name") || !one.contains("template") || !one["name"].is_string() ||
          !one["template"].is_string())
        fail(ErrorCode::vocab, "tokenizer_config.json: 'chat_template' has an entry without name and template");
      if (one["name"].get_ref<const std::string&>() == "default")
        v.chat_template = one["template"].get<std::string>();
      else
        v.named_templates.emplace_back(one["name"].get<std::string>(), one["template"].get<std::string>());
    }
  }
  const JsonTree processor = json_if_present(f.path, "chat_template.json");
  if (const auto it = processor.find("chat_template"); it != processor.end() && it->is_string())
    v.chat_template = it->get<std::string>();
  if (auto text = read_if_present(f.path, "chat_template.jinja")) v.chat_template = std::move(*text);
}

/// Scores for an spm vocabulary without tokenizer.model: the earlier a piece's first merge, the higher.
void scores_of_merges(Vocab& v) {
  std::vector<bool> seen(v.tokens.size());
  v.scores.assign(v.tokens.size(), 0.0f);
  for (size_t r = 0; r < v.merges.size(); ++r) {
    const auto i = static_cast<size_t>(v.merges[r].result);
    if (!seen[i]) v.scores[i] = -static_cast<float>(r + 1);
    seen[i] = true;
  }
  for (size_t i = 0; i < v.tokens.size(); ++i)
    if (!seen[i] && v.types[i] == TokenType::normal) v.scores[i] = -static_cast<float>(v.merges.size() + 1);
}

/// The merges of tokenizer.json, said shorter where the scores say the same.
void settle_ties(Vocab& v, bool keep_listed) {
  v.ties = MergeTies::listed;
  if (keep_listed) return;
  for (const MergeTies ties : {MergeTies::left_length, MergeTies::left_id}) {
    const std::vector<Merge> made = merges_of_scores(v, ties);
    const auto same = [](const Merge& a, const Merge& b) { return a.left == b.left && a.right == b.right; };
    if (!std::equal(made.begin(), made.end(), v.merges.begin(), v.merges.end(), same)) continue;
    v.ties = ties;
    v.merges.clear();
    return;
  }
}

void from_tokenizer_json(const Folder& f, const std::string& text, const std::optional<SentencePieceModel>& spm,
                         int64_t vocab_size, bool keep_listed, Vocab& v) {
  HfTokenizer t = parse_tokenizer_json(text, "tokenizer.json", vocab_size);
  v.model = t.model;
  v.tokens = std::move(t.tokens);
  v.merges = std::move(t.merges);
  v.added = std::move(t.added);
  v.rules = std::move(t.rules);
  v.byte_fallback = t.byte_fallback;
  v.fuse_unk = t.fuse_unk;
  v.ignore_merges = t.ignore_merges;
  v.types.assign(v.tokens.size(), TokenType::normal);
  for (size_t i = 0; i < v.tokens.size(); ++i)
    if (!t.defined[i]) {
      v.tokens[i] = fmt::format("[PAD{}]", i);
      v.types[i] = TokenType::unused;
    }
  apply_added_tokens_decoder(f, v);
  const IdMap ids = ids_by_text(v);
  if (const auto it = ids.find(t.unk_token); !t.unk_token.empty() && it != ids.end()) v.unk = v.subword_unk = it->second;
  if (t.before) v.bos = *t.before;
  if (t.after) v.eos = *t.after;
  v.add_bos = t.before.has_value();
  v.add_eos = t.after.has_value();
  if (v.model == VocabModel::bpe) return;

  for (size_t i = 0; i < v.tokens.size(); ++i) {
    const std::string& token = v.tokens[i];
    if (v.byte_fallback && token.size() == 6 && token.starts_with("<0x") && token[5] == '>') {
      check_byte_token(token, i);
      v.types[i] = TokenType::byte;
    }
  }
  const bool same_pieces =
      spm && spm->pieces.size() <= v.tokens.size() && std::equal(spm->pieces.begin(), spm->pieces.end(), v.tokens.begin());
  if (spm && !same_pieces)
    fail(ErrorCode::vocab,
         "tokenizer.json and tokenizer.model hold different vocabularies; remove the one that is not the model's");
  if (spm) {
    v.scores = spm->scores;
    v.scores.resize(v.tokens.size(), kAddedScore);
    std::copy(spm->types.begin(), spm->types.end(), v.types.begin());
  } else {
    scores_of_merges(v);
  }
  settle_ties(v, keep_listed);
}

void from_sentencepiece(const Folder& f, SentencePieceModel& spm, int64_t vocab_size, Vocab& v) {
  v.model = VocabModel::spm;
  if (!spm.precompiled_charsmap.empty())
    fail(ErrorCode::vocab, "tokenizer.model normalizes by a character map, which is not supported without a tokenizer.json");
  v.tokens = std::move(spm.pieces);
  v.scores = std::move(spm.scores);
  v.types = std::move(spm.types);
  v.byte_fallback = spm.byte_fallback;
  v.unk = v.subword_unk = spm.unk;
  v.bos = spm.bos;
  v.eos = spm.eos;
  v.pad = spm.pad;
  // Added tokens get the ids behind the pieces, as added_tokens.json or added_tokens_decoder say.
  std::vector<std::pair<int64_t, std::string>> more;
  for (const auto& [text, id] : f.added.items())
    if (id.is_number_unsigned() && id.get<uint64_t>() <= INT32_MAX) more.emplace_back(id.get<int64_t>(), text);
  if (const auto decoder = f.config.find("added_tokens_decoder"); decoder != f.config.end() && decoder->is_object())
    for (const auto& [key, one] : decoder->items())
      if (!key.empty() && key.size() <= 9 && key.find_first_not_of("0123456789") == std::string::npos)
        more.emplace_back(std::stoll(key), token_text(*decoder, key.c_str()));
  const int64_t limit = vocab_size > 0 ? vocab_size : static_cast<int64_t>(v.tokens.size() + more.size()) * 2 + 1024;
  std::sort(more.begin(), more.end());
  for (const auto& [id, text] : more) {
    if (id >= limit)
      fail(ErrorCode::vocab, "the added token '{}' has id {}, which is beyond the vocabulary", printable(text), id);
    check_token_text(text, static_cast<size_t>(id));
    for (size_t i = v.tokens.size(); i <= static_cast<size_t>(id); ++i) {
      v.tokens.push_back(fmt::format("[PAD{}]", i));
      v.types.push_back(TokenType::unused);
      v.scores.push_back(kPaddingScore);
    }
    std::string& place = v.tokens[static_cast<size_t>(id)];
    if (v.types[static_cast<size_t>(id)] == TokenType::unused) {
      place = text;
      v.types[static_cast<size_t>(id)] = TokenType::control;
      v.scores[static_cast<size_t>(id)] = kAddedScore;
    } else if (place != text) {
      fail(ErrorCode::vocab, "id {} belongs to '{}' and to '{}'", id, printable(place), printable(text));
    }
  }
  for (size_t i = 0; i < v.tokens.size(); ++i) {
    const TokenType t = v.types[i];
    if (t == TokenType::control || t == TokenType::unknown || t == TokenType::user_defined)
      v.added.push_back({static_cast<int32_t>(i), v.tokens[i], t != TokenType::user_defined, false, false, false, false});
  }
  apply_added_tokens_decoder(f, v);

  const std::string mark(kSpaceMark);
  if (!flag(f.config, "legacy", true)) {  // a prefix only at the very beginning
    PreTokenizerStep s;
    s.kind = PreTokenizerKind::metaspace;
    s.prepend_scheme = spm.add_dummy_prefix ? PrependScheme::first : PrependScheme::never;
    s.split = false;
    v.rules.pre_tokenizer.push_back(s);
  } else {
    if (spm.add_dummy_prefix) v.rules.normalizer.push_back({NormalizerKind::prepend, "", false, mark, true, true});
    v.rules.normalizer.push_back({NormalizerKind::replace, " ", false, mark, true, true});
  }
  v.rules.strip_prefix_space = spm.add_dummy_prefix;
  v.add_bos = true;  // the default of LlamaTokenizer
}

void set_types(Vocab& v) {
  for (const AddedToken& a : v.added) {
    TokenType& t = v.types[static_cast<size_t>(a.id)];
    if (a.id == v.unk && v.model == VocabModel::spm)
      t = TokenType::unknown;
    else if (t != TokenType::byte)
      t = a.special ? TokenType::control : TokenType::user_defined;
  }
}

Vocab read_folder(const std::string& folder, int64_t vocab_size, bool keep_listed) {
  Folder f{folder,
           json_if_present(folder, "tokenizer_config.json"),
           json_if_present(folder, "special_tokens_map.json"),
           json_if_present(folder, "added_tokens.json"),
           json_if_present(folder, "config.json"),
           json_if_present(folder, "generation_config.json")};
  const auto json = read_if_present(folder, "tokenizer.json");
  const auto model = read_if_present(folder, "tokenizer.model");
  std::optional<SentencePieceModel> spm;
  // Some folders hold a tiktoken file under this name; with a tokenizer.json it is not needed.
  if (model && (!json || model->substr(0, 1) == "\n")) spm = parse_sentencepiece(*model, "tokenizer.model");
  Vocab v;
  if (json)
    from_tokenizer_json(f, *json, spm, vocab_size, keep_listed, v);
  else if (spm)
    from_sentencepiece(f, *spm, vocab_size, v);
  else
    fail(ErrorCode::vocab, "{}: neither tokenizer.json nor tokenizer.model is there; the checkpoint is incomplete",
         printable(folder));

  const IdMap ids = ids_by_text(v);
  const std::pair<int32_t*, std::pair<const char*, const char*>> roles[] = {{&v.bos, {"bos_token", "bos_token_id"}},
                                                                            {&v.eos, {"eos_token", "eos_token_id"}},
                                                                            {&v.unk, {"unk_token", "unk_token_id"}},
                                                                            {&v.pad, {"pad_token", "pad_token_id"}}};
  for (const auto& [place, keys] : roles)
    if (const int32_t id = role(f, v, ids, keys.first, keys.second); id >= 0) *place = id;
  if (f.config.contains("add_bos_token") || f.config.contains("add_eos_token")) {
    v.add_bos = flag(f.config, "add_bos_token", false);
    v.add_eos = flag(f.config, "add_eos_token", false);
  }
  std::sort(v.added.begin(), v.added.end(), [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
  set_types(v);
  for (const char* text : {"<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>"}) {
    const auto it = ids.find(text);
    if (it == ids.end() || it->second == v.eos || v.types[static_cast<size_t>(it->second)] == TokenType::normal) continue;
    v.eot = it->second;
    break;
  }
  read_eog(f, v);
  read_templates(f, v);
  const auto rows = static_cast<size_t>(std::max<int64_t>(vocab_size, 0));
  if (vocab_size > 0 && v.tokens.size() > rows)
    fail(ErrorCode::vocab, "the tokenizer has {} tokens, but the embedding has {} rows", v.tokens.size(), rows);
  check_token_limits(rows, 0);
  for (size_t i = v.tokens.size(); i < rows; ++i) {
    v.tokens.push_back(fmt::format("[PAD{}]", i));
    v.types.push_back(TokenType::unused);
    if (v.model == VocabModel::spm) v.scores.push_back(kPaddingScore);
  }
  if (v.model == VocabModel::bpe)
    v.pre = pre_name_of_rules(v.rules, v.ignore_merges);
  else
    v.pre = "default";
  return v;
}

}  // namespace

Vocab vocab_from_folder(const std::string& folder, int64_t vocab_size) { return read_folder(folder, vocab_size, false); }

Vocab vocab_from_folder_with_listed_merges(const std::string& folder, int64_t vocab_size) {
  return read_folder(folder, vocab_size, true);
}

}  // namespace phial
