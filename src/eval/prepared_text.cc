#include "eval/prepared_text.h"

#include <algorithm>

namespace esparse {
namespace {

constexpr int64_t kDefaultContext = 2048;  // what Wanda and SparseGPT report

}  // namespace

Conditions PreparedText::conditions() const {
  return {{"text_sha256", sha256},
          {"join", std::string(join_rule_name(options.join))},
          {"bos", std::string(bos_rule_name(options.bos))},
          {"context", std::to_string(options.context)},
          {"stride", std::to_string(options.stride)},
          {"windows", std::to_string(windows.size())}};
}

Json PreparedText::facts() const {
  return {{"file", options.file.filename().string()},
          {"sha256", sha256},
          {"join", join_rule_name(options.join)},
          {"bos", bos_rule_name(options.bos)},
          {"context", options.context},
          {"stride", options.stride},
          {"tokens", tokens},
          {"bytes", bytes}};
}

Result<PreparedText> prepare_text(const TextOptions& options, const Tokenizer& tokenizer, int64_t max_positions) {
  PreparedText text;
  text.options = options;
  if (options.context == 0) text.options.context = std::min(kDefaultContext, max_positions);
  if (text.options.context > max_positions)
    return invalid_argument("--context: the model has {} positions (max_position_embeddings), got {}", max_positions,
                            text.options.context);
  if (options.bos == BosRule::window) {
    text.bos = tokenizer.bos_id();
    if (!text.bos) return invalid_argument("--bos window: the tokenizer has no BOS");
  }
  if (options.stride == 0) text.options.stride = text.options.context - (text.bos ? 1 : 0);
  ESPARSE_ASSIGN_OR_RETURN(const EvalText read, read_eval_text(options.file, options.join));
  text.sha256 = read.file_sha256;
  text.bytes = read.bytes;
  for (const std::string& document : read.documents) {
    ESPARSE_ASSIGN_OR_RETURN(std::vector<int32_t> ids, tokenizer.encode(document, options.bos == BosRule::text));
    const bool has_bos = options.bos == BosRule::text && tokenizer.bos_id() && !ids.empty();
    text.tokens += std::ssize(ids) - (has_bos ? 1 : 0);
    text.documents.push_back(std::move(ids));
  }
  const WindowOptions windows{.context = text.options.context,
                              .stride = text.options.stride,
                              .bos = text.bos,
                              .keep_short_last = options.join == JoinRule::separate,
                              .max_windows = options.max_windows};
  auto cut = cut_windows(text.documents, windows);
  if (!cut.ok()) return cut.status().with_context(options.file.string());
  text.windows = std::move(cut).value();
  return text;
}

}  // namespace esparse
