// Second moments of activations, gathered portion by portion of tokens in f32.
#pragma once

#include "base/matrix.h"

namespace esparse {

// Upper half of gram [in, in] += x^T x, x [tokens, in]. The lower half is left alone: mirror_upper at the end.
void add_gram(MatrixView<const float> x, MatrixView<float> gram);
// Copies the upper half of a square matrix to the lower.
void mirror_upper(MatrixView<float> m);
// c [rows, cols] += a^T b, a [tokens, rows], b [tokens, cols].
void add_cross(MatrixView<const float> a, MatrixView<const float> b, MatrixView<float> c);

}  // namespace esparse
