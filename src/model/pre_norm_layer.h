// The layer of most decoders: x += attention(norm(x)), x += swiglu(norm(x)). What differs between architectures (how q, k, v and
// gate, up are stored, biases, norms of heads, rotary form) is data, so that an architecture is its tensor table and its config.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/decoder.h"

namespace phial {

/// Which tensors of "blk.{i}." make up the stacked products, in the order of their rows.
/// Only what the architecture's table has checked may be named.
struct LayerParts {
  std::vector<std::string> qkv = {"attn_q", "attn_k", "attn_v"};
  std::vector<std::string> gate_up = {"ffn_gate", "ffn_up"};
  bool qkv_bias = false;
  bool output_bias = false;  // if the file has it
  bool qk_norm = false;
};

std::unique_ptr<DecoderModel> build_pre_norm_decoder(const Config& config, WeightLoader& loader, const LayerParts& parts);

}  // namespace phial
