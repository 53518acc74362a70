#include <algorithm>

#include "text/json_tokenizer.h"
#include "text/sentencepiece_tokenizer.h"
#include "text/tokenizer.h"
#include "text/tokenizer_config.h"

namespace esparse {
namespace {

namespace fs = std::filesystem;

bool is_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

// llama2.c keeps tok<vocab>.model beside the weights.
bool is_llama2c_name(const std::string& name) {
  constexpr std::string_view kStart = "tok";
  constexpr std::string_view kEnd = ".model";
  if (!name.starts_with(kStart) || !name.ends_with(kEnd) || name.size() <= kStart.size() + kEnd.size()) return false;
  return std::all_of(name.begin() + kStart.size(), name.end() - kEnd.size(),
                     [](unsigned char c) { return std::isdigit(c) != 0; });
}

Result<std::vector<fs::path>> llama2c_tokenizers(const fs::path& directory) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error)) {
    if (is_llama2c_name(entry->path().filename().string()) && is_file(entry->path())) found.push_back(entry->path());
  }
  if (error) return io_error("{}: cannot list the directory: {}", directory.string(), error.message());
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> load_tokenizer_file(const fs::path& file) {
  ESPARSE_ASSIGN_OR_RETURN(const TokenizerConfig config,
                           read_tokenizer_config(file.parent_path() / "tokenizer_config.json"));
  if (file.extension() == ".json") return load_json_tokenizer(file, config);
  if (file.extension() == ".model") return load_sentencepiece(file, config);
  return unsupported("{}: expected a tokenizer file named *.json or *.model", file.string());
}

Result<fs::path> find_tokenizer_file(const fs::path& directory) {
  std::error_code error;
  if (!fs::is_directory(directory, error)) {
    return not_found("{}: expected a directory with a tokenizer", directory.string());
  }
  for (const char* name : {"tokenizer.json", "tokenizer.model"}) {
    if (is_file(directory / name)) return directory / name;
  }
  ESPARSE_ASSIGN_OR_RETURN(const std::vector<fs::path> candidates, llama2c_tokenizers(directory));
  if (candidates.size() == 1) return candidates.front();
  if (candidates.size() > 1) {
    return invalid_argument("{}: expected one tok<vocab>.model, got {} and {} more", directory.string(),
                            candidates.front().filename().string(), candidates.size() - 1);
  }
  if (is_file(directory / "vocab.json") && is_file(directory / "merges.txt")) {
    return unsupported("{}: vocab.json and merges.txt alone are not supported; save the tokenizer as tokenizer.json",
                       directory.string());
  }
  return not_found("{}: no tokenizer.json, tokenizer.model or tok<vocab>.model", directory.string());
}

Result<std::unique_ptr<Tokenizer>> load_tokenizer(const fs::path& directory) {
  ESPARSE_ASSIGN_OR_RETURN(const fs::path file, find_tokenizer_file(directory));
  return load_tokenizer_file(file);
}

}  // namespace esparse
