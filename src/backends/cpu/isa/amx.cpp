// Products of many tokens on AMX tiles; for the rest the AVX-512 kernels, with lines of weights asked for in another cache.
#include "backends/cpu/kernel_table.h"
#include "backends/cpu/tile_shapes.h"

#if defined(__x86_64__)
#include <immintrin.h>

// To the end of the file: templates are instantiated there, and must be inside the region.
// GCC 12 warns of its own header (_mm512_undefined_ps).
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC target("avx2,fma,f16c,bmi,bmi2,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")

// Of these cores the first-level cache has too few places for lines that come from memory.
#define PHIAL_PREFETCH_LEVEL 2

namespace phial::cpu {
namespace amx {
#include "backends/cpu/simd_avx512.h"
#include "backends/cpu/tiles_amx.h"
#include "backends/cpu/kernels/linear_kernels.inl.h"
#include "backends/cpu/kernels/weight_pairs.inl.h"
#include "backends/cpu/kernels/linear_amx.inl.h"
#include "backends/cpu/kernels/op_kernels.inl.h"
inline void few_queries(const AttentionTask& task) { avx512_table().ops.attention_split(task); }
#include "backends/cpu/kernels/attention_amx.inl.h"
}  // namespace amx

const KernelTable& amx_table() {
  static const KernelTable table{"amx", "AMX and AVX-512 VNNI", amx::tile_kernels<false>(amx::linear_kernels()),
                                 amx::tile_op_kernels<amx::ByteTiles>(avx512_table().ops), avx512_table().limits};
  return table;
}

const KernelTable& amx_fp16_table() {
  static const KernelTable table{"amx_fp16", "AMX with FP16 and AVX-512 VNNI", amx::tile_kernels<true>(amx::linear_kernels()),
                                 amx::tile_op_kernels<amx::HalfTiles>(avx512_table().ops), avx512_table().limits};
  return table;
}

namespace {
/// n times four products of tiles of 64 bytes of k, by dot(Count<i>) into sum i.
template <typename Number, class Dot>
Number run_tiles(int64_t n, Dot dot) {
  using namespace amx;
  tile_configure<64>();
  tile_zero<kActTile>(), tile_zero<kWeightTile>();
  tile_zero<0>(), tile_zero<1>(), tile_zero<2>(), tile_zero<3>();
  for (; n > 0; --n) dot(Count<0>()), dot(Count<1>()), dot(Count<2>()), dot(Count<3>());
  alignas(64) Number sums[kTileRows][16];
  tile_store<0>(sums, 64);
  tile_release();
  return sums[0][0];
}
}  // namespace

int32_t amx_int8_peak(int64_t n) {
  return run_tiles<int32_t>(n, [](auto sum) { amx::tile_dot<sum.value, kActTile, kWeightTile, true, false>(); });
}
float amx_bf16_peak(int64_t n) {
  return run_tiles<float>(n, [](auto sum) { amx::tile_dot_bf16<sum.value, kActTile, kWeightTile>(); });
}
float amx_f16_peak(int64_t n) {
  return run_tiles<float>(n, [](auto sum) { amx::tile_dot_f16<sum.value, kActTile, kWeightTile>(); });
}

}  // namespace phial::cpu
#else
namespace phial::cpu {
int32_t amx_int8_peak(int64_t) { return 0; }
float amx_bf16_peak(int64_t) { return 0; }
float amx_f16_peak(int64_t) { return 0; }
}  // namespace phial::cpu
#endif
