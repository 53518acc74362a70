// Checks of a SentencePiece model that libsentencepiece leaves out: it follows the indices of the normalisation table
// without looking at its size.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace esparse {

// `bytes` is a serialised ModelProto. Other damage is left to the library, which finds it.
Status check_normalization_tables(std::string_view bytes, const std::string& label);

}  // namespace esparse
