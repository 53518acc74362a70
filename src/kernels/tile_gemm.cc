#include "kernels/tile_gemm.h"

#include <algorithm>

#include "base/checked.h"
#include "base/parallel.h"
#include "kernels/scratch.h"

namespace esparse {
namespace {

using View = NmTilesView;

constexpr int64_t kRows = View::kRows, kColumns = View::kColumns;
// Tokens whose inputs are packed at once: their sums, 16 KiB a row block, stay in the second-level cache.
constexpr int64_t kMaxTokens = 512;
// Packed inputs of one chunk of tokens and one run of tiles: most of 32 KiB in the first-level cache; tiles and
// controls stream through the rest.
constexpr int64_t kRunBytes = 20 << 10;
// Row blocks that share the inputs of a chunk while these are in that cache.
constexpr int64_t kMaxBlocks = 8;

// The chunk that costs least: every one takes the time of its tokens, filled up, and of half a token for the loads of
// weights and controls.
int64_t chunk_tokens(const TileGemmKernel& kernel, int64_t tokens) {
  int64_t best = kernel.max_tokens;
  const auto cost = [&](int64_t chunk) { return ceil_div(tokens, chunk) * (2 * chunk + 1); };
  for (int64_t chunk = kernel.token_step; chunk < kernel.max_tokens; chunk += kernel.token_step)
    if (cost(chunk) < cost(best)) best = chunk;
  return best;
}

class Gemm {
 public:
  Gemm(const TileGemmKernel& kernel, const View& weight, MatrixView<const float> x, std::span<const float> bias,
       MatrixView<float> y)
      : kernel_(kernel), weight_(weight), x_(x), bias_(bias), y_(y) {
    chunk_ = chunk_tokens(kernel, x.rows);
    run_tiles_ = std::clamp<int64_t>(kRunBytes / (chunk_ * kColumns * 2), 1, weight.tiles_per_block());
    runs_ = ceil_div(weight.tiles_per_block(), run_tiles_);
    chunks_ = ceil_div(x.rows, chunk_);
  }

  void run() {
    static thread_local Scratch scratch;
    packed_ = scratch.grow(runs_ * chunks_ * block_bytes());
    const int64_t work = x_.rows * x_.cols * y_.cols;
    parallel_for_sized(runs_ * chunks_, work, [&](int64_t piece, int) { pack(piece / chunks_, piece % chunks_); });
    // A few pieces for every thread; their cut does not show in the bits.
    const int64_t wanted = ceil_div(weight_.row_blocks(), 4 * thread_count());
    const int64_t blocks = std::clamp<int64_t>(wanted, 1, kMaxBlocks);
    parallel_for_sized(ceil_div(weight_.row_blocks(), blocks), work, [&](int64_t piece, int) {
      const int64_t first = piece * blocks;
      multiply(first, std::min(blocks, weight_.row_blocks() - first));
    });
  }

 private:
  int64_t block_bytes() const { return run_tiles_ * kColumns * 2 * chunk_; }
  std::byte* packed(int64_t run, int64_t chunk) const { return packed_ + (run * chunks_ + chunk) * block_bytes(); }

  void pack(int64_t run, int64_t chunk) const {
    const int64_t column = run * run_tiles_ * kColumns, token = chunk * chunk_;
    kernel_.pack(&x_(token, column), x_.stride, std::min(chunk_, x_.rows - token),
                 std::min(run_tiles_ * kColumns, x_.cols - column), run_tiles_ * kColumns, chunk_, packed(run, chunk));
  }

  // All tokens with `count` row blocks.
  void multiply(int64_t first_block, int64_t count) const {
    static thread_local Scratch sum_scratch, control_scratch;
    const int64_t chunk_sums = count * chunk_ * kRows, control_bytes = run_tiles_ * kernel_.entries * 64;
    auto* sums = reinterpret_cast<float*>(sum_scratch.grow(chunks_ * chunk_sums * 4));
    std::byte* controls = control_scratch.grow(count * control_bytes);
    for (int64_t run = 0; run < runs_; ++run) {
      const int64_t tile = run * run_tiles_, tiles = std::min(run_tiles_, weight_.tiles_per_block() - tile);
      for (int64_t block = 0; block < count; ++block)
        kernel_.control(weight_.tile(first_block + block, tile), tiles, controls + block * control_bytes);
      for (int64_t chunk = 0; chunk < chunks_; ++chunk)
        for (int64_t block = 0; block < count; ++block)
          kernel_.multiply({weight_.tile(first_block + block, tile), tiles, controls + block * control_bytes,
                            packed(run, chunk), chunk_, run == 0, sums + chunk * chunk_sums + block * chunk_ * kRows});
    }
    for (int64_t chunk = 0; chunk < chunks_; ++chunk)
      for (int64_t block = 0; block < count; ++block)
        store(sums + chunk * chunk_sums + block * chunk_ * kRows, chunk * chunk_, (first_block + block) * kRows);
  }

  void store(const float* sums, int64_t first_token, int64_t first_row) const {
    const int64_t tokens = std::min(chunk_, y_.rows - first_token), rows = std::min(kRows, y_.cols - first_row);
    float offsets[kRows] = {};
    if (!bias_.empty()) std::copy_n(bias_.begin() + first_row, rows, offsets);
    for (int64_t token = 0; token < tokens; ++token, sums += kRows) {
      float* target = &y_(first_token + token, first_row);
      for (int64_t row = 0; row < rows; ++row) target[row] = sums[row] + offsets[row];
    }
  }

  const TileGemmKernel& kernel_;
  const View& weight_;
  MatrixView<const float> x_;
  std::span<const float> bias_;
  MatrixView<float> y_;
  int64_t chunk_, chunks_;       // tokens of a chunk; the last may be shorter
  int64_t run_tiles_, runs_;     // tiles of a row block that meet a chunk at once
  std::byte* packed_ = nullptr;  // [run][chunk] blocks
};

}  // namespace

const TileGemmKernel* tile_gemm_kernel(const TileKernels& kernels, const NmTilesView& weight) {
  if (kernels.gemm == nullptr || weight.dtype != DType::bf16) return nullptr;
  if (!weight.of_eights()) return &kernels.gemm->of_2_4;
  return weight.pattern.kept == 2   ? &kernels.gemm->of_2_8
         : weight.pattern.kept == 4 ? &kernels.gemm->of_4_8
                                    : &kernels.gemm->of_6_8;
}

void tile_gemm(const TileGemmKernel& kernel, const NmTilesView& weight, MatrixView<const float> x,
               std::span<const float> bias, MatrixView<float> y) {
  for (int64_t first = 0; first < x.rows; first += kMaxTokens) {
    const int64_t tokens = std::min(kMaxTokens, x.rows - first);
    Gemm(kernel, weight, x.rows_from(first, tokens), bias, y.rows_from(first, tokens)).run();
  }
}

}  // namespace esparse
