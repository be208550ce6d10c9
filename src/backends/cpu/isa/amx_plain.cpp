// The AMX kernels on plain C++ tiles and lanes, for tests: the same logic on any processor.
#include "backends/cpu/kernel_table.h"
#include "backends/cpu/tile_shapes.h"

#pragma GCC optimize("O2")  // as in generic.cpp

namespace phial::cpu {
namespace amx_plain {
#include "backends/cpu/simd_generic.h"
#include "backends/cpu/tiles_plain.h"
#include "backends/cpu/kernels/linear_parts.inl.h"
#include "backends/cpu/linear_formats.inl.h"
#include "backends/cpu/kernels/weight_pairs.inl.h"
#include "backends/cpu/kernels/linear_amx.inl.h"
#include "backends/cpu/kernels/op_kernels.inl.h"
inline void few_queries(const AttentionTask& task) { generic_table().ops.attention_split(task); }
#include "backends/cpu/kernels/attention_amx.inl.h"
}  // namespace amx_plain

const KernelTable& amx_plain_table() {
  static const KernelTable table{"amx_plain", "AMX in plain C++", amx_plain::tile_kernels<false>(generic_table().linear),
                                 amx_plain::tile_op_kernels<amx_plain::ByteTiles>(generic_table().ops), generic_table().limits};
  return table;
}

const KernelTable& amx_fp16_plain_table() {
  static const KernelTable table{"amx_fp16_plain", "AMX with FP16 in plain C++",
                                 amx_plain::tile_kernels<true>(generic_table().linear),
                                 amx_plain::tile_op_kernels<amx_plain::HalfTiles>(generic_table().ops), generic_table().limits};
  return table;
}

}  // namespace phial::cpu
