// Fills OpKernels with the functions of this instruction set. Behind linear_parts.inl.h, which has what they share.

#include "backends/cpu/kernels/elementwise.inl.h"
#include "backends/cpu/kernels/kv.inl.h"
#include "backends/cpu/kernels/attention.inl.h"

inline OpKernels op_kernels() {
  return {rms_norm, add_row,         swiglu_row,  finish_blocks, rope_row,  store_k,
          store_v,  attention_split, begin_merge, merge_split,   finish_row};
}
