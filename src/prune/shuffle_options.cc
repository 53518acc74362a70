#include <array>
#include <utility>

#include "prune/shuffle.h"

namespace esparse {
namespace {

constexpr std::array<std::pair<ShuffleMethod, std::string_view>, 5> kMethods = {{
    {ShuffleMethod::none, "none"},
    {ShuffleMethod::global, "global"},
    {ShuffleMethod::local, "local"},
    {ShuffleMethod::global_local, "global+local"},
    {ShuffleMethod::lsa, "lsa"},
}};

}  // namespace

Result<DealStyle> parse_deal_style(std::string_view text) {
  if (text == "snake") return DealStyle::snake;
  if (text == "deal") return DealStyle::deal;
  return invalid_argument("deal {:?}: expected snake or deal", text.substr(0, 40));
}

Result<ShuffleOptions> ShuffleOptions::parse(std::string_view text) {
  for (const auto& [method, name] : kMethods) {
    if (name != text) continue;
    ShuffleOptions options;
    options.method = method;
    return options;
  }
  return invalid_argument("shuffle {:?}: expected none, global, local, global+local or lsa", text.substr(0, 40));
}

std::string_view ShuffleOptions::text() const { return kMethods[static_cast<size_t>(method)].second; }

}  // namespace esparse
