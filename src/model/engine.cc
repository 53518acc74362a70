#include "model/engine.h"

#include <numeric>
#include <vector>

namespace esparse {

Status Engine::logits(int64_t first, Sequence& sequence, MatrixView<float> logits) {
  std::vector<int64_t> rows(static_cast<size_t>(logits.rows));
  std::iota(rows.begin(), rows.end(), first);
  return this->logits(rows, sequence, logits);
}

}  // namespace esparse
