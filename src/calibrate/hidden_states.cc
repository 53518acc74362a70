#include "calibrate/hidden_states.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>

#include "base/checked.h"
#include "io/tensor.h"

namespace esparse {
namespace {

constexpr std::array<char, 8> kMagic = {'e', 's', 'p', 'h', 'i', 'd', 'd', 'n'};
constexpr uint64_t kVersion = 1;
constexpr int64_t kDataAlignment = 4096;  // windows begin at a page, so that no write of one touches the header's page

// Begin of the file; the tokens of each window follow as int64.
struct FixedHeader {
  std::array<char, 8> magic;
  uint64_t version;
  uint64_t fingerprint;
  int64_t hidden_size;
  int64_t windows;
};
static_assert(sizeof(FixedHeader) == 40);

Status check_header(const FixedHeader& header, const std::string& label, const HiddenStatesShape& shape,
                    uint64_t fingerprint) {
  if (header.magic != kMagic) {
    return corruption("{}: expected a finished file of hidden states, got something else (was a run interrupted?)",
                      label);
  }
  if (header.version != kVersion) {
    return corruption("{}: expected version {} of the format, got {}", label, kVersion, header.version);
  }
  if (header.hidden_size != shape.hidden_size || header.windows != shape.windows()) {
    return invalid_argument("{}: expected {} windows of hidden size {}, got {} of {}", label, shape.windows(),
                            shape.hidden_size, header.windows, header.hidden_size);
  }
  if (header.fingerprint != fingerprint) {
    return invalid_argument("{}: expected the hidden states of run {:016x}, got those of run {:016x}", label,
                            fingerprint, header.fingerprint);
  }
  return {};
}

template <typename T>
auto row_bytes(MatrixView<T> matrix, int64_t first, int64_t rows) {
  using Byte = std::conditional_t<std::is_const_v<T>, const std::byte, std::byte>;
  return std::span(reinterpret_cast<Byte*>(matrix.row(first).data()),
                   static_cast<size_t>(rows * matrix.cols) * sizeof(float));
}

// Calls body(first row, rows) for pieces without gaps between their rows: the whole matrix, or one row at a time.
template <typename T, typename F>
Status for_each_piece(MatrixView<T> matrix, F body) {
  if (matrix.stride == matrix.cols) return body(int64_t{0}, matrix.rows);
  for (int64_t row = 0; row < matrix.rows; ++row) ESPARSE_RETURN_IF_ERROR(body(row, int64_t{1}));
  return {};
}

void copy_rows(MatrixView<const float> from, MatrixView<float> to) {
  for (int64_t row = 0; row < from.rows; ++row) std::copy_n(from.row(row).data(), from.cols, to.row(row).data());
}

}  // namespace

int64_t HiddenStatesShape::longest_window() const {
  return window_tokens.empty() ? 0 : *std::max_element(window_tokens.begin(), window_tokens.end());
}

int64_t HiddenStatesShape::data_bytes() const {
  int64_t tokens = 0;
  for (const int64_t count : window_tokens) tokens += count;
  return tokens * hidden_size * int64_t{sizeof(float)};
}

HiddenStates::HiddenStates(HiddenStatesShape shape, uint64_t fingerprint)
    : shape_(std::move(shape)), fingerprint_(fingerprint) {
  ESPARSE_CHECK(shape_.hidden_size > 0);
  int64_t offset = 0;
  for (const int64_t tokens : shape_.window_tokens) {
    ESPARSE_CHECK(tokens >= 0);
    offsets_.push_back(offset);
    offset += tokens * shape_.hidden_size * int64_t{sizeof(float)};
  }
  data_begin_ = ceil_div(static_cast<int64_t>(header().size()), kDataAlignment) * kDataAlignment;
}

std::vector<std::byte> HiddenStates::header() const {
  const FixedHeader fixed{kMagic, kVersion, fingerprint_, shape_.hidden_size, shape_.windows()};
  const auto first = std::as_bytes(std::span(&fixed, 1)), second = std::as_bytes(std::span(shape_.window_tokens));
  std::vector<std::byte> bytes(first.size() + second.size());
  std::copy(second.begin(), second.end(), std::copy(first.begin(), first.end(), bytes.begin()));
  return bytes;
}

Result<HiddenStates> HiddenStates::in_memory(HiddenStatesShape shape) {
  const int64_t bytes = shape.data_bytes();
  try {
    HiddenStates states(std::move(shape), 0);
    for (const int64_t tokens : states.shape_.window_tokens)
      states.memory_.emplace_back(tokens, states.shape_.hidden_size);
    return states;
  } catch (const std::bad_alloc&) {
    return make_status(StatusKind::out_of_memory, "not enough memory for {} bytes of hidden states", bytes);
  }
}

Result<HiddenStates> HiddenStates::create_file(const std::filesystem::path& path, HiddenStatesShape shape,
                                               uint64_t fingerprint) {
  HiddenStates states(std::move(shape), fingerprint);
  ESPARSE_ASSIGN_OR_RETURN(PositionedFile file, PositionedFile::create(path));
  states.file_.emplace(std::move(file));
  ESPARSE_RETURN_IF_ERROR(states.file_->reserve(states.data_begin_ + states.shape_.data_bytes()));
  return states;
}

Result<HiddenStates> HiddenStates::open_file(const std::filesystem::path& path, HiddenStatesShape shape,
                                             uint64_t fingerprint) {
  HiddenStates states(std::move(shape), fingerprint);
  ESPARSE_ASSIGN_OR_RETURN(PositionedFile file, PositionedFile::open(path));
  FixedHeader fixed{};
  ESPARSE_RETURN_IF_ERROR(file.read_at(0, std::as_writable_bytes(std::span(&fixed, 1))));
  ESPARSE_RETURN_IF_ERROR(check_header(fixed, path.string(), states.shape_, fingerprint));
  // The counts agree, so the header is as long as the expected one.
  const std::vector<std::byte> expected = states.header();
  std::vector<std::byte> got(expected.size());
  ESPARSE_RETURN_IF_ERROR(file.read_at(0, got));
  if (got != expected) return invalid_argument("{}: its windows have other lengths than expected", path.string());
  ESPARSE_ASSIGN_OR_RETURN(const int64_t size, file.size());
  const int64_t expected_size = states.data_begin_ + states.shape_.data_bytes();
  if (size != expected_size) return corruption("{}: expected {} bytes, got {}", path.string(), expected_size, size);
  states.file_.emplace(std::move(file));
  states.finished_ = true;
  return states;
}

Status HiddenStates::read(int64_t window, MatrixView<float> target) const {
  ESPARSE_CHECK(target.rows == shape_.window_tokens[window] && target.cols == shape_.hidden_size);
  if (!file_) {
    copy_rows(memory_[window].view(), target);
    return {};
  }
  return for_each_piece(target, [&](int64_t first, int64_t rows) {
    const int64_t place = offset(window) + first * target.cols * int64_t{sizeof(float)};
    return file_->read_at(place, row_bytes(target, first, rows));
  });
}

Status HiddenStates::write(int64_t window, MatrixView<const float> source) {
  ESPARSE_CHECK(source.rows == shape_.window_tokens[window] && source.cols == shape_.hidden_size);
  if (!file_) {
    copy_rows(source, memory_[window].view());
    return {};
  }
  if (finished_) {
    // On the disk before anything changes.
    ESPARSE_RETURN_IF_ERROR(file_->write_at(0, std::array<std::byte, sizeof(FixedHeader)>{}));
    ESPARSE_RETURN_IF_ERROR(file_->sync());
    finished_ = false;
  }
  return for_each_piece(source, [&](int64_t first, int64_t rows) {
    const int64_t place = offset(window) + first * source.cols * int64_t{sizeof(float)};
    return file_->write_at(place, row_bytes(source, first, rows));
  });
}

Status HiddenStates::finish() {
  if (!file_ || finished_) return {};
  ESPARSE_RETURN_IF_ERROR(file_->sync());
  ESPARSE_RETURN_IF_ERROR(file_->write_at(0, header()));
  ESPARSE_RETURN_IF_ERROR(file_->sync());
  finished_ = true;
  return {};
}

}  // namespace esparse
