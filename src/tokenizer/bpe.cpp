// Byte-level BPE: a word's bytes are merged by rank.
#include "base/fail.h"
#include "tokenizer/subword.h"
#include "tokenizer/unicode.h"

namespace phial {
namespace {

class BpeModel : public SubwordModel {
 public:
  explicit BpeModel(const Vocab& v) : unk_(v.subword_unk), pairs_(v.merges.size()) {
    byte_id_.fill(-1);
    for (size_t i = 0; i < v.tokens.size(); ++i) {
      if (v.types[i] != TokenType::normal || v.tokens[i].empty() || v.tokens[i].size() > 2) continue;
      const CodePoint c = decode_utf8(v.tokens[i], 0);
      const int byte = alphabet_to_byte(c.code);
      if (c.length == v.tokens[i].size() && byte >= 0 && byte_id_[static_cast<size_t>(byte)] < 0)
        byte_id_[static_cast<size_t>(byte)] = static_cast<int32_t>(i);
    }
    for (size_t r = 0; r < v.merges.size(); ++r) {
      const Merge& m = v.merges[r];
      if (is_plain(v.types[static_cast<size_t>(m.result)])) pairs_.set(m.left, m.right, {static_cast<uint32_t>(r), m.result});
    }
    if (v.ignore_merges) {
      whole_.reserve(v.tokens.size());
      for (size_t i = 0; i < v.tokens.size(); ++i)
        if (v.types[i] == TokenType::normal) whole_.emplace(v.tokens[i], static_cast<int32_t>(i));
    }
  }

  void encode(std::string_view word, bool byte_alphabet, EncodeScratch& scratch, std::vector<int32_t>& ids) const override {
    if (!whole_.empty()) {
      const auto it = whole_.find(byte_alphabet ? std::string(word) : bytes_to_alphabet(word));
      if (it != whole_.end()) {
        ids.push_back(it->second);
        return;
      }
    }
    std::vector<int32_t>& s = scratch.symbols;
    s.clear();
    auto add = [&](int byte) {
      const int32_t id = byte < 0 ? -1 : byte_id_[static_cast<size_t>(byte)];
      if (id >= 0)
        s.push_back(id);
      else if (unk_ >= 0)
        s.push_back(unk_);  // a byte without a token; without an unknown token it is dropped, as HF does
    };
    if (byte_alphabet) {
      for (size_t i = 0; i < word.size();) {
        const CodePoint c = decode_utf8(word, i);
        i += c.length;
        add(alphabet_to_byte(c.code));
      }
    } else {
      for (char c : word) add(static_cast<uint8_t>(c));
    }
    s.resize(merge_symbols(pairs_, s, scratch.merges));
    ids.insert(ids.end(), s.begin(), s.end());
  }

 private:
  int32_t unk_;
  std::array<int32_t, 256> byte_id_;
  PairTable pairs_;
  std::unordered_map<std::string, int32_t> whole_;  // ignore_merges: token text -> id
};

}  // namespace

std::unique_ptr<SubwordModel> make_bpe(const Vocab& v) { return std::make_unique<BpeModel>(v); }

}  // namespace phial
