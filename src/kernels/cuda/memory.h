// Ways of moving data: loads of what is read once, copies from global to shared memory that go on beside arithmetic,
// and fragments of matrices from shared memory.
#pragma once

#include "kernels/cuda/device.h"

namespace esparse::cuda::ESPARSE_BACKEND {

#ifdef __CUDACC__
// For kernels of launch_early(): the kernels before have ended and what they wrote can be read.
__device__ __forceinline__ void wait_for_kernels_before() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
// The next kernel of launch_early() may take the place of blocks that have ended.
__device__ __forceinline__ void let_next_kernel_start() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
#endif
}
#else
inline void wait_for_kernels_before() {}
inline void let_next_kernel_start() {}
#endif

#if defined(__CUDACC__) && defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800

// Older GPUs have neither the policy nor copies of their own: loads and stores do instead.
__device__ __forceinline__ uint4 load_once(const uint4* address) { return __ldcs(address); }
__device__ __forceinline__ uint4 load_shared_by_warps(const uint4* address) { return __ldg(address); }
__device__ __forceinline__ void copy_async_16(void* target, const void* source, int bytes) {
  uint4 x = {0, 0, 0, 0};
  if (bytes == 16) {
    x = *static_cast<const uint4*>(source);
  } else {
    for (int i = 0; i < bytes; ++i) reinterpret_cast<uint8_t*>(&x)[i] = static_cast<const uint8_t*>(source)[i];
  }
  *static_cast<uint4*>(target) = x;
}
__device__ __forceinline__ void end_copy_group() {}
template <int groups_left>
__device__ __forceinline__ void wait_for_copy_groups() {}
__device__ __forceinline__ void load_matrices(uint32_t (&)[4], const void*) { __trap(); }

#elif defined(__CUDACC__)

// What is read once and by nobody else: kept out of L1, and the first to leave L2. `volatile` keeps the load where it
// is written, far ahead of its use.
__device__ __forceinline__ uint4 load_once(const uint4* address) {
  uint4 x;
  asm volatile(
      "{\n\t.reg .b64 policy;\n\t"
      "createpolicy.fractional.L2::evict_first.b64 policy, 1.0;\n\t"
      "ld.global.nc.L1::no_allocate.L2::cache_hint.v4.u32 {%0,%1,%2,%3}, [%4], policy;\n\t}"
      : "=r"(x.x), "=r"(x.y), "=r"(x.z), "=r"(x.w)
      : "l"(address));
  return x;
}
// What other warps read as well.
__device__ __forceinline__ uint4 load_shared_by_warps(const uint4* address) {
  uint4 x;
  asm volatile("ld.global.nc.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(x.x), "=r"(x.y), "=r"(x.z), "=r"(x.w) : "l"(address));
  return x;
}

// 16 bytes to shared memory: `bytes` from `source`, the others zero. Both addresses are multiples of 16. Completes no
// later than wait_for_copy_groups() of the thread that gave it.
__device__ __forceinline__ void copy_async_16(void* target, const void* source, int bytes) {
  const auto shared = static_cast<uint32_t>(__cvta_generic_to_shared(target));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared), "l"(source), "r"(bytes) : "memory");
}
__device__ __forceinline__ void end_copy_group() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int groups_left>
__device__ __forceinline__ void wait_for_copy_groups() {
  asm volatile("cp.async.wait_group %0;" ::"n"(groups_left) : "memory");
}

// Four 8 x 8 matrices of 16-bit elements. Lane 8i + r names the row r of matrix i: 16 bytes of shared memory. With
// g = lane / 4, t = lane % 4 a lane gets elements 2t, 2t + 1 of row g of matrix i in x[i].
__device__ __forceinline__ void load_matrices(uint32_t (&x)[4], const void* row) {
  const auto shared = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3])
               : "r"(shared)
               : "memory");
}

#else

inline uint4 load_once(const uint4* address) { return *address; }
inline uint4 load_shared_by_warps(const uint4* address) { return *address; }

inline void copy_async_16(void* target, const void* source, int bytes) { copy_later(target, source, bytes, 16); }
template <int groups_left>
void wait_for_copy_groups() {
  wait_for_copies(groups_left);
}

inline void load_matrices(uint32_t (&x)[4], const void* row) {
  struct Slot {
    uint32_t* x;
    const std::byte* row;
  } mine{x, static_cast<const std::byte*>(row)};
  meet_in_warp(0xffffffffu, &mine, "load_matrices", [](void* const* slots) {
    for (int lane = 0; lane < 32; ++lane)
      for (int i = 0; i < 4; ++i)
        std::memcpy(&static_cast<Slot*>(slots[lane])->x[i],
                    static_cast<Slot*>(slots[8 * i + lane / 4])->row + lane % 4 * 4, 4);
  });
}

#endif

}  // namespace esparse::cuda::ESPARSE_BACKEND
