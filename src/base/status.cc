#include "base/status.h"

namespace esparse {

std::string_view status_kind_name(StatusKind kind) {
  switch (kind) {
    case StatusKind::ok:
      return "ok";
    case StatusKind::invalid_argument:
      return "invalid argument";
    case StatusKind::not_found:
      return "not found";
    case StatusKind::corruption:
      return "corruption";
    case StatusKind::unsupported:
      return "unsupported";
    case StatusKind::out_of_memory:
      return "out of memory";
    case StatusKind::io:
      return "input/output";
    case StatusKind::numeric:
      return "numeric";
    case StatusKind::internal:
      return "internal";
    case StatusKind::interrupted:
      return "interrupted";
  }
  return "unknown";
}

Status Status::with_context(std::string_view context) const {
  if (ok()) return *this;
  return Status(kind_, fmt::format("{}: {}", context, message_));
}

void check_failed(const char* file, int line, const char* condition) {
  std::fprintf(stderr, "%s:%d: internal check failed: %s\n", file, line, condition);
  std::abort();
}

}  // namespace esparse
