// Matrix products of a layer. The rows of one logical matrix may be stored as several weights: files keep q, k and v apart,
// and mixes give them different formats. The reader of a model file sees one product.
#pragma once

#include <vector>

#include "nn/step.h"

namespace phial {

struct Linear {
  std::vector<Weight> parts;   // rows one after another
  std::vector<Weight> biases;  // one for each part, or none at all

  int64_t n_rows() const;
};

/// Takes the output from the workspace: [x.n_rows, w.n_rows()] = rms_norm(x) w^T (+ bias).
Tensor norm_linear(Step& s, Tensor x, const Weight& norm, float eps, const Linear& w);

/// residual += x w^T (+ bias)
void linear_add(Step& s, Tensor residual, Tensor x, const Weight& w, const Weight& bias = {});

}  // namespace phial
