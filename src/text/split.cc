#include "text/split.h"

#include <algorithm>

namespace esparse {
namespace {

struct Part {
  TextSpan span;
  bool match = false;
};

// The whole text as alternating parts; a match may be empty, what lies between is not.
std::vector<Part> cover(size_t size, const std::vector<TextSpan>& matches, bool invert) {
  std::vector<Part> parts;
  parts.reserve(2 * matches.size() + 1);
  size_t done = 0;
  for (const TextSpan& match : matches) {
    if (done != match.begin) parts.push_back({{done, match.begin}, invert});
    parts.push_back({match, !invert});
    done = match.end;
  }
  if (done != size) parts.push_back({{done, size}, invert});
  return parts;
}

void merge_contiguous(std::vector<Part>& parts) {
  std::vector<Part> merged;
  bool previous = false;
  for (const Part& part : parts) {
    if (part.match == previous && !merged.empty()) {
      merged.back().span.end = part.span.end;
    } else {
      merged.push_back(part);
    }
    previous = part.match;
  }
  parts = std::move(merged);
}

// A match joins the neighbour before it (or, going backwards, behind it), unless that was a match too.
template <typename Iterator, typename Join>
std::vector<Part> merge_matches(Iterator begin, Iterator end, Join join) {
  std::vector<Part> merged;
  bool previous = false;
  for (Iterator part = begin; part != end; ++part) {
    if (part->match && !previous && !merged.empty()) {
      join(merged.back().span, part->span);
    } else {
      merged.push_back(*part);
    }
    previous = part->match;
  }
  return merged;
}

}  // namespace

Result<SplitBehavior> parse_split_behavior(const std::string& name, const std::string& label) {
  if (name == "Removed") return SplitBehavior::removed;
  if (name == "Isolated") return SplitBehavior::isolated;
  if (name == "MergedWithPrevious") return SplitBehavior::merged_with_previous;
  if (name == "MergedWithNext") return SplitBehavior::merged_with_next;
  if (name == "Contiguous") return SplitBehavior::contiguous;
  return unsupported("{}: behavior \"{}\" is not supported", label, name);
}

std::vector<TextSpan> split_spans(size_t size, const std::vector<TextSpan>& matches, SplitBehavior behavior,
                                  bool invert) {
  std::vector<Part> parts = cover(size, matches, invert);
  switch (behavior) {
    case SplitBehavior::isolated:
      break;
    case SplitBehavior::removed:
      std::erase_if(parts, [](const Part& part) { return part.match; });
      break;
    case SplitBehavior::contiguous:
      merge_contiguous(parts);
      break;
    case SplitBehavior::merged_with_previous:
      parts = merge_matches(parts.begin(), parts.end(), [](TextSpan& to, const TextSpan& from) { to.end = from.end; });
      break;
    case SplitBehavior::merged_with_next:
      parts = merge_matches(parts.rbegin(), parts.rend(),
                            [](TextSpan& to, const TextSpan& from) { to.begin = from.begin; });
      std::reverse(parts.begin(), parts.end());
      break;
  }
  std::vector<TextSpan> spans;
  spans.reserve(parts.size());
  for (const Part& part : parts) {
    if (part.span.begin != part.span.end) spans.push_back(part.span);
  }
  return spans;
}

void append_split(const Piece& piece, const std::vector<TextSpan>& spans, std::vector<Piece>& out) {
  for (const TextSpan& span : spans) {
    out.push_back(
        {.text = piece.text.substr(span.begin, span.end - span.begin), .at_start = piece.at_start && span.begin == 0});
  }
}

}  // namespace esparse
