// Linked where the header of cuSPARSELt was not found.
#include "kernels/cuda/sparse_cusparselt.h"

namespace esparse::cuda {
namespace {

class AbsentLibrary final : public SparseLibrary {
 public:
  Result<std::string> version() const override { return absent(); }
  Result<std::unique_ptr<LibraryWeight>> compress(const void*, int64_t, int64_t, Element, Stream) const override {
    return absent();
  }
  Status multiply(const LibraryWeight&, const LibraryProduct&, Stream) const override { return absent(); }
  void set_search(const GemmSearch&) const override {}
  std::vector<Status> take_warnings() const override { return {}; }

 private:
  static Status absent() {
    return unsupported(
        "cuSPARSELt: this esparse was built without it: cusparseLt.h was not found (tools/install-cuda gets it)");
  }
};

}  // namespace

std::unique_ptr<SparseLibrary> make_cusparselt(LibraryHost) { return std::make_unique<AbsentLibrary>(); }

const SparseLibrary& cusparselt() {
  static const AbsentLibrary library;
  return library;
}

}  // namespace esparse::cuda
