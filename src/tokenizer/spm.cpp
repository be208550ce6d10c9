// SentencePiece's BPE: characters are merged, the pair whose piece scores best first; what has no token becomes bytes.
// Source: the SentencePiece library's bpe_model; ties as MergeTies says.
#include <algorithm>

#include "base/fail.h"
#include "tokenizer/subword.h"
#include "tokenizer/unicode.h"

namespace phial {
namespace {

// SentencePiece's trainer makes no piece longer than this many code points.
constexpr size_t kMaxPieceLength = 512;
constexpr size_t kPairBits = 20;

std::vector<size_t> code_point_starts(std::string_view text) {
  std::vector<size_t> out;
  for (size_t i = 0; i < text.size(); i += decode_utf8(text, i).length) out.push_back(i);
  return out;
}

class SpmModel : public SubwordModel {
 public:
  explicit SpmModel(const Vocab& v)
      : n_tokens_(static_cast<int32_t>(v.tokens.size())), unk_(v.subword_unk), fuse_unk_(v.fuse_unk) {
    byte_id_.fill(-1);
    auto name_code = [&](uint32_t code, int32_t id) {
      if (code < first_codes_.size())
        first_codes_[code] = first_codes_[code] < 0 ? id : first_codes_[code];
      else
        codes_.emplace(code, id);
    };
    first_codes_.fill(-1);
    for (size_t i = 0; i < v.tokens.size(); ++i) {
      const std::string& t = v.tokens[i];
      if (v.types[i] == TokenType::byte) {
        unsigned byte = 256;
        if (t.size() == 6) byte = static_cast<unsigned>(std::stoul(t.substr(3, 2), nullptr, 16));
        if (v.byte_fallback && byte < 256 && byte_id_[byte] < 0) byte_id_[byte] = static_cast<int32_t>(i);
      } else if (is_plain(v.types[i]) && !t.empty() && t.size() <= 4) {
        const CodePoint c = decode_utf8(t, 0);
        if (c.length == t.size() && c.code < kInvalidByte) name_code(c.code, static_cast<int32_t>(i));
      }
    }
    has_bytes_ = std::all_of(byte_id_.begin(), byte_id_.end(), [](int32_t id) { return id >= 0; });

    std::vector<Merge> made;
    const std::vector<Merge>* merges = &v.merges;
    if (v.ties != MergeTies::listed) {
      made = merges_of_scores(v, v.ties, &loose_);
      merges = &made;
      for (size_t k = 0; k < loose_.size(); ++k) name_code(loose_[k], n_tokens_ + static_cast<int32_t>(k));
    }
    pairs_ = PairTable(merges->size());
    pair_bits_.assign(size_t{1} << (kPairBits - 6), 0);
    uint32_t rank = 0;
    for (size_t k = 0; k < merges->size(); ++k) {
      const Merge& m = (*merges)[k];
      if (!is_plain(v.types[static_cast<size_t>(m.result)])) continue;
      // Equal scores are equal ranks where the leftmost goes first.
      if (k > 0 && !(v.ties == MergeTies::position && score(v, m) == score(v, (*merges)[k - 1]))) ++rank;
      pairs_.set(m.left, m.right, {rank, m.result});
      const std::string_view piece = v.tokens[static_cast<size_t>(m.result)];
      uint32_t previous = kInvalidByte;
      for (size_t i = 0; i < piece.size();) {
        const CodePoint c = decode_utf8(piece, i);
        if (i > 0) {
          const size_t bit = pair_bit(previous, c.code);
          pair_bits_[bit >> 6] |= uint64_t{1} << (bit & 63);
        }
        previous = c.code;
        i += c.length;
      }
    }
  }

  void encode(std::string_view word, bool, EncodeScratch& scratch, std::vector<int32_t>& ids) const override {
    std::vector<int32_t>& s = scratch.symbols;
    s.clear();
    for (size_t i = 0; i < word.size();) {
      const CodePoint c = decode_utf8(word, i);
      const int32_t id = id_of(c.code);
      if (id >= 0)
        s.push_back(id);
      else
        add_bytes(word.substr(i, c.length), s);
      i += c.length;
    }
    s.resize(merge_symbols(pairs_, s, scratch.merges));
    for (const int32_t id : s) {
      if (id < n_tokens_) {
        ids.push_back(id);
      } else {  // a code point that is only part of longer pieces, and found none here
        std::string text;
        append_utf8(text, loose_[static_cast<size_t>(id - n_tokens_)]);
        add_bytes(text, ids);
      }
    }
  }

  int32_t fused() const override { return fuse_unk_ ? unk_ : -1; }

  size_t word_end(std::string_view text, size_t begin) const override {
    CodePoint c = decode_utf8(text, begin);
    size_t i = begin + c.length;
    while (i < text.size()) {
      const CodePoint next = decode_utf8(text, i);
      const size_t bit = pair_bit(c.code, next.code);
      if (!(pair_bits_[bit >> 6] >> (bit & 63) & 1)) return i;
      i += next.length;
      c = next;
    }
    return i;
  }

 private:
  static float score(const Vocab& v, const Merge& m) { return v.scores[static_cast<size_t>(m.result)]; }
  static size_t pair_bit(uint32_t a, uint32_t b) {
    return static_cast<size_t>(((static_cast<uint64_t>(a) << 32 | b) * 0x9E3779B97F4A7C15u) >> (64 - kPairBits));
  }
  int32_t id_of(uint32_t code) const {
    if (code < first_codes_.size()) return first_codes_[code];
    const auto it = codes_.find(code);
    return it == codes_.end() ? -1 : it->second;
  }
  void add_bytes(std::string_view bytes, std::vector<int32_t>& out) const {
    if (has_bytes_)
      for (char b : bytes) out.push_back(byte_id_[static_cast<uint8_t>(b)]);
    else if (unk_ >= 0)
      out.push_back(unk_);
  }

  int32_t n_tokens_, unk_;
  bool fuse_unk_, has_bytes_ = false;
  std::array<int32_t, 256> byte_id_;
  std::array<int32_t, 0x3000> first_codes_;  // token of a code point; the rest in codes_
  std::unordered_map<uint32_t, int32_t> codes_;
  std::vector<uint32_t> loose_;
  PairTable pairs_;
  std::vector<uint64_t> pair_bits_;  // neighbours inside some piece (hashed: a collision only makes words longer)
};

}  // namespace

std::vector<Merge> merges_of_scores(const Vocab& v, MergeTies ties, std::vector<uint32_t>* loose) {
  std::unordered_map<std::string_view, int32_t> id_of;
  id_of.reserve(v.tokens.size());
  const auto n = static_cast<int32_t>(v.tokens.size());
  for (int32_t i = 0; i < n; ++i)
    if (is_plain(v.types[static_cast<size_t>(i)])) id_of.emplace(v.tokens[static_cast<size_t>(i)], i);

  struct Candidate {
    Merge merge;
    float score;
    uint32_t left_length, right_length;
  };
  std::vector<Candidate> all;
  std::unordered_map<uint32_t, int32_t> loose_id;
  for (int32_t i = 0; i < n; ++i) {
    if (v.types[static_cast<size_t>(i)] != TokenType::normal) continue;
    const std::string_view piece = v.tokens[static_cast<size_t>(i)];
    if (const auto it = id_of.find(piece); it == id_of.end() || it->second != i) continue;  // a later duplicate
    const std::vector<size_t> starts = code_point_starts(piece);
    if (starts.size() < 2 || starts.size() > kMaxPieceLength) continue;
    auto id_of_part = [&](std::string_view part) -> int32_t {
      if (const auto it = id_of.find(part); it != id_of.end()) return it->second;
      if (!loose || ties != MergeTies::position) return -1;
      const CodePoint c = decode_utf8(part, 0);
      if (c.length != part.size() || c.code >= kInvalidByte) return -1;
      const auto [it, added] = loose_id.emplace(c.code, n + static_cast<int32_t>(loose->size()));
      if (added) loose->push_back(c.code);
      return it->second;
    };
    const size_t first = all.size();
    for (uint32_t k = 1; k < starts.size(); ++k) {
      const int32_t left = id_of_part(piece.substr(0, starts[k]));
      const int32_t right = left < 0 ? -1 : id_of_part(piece.substr(starts[k]));
      if (right >= 0)
        all.push_back({{left, right, i}, v.scores[static_cast<size_t>(i)], k, static_cast<uint32_t>(starts.size()) - k});
    }
    std::sort(all.begin() + static_cast<std::ptrdiff_t>(first), all.end(), [](const Candidate& a, const Candidate& b) {
      return std::pair(a.merge.left, a.merge.right) < std::pair(b.merge.left, b.merge.right);
    });
  }
  // What the lengths do not settle stays in the order so far: by piece, then by the ids of the parts.
  std::stable_sort(all.begin(), all.end(), [&](const Candidate& a, const Candidate& b) {
    if (a.score != b.score) return a.score > b.score;
    if (ties != MergeTies::left_length) return false;
    return std::pair(a.left_length, a.right_length) > std::pair(b.left_length, b.right_length);
  });
  std::vector<Merge> out;
  out.reserve(all.size());
  for (const Candidate& c : all) out.push_back(c.merge);
  return out;
}

std::unique_ptr<SubwordModel> make_spm(const Vocab& v) { return std::make_unique<SpmModel>(v); }

}  // namespace phial
