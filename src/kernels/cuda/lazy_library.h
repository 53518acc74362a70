// A vendor's library that is opened when it is first needed. Any number of threads; one is let in at a time.
#pragma once

#include <memory>
#include <mutex>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels/cuda/gemm.h"
#include "kernels/cuda/library_host.h"

namespace esparse::cuda {

// Library: has `static Result<std::unique_ptr<Library>> open(const LibraryHost&)` and take_warnings().
template <typename Library>
class LazyLibrary {
 public:
  explicit LazyLibrary(LibraryHost host) : host_(std::move(host)) {}

  // use(library, search), a Status or Result; or why the library could not be opened.
  template <typename Use>
  std::invoke_result_t<Use, Library&, const GemmSearch&> run(const Use& use) const {
    const std::scoped_lock lock(mutex_);
    if (!library_) {
      ESPARSE_ASSIGN_OR_RETURN(library_, Library::open(host_));
    }
    return use(*library_, search_);
  }
  void set_search(const GemmSearch& search) const {
    const std::scoped_lock lock(mutex_);
    search_ = search;
  }
  std::vector<Status> take_warnings() const {
    const std::scoped_lock lock(mutex_);
    return library_ ? library_->take_warnings() : std::vector<Status>();
  }

 private:
  const LibraryHost host_;
  mutable std::mutex mutex_;
  mutable GemmSearch search_;
  mutable std::unique_ptr<Library> library_;
};

}  // namespace esparse::cuda
