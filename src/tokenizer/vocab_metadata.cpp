// Vocab <-> GGUF metadata. tokenizer.* keys as llama.cpp reads and writes them; phial.tokenizer.* keys carry what those
// cannot say (rules, added-token flags, ties, ends of generation). Everything read here is untrusted.
#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "base/fail.h"
#include "tokenizer/pre_names.h"
#include "tokenizer/unicode.h"
#include "tokenizer/vocab.h"
#include "tokenizer/vocab_parts.h"

namespace phial {
namespace {

// tokenizer.ggml.pre of rules that llama.cpp has no name for: it refuses the file instead of tokenizing it wrongly.
constexpr const char* kRulesInFile = "phial-rules";

enum AddedFlag : uint32_t { kSpecial = 1, kLstrip = 2, kRstrip = 4, kSingleWord = 8, kNormalized = 16 };

const char* ties_name(MergeTies t) {
  switch (t) {
    case MergeTies::position:
      return "position";
    case MergeTies::left_id:
      return "left_id";
    case MergeTies::left_length:
      return "left_length";
    case MergeTies::listed:
      return "listed";
  }
  return "";
}

MergeTies ties_of(const std::string& name) {
  for (MergeTies t : {MergeTies::position, MergeTies::left_id, MergeTies::left_length, MergeTies::listed})
    if (name == ties_name(t)) return t;
  fail(ErrorCode::vocab, "phial.tokenizer.merge_ties is '{}', which is unknown", printable(name));
}

bool is_padding_text(const std::string& text, size_t id) { return text == fmt::format("[PAD{}]", id); }

/// A token id of the vocabulary, -1 when the key is absent.
int32_t id_of(const Metadata& m, const char* key, size_t n_tokens) {
  if (!m.has(key)) return -1;
  const MetaValue& value = *m.find(key);
  int64_t id = -1;
  if (const auto* wide = std::get_if<uint64_t>(&value))
    id = *wide < n_tokens ? static_cast<int64_t>(*wide) : -1;
  else
    id = m.integer(key);
  if (id < 0 || static_cast<uint64_t>(id) >= n_tokens)
    fail(ErrorCode::vocab, "{} is {}, but the vocabulary has {} tokens", key, id, n_tokens);
  return static_cast<int32_t>(id);
}

void read_tokens(const Metadata& m, Vocab& v) {
  const auto* tokens = m.array<std::string>("tokenizer.ggml.tokens");
  if (!tokens || tokens->size() < 2)
    fail(ErrorCode::vocab, "tokenizer.ggml.tokens has {} tokens; the file has no vocabulary", tokens ? tokens->size() : 0);
  check_token_limits(tokens->size(), 0);
  for (size_t i = 0; i < tokens->size(); ++i) check_token_text((*tokens)[i], i);
  v.tokens = *tokens;
  v.types.assign(v.tokens.size(), TokenType::normal);
  const auto wrong_size = [&](const char* key, size_t n) {
    fail(ErrorCode::type, "{} has {} elements, but there are {} tokens", key, n, v.tokens.size());
  };
  if (m.has("tokenizer.ggml.token_type")) {
    std::vector<int32_t> types;
    if (std::holds_alternative<std::vector<uint32_t>>(*m.find("tokenizer.ggml.token_type"))) {
      for (uint32_t t : *m.array<uint32_t>("tokenizer.ggml.token_type")) types.push_back(static_cast<int32_t>(std::min(t, 99u)));
    } else {
      types = *m.array<int32_t>("tokenizer.ggml.token_type");
    }
    if (types.size() != v.tokens.size()) wrong_size("tokenizer.ggml.token_type", types.size());
    for (size_t i = 0; i < types.size(); ++i) {
      if (types[i] < 0 || types[i] > 6) fail(ErrorCode::vocab, "token {} has the unknown type {}", i, types[i]);
      v.types[i] = types[i] == 0 ? TokenType::normal : static_cast<TokenType>(types[i]);
      if (v.types[i] == TokenType::byte) check_byte_token(v.tokens[i], i);
    }
  }
  if (m.has("tokenizer.ggml.scores")) {
    const auto& scores = *m.array<float>("tokenizer.ggml.scores");
    if (scores.size() != v.tokens.size()) wrong_size("tokenizer.ggml.scores", scores.size());
    for (size_t i = 0; i < scores.size(); ++i)
      if (std::isnan(scores[i])) fail(ErrorCode::vocab, "the score of token {} is not a number", i);
    v.scores = scores;
  } else if (v.ties == MergeTies::listed) {
    v.scores.assign(v.tokens.size(), 0.0f);  // its merges are listed
  } else if (v.model == VocabModel::spm) {
    fail(ErrorCode::vocab, "tokenizer.ggml.scores is missing, which a vocabulary of kind 'llama' needs");
  }
}

void read_bpe_merges(const Metadata& m, Vocab& v) {
  const auto* merges = m.array<std::string>("tokenizer.ggml.merges");
  if (!merges) fail(ErrorCode::vocab, "tokenizer.ggml.merges is missing, which a vocabulary of kind 'gpt2' needs");
  check_token_limits(v.tokens.size(), merges->size());
  const IdMap ids = ids_by_text(v);
  v.merges.reserve(merges->size());
  for (size_t r = 0; r < merges->size(); ++r) v.merges.push_back(merge_of_text((*merges)[r], r, ids));
}

void read_listed_merges(const Metadata& m, Vocab& v) {
  const auto* flat = m.array<int32_t>("phial.tokenizer.merges");
  if (!flat || flat->size() % 3 != 0) fail(ErrorCode::vocab, "phial.tokenizer.merges is missing or not a list of three ids each");
  check_token_limits(v.tokens.size(), flat->size() / 3);
  for (size_t i = 0; i < flat->size(); ++i)
    if ((*flat)[i] < 0 || static_cast<size_t>((*flat)[i]) >= v.tokens.size())
      fail(ErrorCode::vocab, "phial.tokenizer.merges names token {}, which does not exist", (*flat)[i]);
  for (size_t i = 0; i < flat->size(); i += 3) {
    const Merge merge{(*flat)[i], (*flat)[i + 1], (*flat)[i + 2]};
    check_merge(v, merge, i / 3);
    v.merges.push_back(merge);
  }
}

/// Phi-3's layout: SentencePiece with turn markers as control tokens. Its special tokens take the white space behind them
/// with them, apart from three; llama.cpp's files do not say so.
bool has_phi3_layout(const Vocab& v, const IdMap& ids) {
  if (v.model != VocabModel::spm) return false;
  for (const char* text : {"<|user|>", "<|assistant|>", "<|system|>", "<|end|>", "<|endoftext|>", "<|placeholder1|>"}) {
    const auto it = ids.find(text);
    if (it == ids.end() || v.types[static_cast<size_t>(it->second)] != TokenType::control) return false;
  }
  return true;
}

void read_added(const Metadata& m, Vocab& v) {
  if (m.has("phial.tokenizer.added_token_ids")) {
    const auto& ids = *m.array<int32_t>("phial.tokenizer.added_token_ids");
    const auto* flags = m.array<uint32_t>("phial.tokenizer.added_token_flags");
    if (!flags || flags->size() != ids.size())
      fail(ErrorCode::vocab, "phial.tokenizer.added_token_flags does not go with the {} added tokens", ids.size());
    for (size_t i = 0; i < ids.size(); ++i) {
      if (ids[i] < 0 || static_cast<size_t>(ids[i]) >= v.tokens.size())
        fail(ErrorCode::vocab, "phial.tokenizer.added_token_ids names token {}, which does not exist", ids[i]);
      const uint32_t f = (*flags)[i];
      v.added.push_back({ids[i], v.tokens[static_cast<size_t>(ids[i])], (f & kSpecial) != 0, (f & kLstrip) != 0,
                         (f & kRstrip) != 0, (f & kSingleWord) != 0, (f & kNormalized) != 0});
    }
    return;
  }
  const IdMap ids = ids_by_text(v);
  const bool phi3 = has_phi3_layout(v, ids);
  for (size_t i = 0; i < v.tokens.size(); ++i) {
    const TokenType t = v.types[i];
    if (t != TokenType::control && t != TokenType::user_defined && t != TokenType::unknown) continue;
    if (v.tokens[i].empty() || is_padding_text(v.tokens[i], i)) continue;
    if (ids.at(v.tokens[i]) != static_cast<int32_t>(i)) continue;
    AddedToken a{static_cast<int32_t>(i), v.tokens[i], t != TokenType::user_defined, false, false, false, false};
    a.rstrip = phi3 && (t == TokenType::control || a.text == "</s>") && a.text != "<unk>" && a.text != "<s>" &&
               a.text != "<|endoftext|>";
    v.added.push_back(std::move(a));
  }
}

/// The kind of vocabulary. Gemma 4's line says 'gemma4', or 'gpt2' and a name whose rules leave the text as it is.
/// Both are SentencePiece's pieces with the merges listed.
void read_kind(const Metadata& m, Vocab& v) {
  const std::string kind = m.text("tokenizer.ggml.model", "");
  v.pre = kind == "gemma4" ? kind : m.text("tokenizer.ggml.pre", "default");
  if (kind == "llama") {
    v.model = VocabModel::spm;
  } else if (kind == "gpt2" || kind == "gemma4") {
    const auto named = rules_of_pre_name(v.pre);
    const bool plain_text = named && named->plain_text;
    v.model = plain_text ? VocabModel::spm : VocabModel::bpe;
    if (plain_text) v.ties = MergeTies::listed;
  } else if (kind.empty()) {
    fail(ErrorCode::vocab, "tokenizer.ggml.model is missing; the file has no vocabulary");
  } else {
    fail(ErrorCode::vocab, "tokenizer.ggml.model is '{}'; 'llama', 'gpt2' and 'gemma4' are supported", printable(kind));
  }
}

/// Byte tokens of a vocabulary that does not give them their type.
void mark_byte_tokens(Vocab& v) {
  for (size_t i = 0; i < v.tokens.size(); ++i)
    if (v.tokens[i].size() == 6 && v.tokens[i].starts_with("<0x") && v.tokens[i][5] == '>') {
      check_byte_token(v.tokens[i], i);
      v.types[i] = TokenType::byte;
    }
}

void read_rules(const Metadata& m, Vocab& v) {
  const bool listed = v.ties == MergeTies::listed;
  const bool spm = v.model == VocabModel::spm && !listed;
  bool add_bos = spm;
  if (!spm) {
    if (const auto named = rules_of_pre_name(v.pre)) {
      v.rules = named->rules;
      v.ignore_merges = named->ignore_merges;
      add_bos = named->add_bos;
    } else if (!m.has("phial.tokenizer.pre_tokenizer")) {
      fail(ErrorCode::vocab,
           "tokenizer.ggml.pre is '{}', a pre-tokenizer this version does not know; convert the model again "
           "from its checkpoint folder, so that its rules are kept in the file",
           printable(v.pre));
    }
  } else {
    const bool prefix = m.boolean("tokenizer.ggml.add_space_prefix", true);
    if (prefix) v.rules.normalizer.push_back({NormalizerKind::prepend, "", false, std::string(kSpaceMark), true, true});
    v.rules.normalizer.push_back({NormalizerKind::replace, " ", false, std::string(kSpaceMark), true, true});
    v.rules.strip_prefix_space = prefix;
  }
  v.add_bos = m.boolean("tokenizer.ggml.add_bos_token", add_bos);
  v.add_eos = m.boolean("tokenizer.ggml.add_eos_token", false);
  if (m.has("phial.tokenizer.normalizer"))
    v.rules.normalizer = parse_normalizer(m.text("phial.tokenizer.normalizer"), "phial.tokenizer.normalizer");
  if (m.has("phial.tokenizer.pre_tokenizer"))
    v.rules.pre_tokenizer = parse_pre_tokenizer(m.text("phial.tokenizer.pre_tokenizer"), "phial.tokenizer.pre_tokenizer");
  v.rules.strip_prefix_space = m.boolean("phial.tokenizer.strip_prefix_space", v.rules.strip_prefix_space);
  v.ignore_merges = m.boolean("phial.tokenizer.ignore_merges", v.ignore_merges);
  v.byte_fallback = m.boolean("phial.tokenizer.byte_fallback", true);
  v.fuse_unk = m.boolean("phial.tokenizer.fuse_unk", true);
  if (spm) v.ties = ties_of(m.text("phial.tokenizer.merge_ties", "position"));
}

void read_charsmap(const Metadata& m) {
  const MetaValue* value = m.find("tokenizer.ggml.precompiled_charsmap");
  if (!value) return;
  std::string bytes;
  if (const auto* u = std::get_if<std::vector<uint8_t>>(value))
    bytes.assign(u->begin(), u->end());
  else if (const auto* i = std::get_if<std::vector<int8_t>>(value))
    bytes.assign(i->begin(), i->end());
  else
    fail(ErrorCode::type, "tokenizer.ggml.precompiled_charsmap is not an array of bytes");
  check_charsmap(bytes);
}

}  // namespace

Vocab vocab_from_metadata(const Metadata& m) {
  Vocab v;
  read_kind(m, v);
  const bool plain_text = v.ties == MergeTies::listed;
  read_tokens(m, v);
  if (plain_text) mark_byte_tokens(v);
  read_charsmap(m);
  const size_t n = v.tokens.size();
  v.bos = id_of(m, "tokenizer.ggml.bos_token_id", n);
  v.eos = id_of(m, "tokenizer.ggml.eos_token_id", n);
  v.unk = id_of(m, "tokenizer.ggml.unknown_token_id", n);
  v.pad = id_of(m, "tokenizer.ggml.padding_token_id", n);
  v.eot = id_of(m, "tokenizer.ggml.eot_token_id", n);
  read_rules(m, v);
  v.subword_unk = m.has("phial.tokenizer.subword_unknown_token_id") ? id_of(m, "phial.tokenizer.subword_unknown_token_id", n)
                  : v.model == VocabModel::spm && !m.has("phial.tokenizer.normalizer") ? v.unk
                                                                                       : -1;
  if (v.model == VocabModel::bpe || plain_text)
    read_bpe_merges(m, v);
  else if (v.ties == MergeTies::listed)
    read_listed_merges(m, v);
  read_added(m, v);
  if (const auto* eog = m.array<int32_t>("phial.tokenizer.eog_token_ids")) {
    for (int32_t id : *eog) {
      if (id < 0 || static_cast<size_t>(id) >= n)
        fail(ErrorCode::vocab, "phial.tokenizer.eog_token_ids names token {}, which does not exist", id);
      v.eog.push_back(id);
    }
    std::sort(v.eog.begin(), v.eog.end());
    v.eog.erase(std::unique(v.eog.begin(), v.eog.end()), v.eog.end());
  } else {
    for (const char* key : {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"})
      if (const int32_t id = id_of(m, key, n); id >= 0) v.eog.push_back(id);
    add_known_eog(v);
  }
  v.chat_template = m.text("tokenizer.chat_template", "");
  if (const auto* names = m.array<std::string>("tokenizer.chat_templates"))
    for (const std::string& name : *names)
      if (const std::string key = "tokenizer.chat_template." + name; m.has(key))
        v.named_templates.emplace_back(name, m.text(key));
  return v;
}

void vocab_to_metadata(const Vocab& v, Metadata& m) {
  const bool spm = v.model == VocabModel::spm;
  m.set("tokenizer.ggml.model", std::string(spm ? "llama" : "gpt2"));
  const std::string name = spm ? "default" : !v.pre.empty() ? v.pre : pre_name_of_rules(v.rules, v.ignore_merges);
  m.set("tokenizer.ggml.pre", name.empty() ? std::string(kRulesInFile) : name);
  m.set("tokenizer.ggml.tokens", v.tokens);
  if (spm) m.set("tokenizer.ggml.scores", v.scores);
  std::vector<int32_t> types;
  for (TokenType t : v.types) types.push_back(static_cast<int32_t>(t));
  m.set("tokenizer.ggml.token_type", std::move(types));
  if (!spm) {
    std::vector<std::string> merges;
    merges.reserve(v.merges.size());
    for (const Merge& one : v.merges)
      merges.push_back(v.tokens[static_cast<size_t>(one.left)] + " " + v.tokens[static_cast<size_t>(one.right)]);
    m.set("tokenizer.ggml.merges", std::move(merges));
  }
  const std::pair<const char*, int32_t> ids[] = {{"tokenizer.ggml.bos_token_id", v.bos},
                                                 {"tokenizer.ggml.eos_token_id", v.eos},
                                                 {"tokenizer.ggml.eot_token_id", v.eot},
                                                 {"tokenizer.ggml.unknown_token_id", v.unk},
                                                 {"tokenizer.ggml.padding_token_id", v.pad}};
  for (const auto& [key, id] : ids)
    if (id >= 0) m.set(key, static_cast<uint32_t>(id));
  m.set("tokenizer.ggml.add_bos_token", v.add_bos);
  m.set("tokenizer.ggml.add_eos_token", v.add_eos);
  if (spm) {
    const auto prepends = [](const NormalizerStep& s) { return s.kind == NormalizerKind::prepend; };
    const auto prefixes = [](const PreTokenizerStep& s) {
      return s.kind == PreTokenizerKind::metaspace && s.prepend_scheme != PrependScheme::never;
    };
    m.set("tokenizer.ggml.add_space_prefix",
          std::any_of(v.rules.normalizer.begin(), v.rules.normalizer.end(), prepends) ||
              std::any_of(v.rules.pre_tokenizer.begin(), v.rules.pre_tokenizer.end(), prefixes));
  }
  if (v.subword_unk >= 0) m.set("phial.tokenizer.subword_unknown_token_id", static_cast<uint32_t>(v.subword_unk));
  if (!v.chat_template.empty()) m.set("tokenizer.chat_template", v.chat_template);
  if (!v.named_templates.empty()) {
    std::vector<std::string> names;
    for (const auto& [one, text] : v.named_templates) {
      names.push_back(one);
      m.set("tokenizer.chat_template." + one, text);
    }
    m.set("tokenizer.chat_templates", std::move(names));
  }
  m.set("phial.tokenizer.normalizer", normalizer_json(v.rules.normalizer));
  m.set("phial.tokenizer.pre_tokenizer", pre_tokenizer_json(v.rules.pre_tokenizer));
  m.set("phial.tokenizer.strip_prefix_space", v.rules.strip_prefix_space);
  if (spm) {
    m.set("phial.tokenizer.byte_fallback", v.byte_fallback);
    m.set("phial.tokenizer.fuse_unk", v.fuse_unk);
    m.set("phial.tokenizer.merge_ties", std::string(ties_name(v.ties)));
    if (v.ties == MergeTies::listed) {
      std::vector<int32_t> flat;
      flat.reserve(v.merges.size() * 3);
      for (const Merge& one : v.merges) flat.insert(flat.end(), {one.left, one.right, one.result});
      m.set("phial.tokenizer.merges", std::move(flat));
    }
  } else {
    m.set("phial.tokenizer.ignore_merges", v.ignore_merges);
  }
  std::vector<int32_t> added;
  std::vector<uint32_t> flags;
  for (const AddedToken& a : v.added) {
    added.push_back(a.id);
    flags.push_back((a.special ? kSpecial : 0u) | (a.lstrip ? kLstrip : 0u) | (a.rstrip ? kRstrip : 0u) |
                    (a.single_word ? kSingleWord : 0u) | (a.normalized ? kNormalized : 0u));
  }
  m.set("phial.tokenizer.added_token_ids", std::move(added));
  m.set("phial.tokenizer.added_token_flags", std::move(flags));
  m.set("phial.tokenizer.eog_token_ids", v.eog);
}

}  // namespace phial
