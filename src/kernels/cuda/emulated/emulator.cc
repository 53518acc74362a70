#include "kernels/cuda/emulated/emulator.h"

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include <ucontext.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace esparse::cuda::emulated {
namespace {

constexpr size_t kStackBytes = 64 * 1024;

struct Warp {
  std::array<void*, 32> slots{};
  unsigned arrived = 0;
  uint64_t meetings = 0;
  std::string_view operation;
};

struct Copy {
  void* target;
  const void* source;
  int bytes, whole;
};

struct Fiber {
  ucontext_t context;
  std::unique_ptr<std::byte[]> stack = std::make_unique_for_overwrite<std::byte[]>(kStackBytes);
  dim3 thread;
  int index = 0;  // in the block
  bool finished = false;
  std::vector<Copy> copies;              // of no group yet
  std::deque<std::vector<Copy>> groups;  // on their way, oldest first
};

// One launch on one operating system thread.
class Grid {
 public:
  Grid(dim3 grid, dim3 block, int64_t shared_bytes, const std::function<void()>& body)
      : body_(body),
        shared_(static_cast<size_t>(shared_bytes)),
        threads_(static_cast<int>(block.x * block.y * block.z)) {
    gridDim = grid, blockDim = block;
    for (int i = 0; i < threads_; ++i) fibers_.push_back(std::make_unique<Fiber>());
  }

  void run() {
    for (unsigned z = 0; z < gridDim.z; ++z)
      for (unsigned y = 0; y < gridDim.y; ++y)
        for (unsigned x = 0; x < gridDim.x; ++x) {
          blockIdx = dim3(x, y, z);
          run_block();
        }
  }

  void yield() { switch_to(current_->context, main_, main_stack_, main_stack_bytes_); }

  void barrier() {
    ++at_barrier_, ++progress_;
    const uint64_t mine = barriers_;
    if (at_barrier_ == running_) {
      at_barrier_ = 0, ++barriers_;
      return;
    }
    waiting_for_ = "__syncthreads";
    while (barriers_ == mine) yield();
  }

  void meet(unsigned mask, void* slot, std::string_view operation, const std::function<void(void* const*)>& complete) {
    Warp& warp = warps_[current_->index / 32];
    const int lane = current_->index % 32;
    if (warp.arrived != 0 && warp.operation != operation)
      stop("lanes of one warp meet at different operations", operation);
    if ((mask >> lane & 1) == 0) stop("a lane outside its own mask", operation);
    static std::byte nothing;
    warp.slots[lane] = slot != nullptr ? slot : &nothing;
    warp.arrived |= 1u << lane, warp.operation = operation;
    ++progress_;
    if (warp.arrived == mask) {
      complete(warp.slots.data());
      warp.slots = {}, warp.arrived = 0, ++warp.meetings;
      return;
    }
    const uint64_t mine = warp.meetings;
    waiting_for_ = operation;
    while (warp.meetings == mine) yield();
  }

  void copy_later(const Copy& copy) { current_->copies.push_back(copy); }
  void end_copy_group() { current_->groups.push_back(std::exchange(current_->copies, {})); }
  void wait_for_copies(int groups_left) {
    for (auto& groups = current_->groups; static_cast<int>(groups.size()) > groups_left; groups.pop_front())
      for (const Copy& copy : groups.front()) {
        std::memcpy(copy.target, copy.source, static_cast<size_t>(copy.bytes));
        std::memset(static_cast<std::byte*>(copy.target) + copy.bytes, 0, static_cast<size_t>(copy.whole - copy.bytes));
      }
  }

  std::byte* shared() { return shared_.data(); }
  int lane() const { return current_->index % 32; }

 private:
  void run_block() {
    std::fill(shared_.begin(), shared_.end(), std::byte{0xff});  // NaN, so that what nobody wrote is noticed
    warps_.assign((threads_ + 31) / 32, {});
    running_ = threads_, at_barrier_ = 0;
    for (int i = 0; i < threads_; ++i) start(*fibers_[i], i);
    while (running_ > 0) {
      const uint64_t before = progress_;
      for (auto& fiber : fibers_)
        if (!fiber->finished) resume(*fiber);
      if (progress_ == before) stop("threads wait for each other in vain", waiting_for_);
    }
  }

  void start(Fiber& fiber, int index) {
    fiber.index = index, fiber.finished = false;
    fiber.copies.clear(), fiber.groups.clear();
    const auto i = static_cast<unsigned>(index);
    fiber.thread = dim3(i % blockDim.x, i / blockDim.x % blockDim.y, i / (blockDim.x * blockDim.y));
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = kStackBytes;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, &Grid::enter, 0);
  }

  void resume(Fiber& fiber) {
    current_ = &fiber;
    threadIdx = fiber.thread;
    switch_to(main_, fiber.context, fiber.stack.get(), kStackBytes);
  }

  static void enter();
  void run_fiber() {
    finish_switch(nullptr);
    body_();
    current_->finished = true;
    --running_, ++progress_;
    if (at_barrier_ > 0 && at_barrier_ == running_) at_barrier_ = 0, ++barriers_;  // CUDA counts those that have left
    leave();
  }

  // `fake` keeps what the address sanitizer remembers of the stack that is left.
  void switch_to(ucontext_t& from, ucontext_t& to, const void* stack, size_t bytes) {
    void* fake = nullptr;
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(&fake, stack, bytes);
#else
    static_cast<void>(stack), static_cast<void>(bytes);
#endif
    swapcontext(&from, &to);
    finish_switch(fake);
  }
  void finish_switch(void* fake) {
#if defined(__SANITIZE_ADDRESS__)
    const void* stack = nullptr;
    size_t bytes = 0;
    __sanitizer_finish_switch_fiber(fake, &stack, &bytes);
    if (main_stack_ == nullptr) main_stack_ = stack, main_stack_bytes_ = bytes;  // the first switch comes from there
#else
    static_cast<void>(fake);
#endif
  }
  void leave() {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(nullptr, main_stack_, main_stack_bytes_);
#endif
    setcontext(&main_);
  }

  [[noreturn]] void stop(const char* what, std::string_view operation) const {
    std::fprintf(stderr, "emulated kernel, block (%u, %u, %u), thread %d: %s (%.*s)\n", blockIdx.x, blockIdx.y,
                 blockIdx.z, current_->index, what, static_cast<int>(operation.size()), operation.data());
    std::abort();
  }

  const std::function<void()>& body_;
  std::vector<std::byte> shared_;
  int threads_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Warp> warps_;
  ucontext_t main_{};
  const void* main_stack_ = nullptr;
  size_t main_stack_bytes_ = 0;
  Fiber* current_ = nullptr;
  int running_ = 0, at_barrier_ = 0;
  uint64_t barriers_ = 0, progress_ = 0;
  std::string_view waiting_for_;
};

thread_local Grid* grid_in_progress = nullptr;

void Grid::enter() { grid_in_progress->run_fiber(); }

}  // namespace

void run_grid(dim3 grid, dim3 block, int64_t shared_bytes, const std::function<void()>& body) {
  Grid run(grid, block, shared_bytes, body);
  grid_in_progress = &run;
  run.run();
  grid_in_progress = nullptr;
}

std::byte* dynamic_shared_bytes() { return grid_in_progress->shared(); }
void __syncthreads() { grid_in_progress->barrier(); }
void meet_in_warp(unsigned mask, void* slot, std::string_view operation,
                  const std::function<void(void* const*)>& complete) {
  grid_in_progress->meet(mask, slot, operation, complete);
}
void copy_later(void* target, const void* source, int bytes, int whole) {
  grid_in_progress->copy_later({target, source, bytes, whole});
}
void end_copy_group() { grid_in_progress->end_copy_group(); }
void wait_for_copies(int groups_left) { grid_in_progress->wait_for_copies(groups_left); }
int lane_index() { return grid_in_progress->lane(); }

}  // namespace esparse::cuda::emulated
