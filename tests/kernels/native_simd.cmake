# Adds the vector types of the target's processor family to a test program, each with its compiler flags.
function(esparse_native_simd_types target)
  set(here ${CMAKE_CURRENT_FUNCTION_LIST_DIR})
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|amd64|AMD64")
    set(avx2 -mavx2 -mfma -mf16c)
    set_source_files_properties(${here}/x86/simd_avx2.cc PROPERTIES COMPILE_OPTIONS "${avx2}")
    # g++ 12 takes its own _mm512_undefined_ps() for a mistake (its bug 105593).
    set_source_files_properties(${here}/x86/simd_avx512.cc PROPERTIES COMPILE_OPTIONS
      "${avx2};-mavx512f;-mavx512bw;-mavx512dq;-mavx512vl;-mavx512bf16;-Wno-uninitialized;-Wno-maybe-uninitialized")
    target_sources(${target} PRIVATE ${here}/x86/simd_types.cc ${here}/x86/simd_avx2.cc ${here}/x86/simd_avx512.cc)
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64|ARM64")
    target_sources(${target} PRIVATE ${here}/arm/simd_types.cc)
  else()
    target_sources(${target} PRIVATE ${here}/portable/simd_types.cc)
  endif()
endfunction()
