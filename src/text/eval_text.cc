#include "text/eval_text.h"

#include <array>
#include <utility>

#include "base/sha256.h"
#include "io/files.h"
#include "text/corpus.h"

namespace esparse {
namespace {

constexpr std::array<std::pair<std::string_view, JoinRule>, 4> kRules = {{{"file", JoinRule::file},
                                                                          {"wikitext", JoinRule::wikitext},
                                                                          {"space", JoinRule::space},
                                                                          {"separate", JoinRule::separate}}};

// The rows of the Hub's WikiText: the lines of the file with their newline; those without a visible character are
// empty.
std::vector<std::string> hub_rows(const std::vector<std::string>& documents) {
  std::vector<std::string> rows;
  for (const std::string& document : documents) {
    for (size_t start = 0; start < document.size();) {
      const size_t end = std::min(document.find('\n', start), document.size() - 1) + 1;
      std::string row = document.substr(start, end - start);
      rows.push_back(row.find_first_not_of(" \t\r\n") == std::string::npos ? "" : std::move(row));
      start = end;
    }
  }
  return rows;
}

std::string join(const std::vector<std::string>& documents, std::string_view between) {
  std::string text;
  for (size_t i = 0; i < documents.size(); ++i) text.append(i == 0 ? "" : between).append(documents[i]);
  return text;
}

}  // namespace

Result<JoinRule> parse_join_rule(std::string_view text) {
  for (const auto& [name, rule] : kRules)
    if (text == name) return rule;
  return invalid_argument("--join: expected file, wikitext, space or separate, got \"{}\"", text);
}

std::string_view join_rule_name(JoinRule rule) {
  for (const auto& [name, candidate] : kRules)
    if (candidate == rule) return name;
  return "?";
}

Result<EvalText> read_eval_text(const std::filesystem::path& path, JoinRule rule) {
  ESPARSE_ASSIGN_OR_RETURN(std::string content, read_file(path, kMaxCorpusBytes));
  EvalText text;
  text.file_sha256 = sha256_hex(content);
  ESPARSE_ASSIGN_OR_RETURN(std::vector<std::string> documents, parse_documents(std::move(content), path));
  switch (rule) {
    case JoinRule::file:
      text.documents = {join(documents, "\n\n")};
      break;
    case JoinRule::wikitext:
      text.documents = {join(hub_rows(documents), "\n\n")};
      break;
    case JoinRule::space:
      text.documents = {join(documents, " ")};
      break;
    case JoinRule::separate:
      text.documents = std::move(documents);
      break;
  }
  for (const std::string& document : text.documents) text.bytes += static_cast<int64_t>(document.size());
  return text;
}

}  // namespace esparse
