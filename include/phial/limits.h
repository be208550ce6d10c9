// The measured limits of this machine, against which every speed is printed as a share.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

namespace phial {

struct ReadRate {
  int n_threads;
  double small_pages;  // bytes per second from memory, 4 KiB pages
  double huge_pages;   // the same with 2 MiB pages
};

struct Limits {
  std::string machine;       // processor and instruction set measured
  int n_threads = 0;         // the peaks are for so many threads together
  double int8_vnni_ops = 0;  // multiplications and additions per second; 0 = no such instruction here
  double int8_amx_ops = 0;
  double bf16_flops = 0;  // AVX-512
  double bf16_amx_flops = 0, f16_amx_flops = 0;
  double f32_flops = 0;
  std::vector<ReadRate> read;  // 1 .. n_threads
  double barrier_ns = 0;

  double int8_ops() const { return std::max(int8_vnni_ops, int8_amx_ops); }
  /// Highest rate of products that weights of 16 bits may use.
  double best_bf16() const { return std::max({f32_flops, bf16_flops, bf16_amx_flops}); }
  double best_f16() const { return std::max(f32_flops, f16_amx_flops); }
  /// Highest read rate of the table.
  double best_read() const {
    double best = 0;
    for (const ReadRate& r : read) best = std::max(best, std::max(r.small_pages, r.huge_pages));
    return best;
  }
};

/// Takes about `seconds` (best of many short runs, since neighbours disturb). n_threads 0 = physical cores.
Limits measure_limits(int n_threads = 0, double seconds = 2.0);

}  // namespace phial
