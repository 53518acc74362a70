#include "runtime/session.h"

namespace esparse {

Result<Session> open_session(const std::filesystem::path& model_path, const std::filesystem::path& tokenizer_path,
                             OpenFor purpose) {
  Session session;
  ESPARSE_ASSIGN_OR_RETURN(Checkpoint checkpoint, open_checkpoint(model_path));
  const std::filesystem::path directory = checkpoint.directory;
  ESPARSE_ASSIGN_OR_RETURN(session.model, Model::load(std::move(checkpoint)));
  const std::filesystem::path where = tokenizer_path.empty() ? directory : tokenizer_path;
  session.tokenizer_file = where;
  if (!std::filesystem::is_regular_file(where)) {
    ESPARSE_ASSIGN_OR_RETURN(session.tokenizer_file, find_tokenizer_file(where));
  }
  ESPARSE_ASSIGN_OR_RETURN(session.tokenizer, load_tokenizer_file(session.tokenizer_file));
  const int64_t ids = session.tokenizer->vocab_size(), rows = session.model->config().vocab_size;
  if (ids > rows)
    return invalid_argument("{}: the tokenizer does not match the model: it has {} ids, the model's vocab_size is {}",
                            session.tokenizer_file.string(), ids, rows);
  if (purpose == OpenFor::running) session.model->arrange_for_running();
  return session;
}

}  // namespace esparse
