// The pipeline: added tokens, normalizer, added tokens of the normalized kind, pre-tokenizer, subword model; and decoding.
// Source: the encoding steps of Hugging Face's `tokenizers`. Everything is linear or n log n in the text, without recursion.
#include "phial/tokenizer.h"

#include <sys/stat.h>

#include <algorithm>
#include <limits>

#include "base/fail.h"
#include "formats/gguf.h"
#include "tokenizer/added_tokens.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/subword.h"
#include "tokenizer/unicode.h"
#include "tokenizer/vocab.h"

namespace phial {
namespace {

constexpr std::string_view kGuard = "\xEF\xB7\x90";  // U+FDD0, a noncharacter

/// Texts that look like a turn marker, whatever their flags say.
bool looks_like_marker(std::string_view text) {
  auto framed = [&](std::string_view open, std::string_view close) {
    return text.size() > open.size() + close.size() && text.starts_with(open) && text.ends_with(close);
  };
  for (const std::string_view known : {"<s>", "</s>", "<unk>", "<pad>", "<bos>", "<eos>", "[INST]", "[/INST]"})
    if (text == known) return true;
  return framed("<|", "|>") || framed("<\xEF\xBD\x9C", "\xEF\xBD\x9C>");  // U+FF5C: DeepSeek's
}

/// Ids of the words of one call that came before. Direct-mapped; keys point into texts that live as long as the call.
class WordCache {
 public:
  const std::vector<int32_t>* find(std::string_view word) {
    if (word.size() > kMaxWord || slots_.empty()) return nullptr;
    const Slot& s = slots_[place(word)];
    return s.word == word ? &s.ids : nullptr;
  }
  void store(std::string_view word, std::span<const int32_t> ids) {
    if (word.size() > kMaxWord || slots_.empty()) return;
    Slot& s = slots_[place(word)];
    s.word.assign(word);
    s.ids.assign(ids.begin(), ids.end());
  }
  void prepare(size_t text_bytes) {
    if (text_bytes >= kMinText) slots_.resize(text_bytes >= (size_t{1} << 18) ? 16384 : 2048);
  }

 private:
  static constexpr size_t kMaxWord = 64, kMinText = 4096;
  struct Slot {
    std::string word;
    std::vector<int32_t> ids;
  };
  size_t place(std::string_view word) const { return std::hash<std::string_view>()(word) & (slots_.size() - 1); }
  std::vector<Slot> slots_;
};

}  // namespace

struct Tokenizer::Impl {
  Vocab vocab;
  AddedTokenMatcher raw, normalized;  // matched before and after normalizing
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  std::unique_ptr<SubwordModel> model;
  std::string bytes;  // what each token decodes to, one after another
  std::vector<size_t> offset;
  std::vector<bool> hidden;  // left out of decoded text unless special tokens are asked for

  explicit Impl(Vocab v);
  void encode(std::string_view text, bool parse_special, const std::vector<size_t>& no_special_at,
              std::vector<int32_t>& ids) const;
  void encode_plain(std::string_view text, bool at_start, RegexBudget& budget, EncodeScratch& scratch, WordCache& cache,
                    std::vector<int32_t>& ids) const;
  void check_id(int32_t id) const {
    if (id < 0 || static_cast<size_t>(id) >= vocab.tokens.size())
      fail(ErrorCode::token, "token id {} is not in the vocabulary of {} tokens", id, vocab.tokens.size());
  }
  std::string_view piece(int32_t id) const {
    const auto i = static_cast<size_t>(id);
    return std::string_view(bytes).substr(offset[i], offset[i + 1] - offset[i]);
  }
};

namespace {

std::vector<AddedTokenMatcher::Entry> entries_of(const Vocab& v, bool normalized, const Normalizer& normalizer) {
  std::vector<AddedTokenMatcher::Entry> out;
  RegexBudget budget(1 << 20);
  for (const AddedToken& a : v.added) {
    if (a.normalized != normalized) continue;
    const TokenType type = v.types[static_cast<size_t>(a.id)];
    const bool ends = std::binary_search(v.eog.begin(), v.eog.end(), a.id);
    const bool named = a.id == v.bos || a.id == v.eos || a.id == v.eot || a.id == v.unk || a.id == v.pad;
    AddedTokenMatcher::Entry e{a, a.special || !is_plain(type) || ends || named || looks_like_marker(a.text)};
    if (normalized) e.token.text = normalizer.apply(a.text, budget);
    out.push_back(std::move(e));
  }
  return out;
}

}  // namespace

Tokenizer::Impl::Impl(Vocab v)
    : vocab(std::move(v)),
      raw({}),
      normalized({}),
      normalizer(vocab.rules.normalizer),
      pre_tokenizer(vocab.rules.pre_tokenizer),
      model(vocab.model == VocabModel::bpe ? make_bpe(vocab) : make_spm(vocab)) {
  raw = AddedTokenMatcher(entries_of(vocab, false, normalizer));
  normalized = AddedTokenMatcher(entries_of(vocab, true, normalizer));
  std::vector<bool> is_added(vocab.tokens.size());
  hidden.resize(vocab.tokens.size());
  for (const AddedToken& a : vocab.added) {
    is_added[static_cast<size_t>(a.id)] = true;
    if (a.special) hidden[static_cast<size_t>(a.id)] = true;
  }
  offset.reserve(vocab.tokens.size() + 1);
  for (size_t i = 0; i < vocab.tokens.size(); ++i) {
    offset.push_back(bytes.size());
    const std::string& t = vocab.tokens[i];
    const TokenType type = vocab.types[i];
    if (!is_plain(type) && type != TokenType::byte) hidden[i] = true;
    if (vocab.model == VocabModel::spm) {
      if (type == TokenType::byte)
        bytes += static_cast<char>(std::stoul(t.substr(3, 2), nullptr, 16));
      else if (type == TokenType::normal)
        bytes += replace_all(t, "\xE2\x96\x81", " ");
      else
        bytes += t;
    } else if (is_added[i] || type != TokenType::normal) {
      bytes += t;
    } else {
      std::string decoded;
      for (size_t k = 0; k < t.size();) {
        const CodePoint c = decode_utf8(t, k);
        k += c.length;
        const int byte = alphabet_to_byte(c.code);
        if (byte >= 0)
          decoded += static_cast<char>(byte);
        else
          append_utf8(decoded, c.code);
      }
      bytes += decoded;
    }
  }
  offset.push_back(bytes.size());
}

void Tokenizer::Impl::encode_plain(std::string_view text, bool at_start, RegexBudget& budget, EncodeScratch& scratch,
                                   WordCache& cache, std::vector<int32_t>& ids) const {
  const size_t start = ids.size();
  const int32_t fused = model->fused();
  Words words;
  pre_tokenizer.split(text, at_start, budget, words);
  std::vector<int32_t> fresh;
  for (const std::string_view outer : words.list) {
    for (size_t begin = 0; begin < outer.size();) {
      const size_t end = model->word_end(outer, begin);
      const std::string_view word = outer.substr(begin, end - begin);
      const std::vector<int32_t>* found = cache.find(word);
      if (!found) {
        fresh.clear();
        model->encode(word, words.byte_alphabet, scratch, fresh);
        cache.store(word, fresh);
        found = &fresh;
      }
      for (const int32_t id : *found)
        if (id != fused || ids.size() == start || ids.back() != id) ids.push_back(id);
      begin = end;
    }
  }
}

void Tokenizer::Impl::encode(std::string_view text, bool parse_special, const std::vector<size_t>& no_special_at,
                             std::vector<int32_t>& ids) const {
  // A token holds at least one byte of the text, apart from a prefix space for each stretch.
  if (text.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max()))
    fail(ErrorCode::limit, "a text of {} bytes is more than one call tokenizes; split it", text.size());
  RegexBudget budget(text.size(), pre_tokenizer.n_steps() + normalizer.n_steps());
  EncodeScratch scratch;
  WordCache cache;
  cache.prepare(text.size());
  auto plain = [&](size_t begin, size_t end) {
    const std::string_view part = text.substr(begin, end - begin);
    const bool at_start = begin == 0;
    const std::string made = normalizer.empty() ? std::string() : normalizer.apply(part, budget);
    const std::string_view now = normalizer.empty() ? part : std::string_view(made);
    if (normalized.empty()) return encode_plain(now, at_start, budget, scratch, cache, ids);
    // Positions are lost by normalizing: a stretch with a guard anywhere parses no special token of the normalized kind.
    const auto guard = std::lower_bound(no_special_at.begin(), no_special_at.end(), begin);
    const bool guarded = guard != no_special_at.end() && *guard < end;
    for (const TextPart& p : normalized.split(now, parse_special && !guarded)) {
      if (p.id >= 0)
        ids.push_back(p.id);
      else
        encode_plain(now.substr(p.begin, p.end - p.begin), at_start && p.begin == 0, budget, scratch, cache, ids);
    }
  };
  for (const TextPart& p : raw.split(text, parse_special, no_special_at)) {
    if (p.id >= 0)
      ids.push_back(p.id);
    else
      plain(p.begin, p.end);
  }
  if (ids.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max()))
    fail(ErrorCode::limit, "the text gives {} tokens, more than one call returns; split it", ids.size());
}

Tokenizer::Tokenizer(Vocab vocab) : impl_(std::make_unique<Impl>(std::move(vocab))) {}
Tokenizer::~Tokenizer() = default;

std::shared_ptr<const Tokenizer> Tokenizer::open(const std::string& path) {
  struct stat s;
  if (stat(path.c_str(), &s) == 0 && S_ISDIR(s.st_mode)) return std::make_shared<const Tokenizer>(vocab_from_folder(path, 0));
  return std::make_shared<const Tokenizer>(vocab_from_metadata(GgufFile::open(path).metadata()));
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, bool add_special, bool parse_special) const {
  std::vector<int32_t> ids;
  const Vocab& v = impl_->vocab;
  if (add_special && v.add_bos && v.bos >= 0) ids.push_back(v.bos);
  impl_->encode(text, parse_special, {}, ids);
  if (add_special && v.add_eos && v.eos >= 0) ids.push_back(v.eos);
  return ids;
}

// The guard stands before the text of a special token and says: none begins here. A guard in the content itself is doubled.
std::string Tokenizer::guard_content(std::string_view content) const {
  std::vector<size_t> starts = impl_->raw.guarded_starts(content);
  const std::vector<size_t> more = impl_->normalized.guarded_starts(content);
  starts.insert(starts.end(), more.begin(), more.end());
  for (size_t i = 0; (i = content.find(kGuard, i)) != std::string_view::npos; i += kGuard.size()) starts.push_back(i);
  std::sort(starts.begin(), starts.end());
  starts.erase(std::unique(starts.begin(), starts.end()), starts.end());
  std::string out;
  out.reserve(content.size() + starts.size() * kGuard.size());
  size_t done = 0;
  for (const size_t s : starts) {
    out += content.substr(done, s - done);
    out += kGuard;
    done = s;
  }
  out += content.substr(done);
  return out;
}

std::vector<int32_t> Tokenizer::encode_rendered(std::string_view text) const {
  std::string plain;
  std::vector<size_t> guarded;
  plain.reserve(text.size());
  size_t i = 0;
  for (size_t hit; (hit = text.find(kGuard, i)) != std::string_view::npos;) {
    plain += text.substr(i, hit - i);
    i = hit + kGuard.size();
    if (text.substr(i).starts_with(kGuard)) {
      plain += kGuard;
      i += kGuard.size();
    } else {
      guarded.push_back(plain.size());
    }
  }
  plain += text.substr(i);
  std::vector<int32_t> ids;
  impl_->encode(plain, true, guarded, ids);
  return ids;
}

bool Tokenizer::holds_control_token(std::string_view text) const {
  return !impl_->raw.guarded_starts(text).empty() || !impl_->normalized.guarded_starts(text).empty();
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool special) const {
  std::string out;
  for (const int32_t id : ids) {
    impl_->check_id(id);
    if (special || !impl_->hidden[static_cast<size_t>(id)]) out += impl_->piece(id);
  }
  if (impl_->vocab.rules.strip_prefix_space && out.starts_with(' ')) out.erase(0, 1);
  return out;
}

std::string Tokenizer::piece(int32_t id, bool special) const {
  impl_->check_id(id);
  return special || !impl_->hidden[static_cast<size_t>(id)] ? std::string(impl_->piece(id)) : std::string();
}

int32_t Tokenizer::vocab_size() const { return static_cast<int32_t>(impl_->vocab.tokens.size()); }
int32_t Tokenizer::bos() const { return impl_->vocab.bos; }
int32_t Tokenizer::eos() const { return impl_->vocab.eos; }
bool Tokenizer::is_end_of_generation(int32_t id) const {
  return std::binary_search(impl_->vocab.eog.begin(), impl_->vocab.eog.end(), id);
}
const std::string& Tokenizer::chat_template() const { return impl_->vocab.chat_template; }
const Vocab& Tokenizer::vocab() const { return impl_->vocab; }

}  // namespace phial
