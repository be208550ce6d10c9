// What a sampler needs of a tokenizer.
#include "engine/sampler.h"
#include "phial/tokenizer.h"

namespace phial {

SamplerVocab sampler_vocab(std::shared_ptr<const Tokenizer> tokenizer) {
  SamplerVocab vocab;
  for (int32_t id = 0; id < tokenizer->vocab_size(); ++id) {
    if (tokenizer->is_end_of_generation(id)) vocab.end_of_generation.push_back(id);
  }
  vocab.piece = [tokenizer](int32_t id) { return tokenizer->piece(id, true); };
  return vocab;
}

}  // namespace phial
