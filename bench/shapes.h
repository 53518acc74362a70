// Linears of real models, [out_features, in_features].
#pragma once

#include <array>
#include <cstdint>

struct LinearShape {
  const char* name;
  int64_t out_features;
  int64_t in_features;
};

inline constexpr std::array kLlama3_8B = {
    LinearShape{"llama3-8b q,o", 4096, 4096},
    LinearShape{"llama3-8b k,v", 1024, 4096},
    LinearShape{"llama3-8b gate,up", 14336, 4096},
    LinearShape{"llama3-8b down", 4096, 14336},
};
