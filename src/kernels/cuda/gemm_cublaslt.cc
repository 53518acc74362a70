#include "kernels/cuda/gemm_cublaslt.h"

#include <cublasLt.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <unordered_map>

#include "kernels/cuda/cold_timing.h"
#include "kernels/cuda/lazy_library.h"
#include "kernels/cuda/library_plans.h"
#include "kernels/cuda/runtime_cuda.h"
#include "kernels/cuda/shared_library.h"

namespace esparse::cuda {
namespace {

constexpr size_t kWorkspaceBytes = 32 << 20;  // what NVIDIA advises for Hopper
constexpr int kProposals = 32;
constexpr int kRounds = 5;
constexpr int64_t kFlushBytes = int64_t{256} << 20;

// The functions of the library, by its own names.
struct Library {
  decltype(&cublasLtCreate) Create;
  decltype(&cublasLtDestroy) Destroy;
  decltype(&cublasLtGetVersion) GetVersion;
  decltype(&cublasLtGetStatusString) GetStatusString;
  decltype(&cublasLtMatmul) Matmul;
  decltype(&cublasLtMatmulAlgoCheck) MatmulAlgoCheck;
  decltype(&cublasLtMatmulAlgoGetHeuristic) MatmulAlgoGetHeuristic;
  decltype(&cublasLtMatmulDescCreate) MatmulDescCreate;
  decltype(&cublasLtMatmulDescDestroy) MatmulDescDestroy;
  decltype(&cublasLtMatmulDescSetAttribute) MatmulDescSetAttribute;
  decltype(&cublasLtMatmulPreferenceCreate) MatmulPreferenceCreate;
  decltype(&cublasLtMatmulPreferenceDestroy) MatmulPreferenceDestroy;
  decltype(&cublasLtMatmulPreferenceSetAttribute) MatmulPreferenceSetAttribute;
  decltype(&cublasLtMatrixLayoutCreate) MatrixLayoutCreate;
  decltype(&cublasLtMatrixLayoutDestroy) MatrixLayoutDestroy;
};

Result<Library> open_library() {
  ESPARSE_ASSIGN_OR_RETURN(
      const SharedLibrary file,
      SharedLibrary::open({"cuBLASLt", "libcublasLt.so.13", "ESPARSE_CUBLASLT", "nvidia-cublas", {"nvidia/cu13/lib"}}));
  Library library{};
  ESPARSE_RETURN_IF_ERROR(file.find("cublasLtCreate", library.Create));
  ESPARSE_RETURN_IF_ERROR(file.find("cublasLtDestroy", library.Destroy));
  ESPARSE_RETURN_IF_ERROR(file.find("cublasLtGetVersion", library.GetVersion));
  ESPARSE_RETURN_IF_ERROR(file.find("cublasLtGetStatusString", library.GetStatusString));
  ESPARSE_RETURN_IF_ERROR(file.find("cublasLtMatmul", library.Matmul));
  ESPARSE_RETURN_IF_ERROR(file.find("cublasLtMatmulAlgoCheck", library.MatmulAlgoCheck));
  ESPARSE_RETURN_IF_ERROR(file.find("cublasLtMatmulAlgoGetHeuristic", library.MatmulAlgoGetHeuristic));
  ESPARSE_RETURN_IF_ERROR(file.find("cublasLtMatmulDescCreate", library.MatmulDescCreate));
  ESPARSE_RETURN_IF_ERROR(file.find("cublasLtMatmulDescDestroy", library.MatmulDescDestroy));
  ESPARSE_RETURN_IF_ERROR(file.find("cublasLtMatmulDescSetAttribute", library.MatmulDescSetAttribute));
  ESPARSE_RETURN_IF_ERROR(file.find("cublasLtMatmulPreferenceCreate", library.MatmulPreferenceCreate));
  ESPARSE_RETURN_IF_ERROR(file.find("cublasLtMatmulPreferenceDestroy", library.MatmulPreferenceDestroy));
  ESPARSE_RETURN_IF_ERROR(file.find("cublasLtMatmulPreferenceSetAttribute", library.MatmulPreferenceSetAttribute));
  ESPARSE_RETURN_IF_ERROR(file.find("cublasLtMatrixLayoutCreate", library.MatrixLayoutCreate));
  ESPARSE_RETURN_IF_ERROR(file.find("cublasLtMatrixLayoutDestroy", library.MatrixLayoutDestroy));
  return library;
}

cudaDataType_t data_type(Element type) {
  return type == Element::f32 ? CUDA_R_32F : type == Element::f16 ? CUDA_R_16F : CUDA_R_16BF;
}
const char* type_name(Element type) { return type == Element::f32 ? "f32" : type == Element::f16 ? "f16" : "bf16"; }

// The largest power of two up to 256 that divides all three addresses: algorithms ask for some.
uint32_t alignment(const GemmArgs& args) {
  const auto bits = reinterpret_cast<uintptr_t>(args.x) | reinterpret_cast<uintptr_t>(args.w) |
                    reinterpret_cast<uintptr_t>(args.y) | 256;
  return static_cast<uint32_t>(bits & -bits);
}

// All that an algorithm depends on.
std::string product_name(const GemmArgs& args) {
  return fmt::format("{}x{}x{} {} {} strides {} {} {} align {}{}", args.tokens, args.in, args.out, type_name(args.type),
                     type_name(args.y_type), args.x_stride, args.w_stride, args.y_stride, alignment(args),
                     args.rounded_parts ? " rounded" : "");
}

bool worth_measuring(int64_t tokens) { return tokens <= 64 || tokens % 64 == 0; }

// y [tokens, out] in rows is, to a library that counts in columns, y^T = (w^T)^T x^T.
struct Product {
  cublasLtMatmulDesc_t operation = nullptr;
  cublasLtMatrixLayout_t w = nullptr, x = nullptr, y = nullptr;
  cublasLtMatmulAlgo_t algorithm{};
  bool measured = false;
};

class CublasLt {
 public:
  static Result<std::unique_ptr<CublasLt>> open(const LibraryHost& host);
  CublasLt(const CublasLt&) = delete;
  CublasLt& operator=(const CublasLt&) = delete;
  ~CublasLt();

  Status multiply(const GemmArgs& args, const GemmSearch& search, Stream stream);
  std::string version() const {
    return fmt::format("cuBLASLt {}.{}.{}", version_ / 10000, version_ / 100 % 100, version_ % 100);
  }
  std::vector<Status> take_warnings() { return plans_ ? plans_->take_warnings() : std::vector<Status>(); }

 private:
  explicit CublasLt(const LibraryHost& host) : host_(host) {}
  Status check(cublasStatus_t code, const char* call, const GemmArgs& args) const {
    if (code == CUBLAS_STATUS_SUCCESS) return {};
    return internal_error("{}: {} [{}]: {}; --device cpu does without it", version(), call, product_name(args),
                          library_.GetStatusString(code));
  }
  Status describe(const GemmArgs& args, Product& product) const;
  void forget(const Product& product) const;
  Result<std::vector<cublasLtMatmulAlgo_t>> proposals(const GemmArgs& args, const Product& product, int count) const;
  Status choose(const GemmArgs& args, const GemmSearch& search, Stream stream, const std::string& name,
                Product& product);
  Result<cublasLtMatmulAlgo_t> measure(const GemmArgs& args, Stream stream, const Product& product,
                                       std::span<const cublasLtMatmulAlgo_t> candidates, double& seconds) const;
  cublasStatus_t run(const GemmArgs& args, const Product& product, const cublasLtMatmulAlgo_t& algorithm, void* y,
                     bool add, Stream stream) const;
  LibraryPlans& plans(const GemmSearch& search);
  bool recall(const LibraryPlan& plan, Product& product) const;

  const LibraryHost& host_;
  Library library_{};
  cublasLtHandle_t handle_ = nullptr;
  std::byte* workspace_ = nullptr;
  size_t version_ = 0;
  DeviceInfo device_;
  std::filesystem::path plans_file_;
  std::optional<LibraryPlans> plans_;
  std::unordered_map<std::string, Product> products_;
};

Result<std::unique_ptr<CublasLt>> CublasLt::open(const LibraryHost& host) {
  std::unique_ptr<CublasLt> opened(new CublasLt(host));
  ESPARSE_ASSIGN_OR_RETURN(opened->library_, open_library());
  opened->version_ = opened->library_.GetVersion();
  ESPARSE_ASSIGN_OR_RETURN(opened->device_, host.current_device());
  if (const cublasStatus_t code = opened->library_.Create(&opened->handle_); code != CUBLAS_STATUS_SUCCESS)
    return internal_error("{}: cublasLtCreate: {}", opened->version(), opened->library_.GetStatusString(code));
  ESPARSE_ASSIGN_OR_RETURN(opened->workspace_, host.runtime->allocate(kWorkspaceBytes));
  return opened;
}

CublasLt::~CublasLt() {
  for (auto& [name, product] : products_) forget(product);
  if (workspace_ != nullptr) host_.runtime->release(workspace_);
  if (handle_ != nullptr) library_.Destroy(handle_);
}

void CublasLt::forget(const Product& product) const {
  for (const cublasLtMatrixLayout_t layout : {product.w, product.x, product.y})
    if (layout != nullptr) library_.MatrixLayoutDestroy(layout);
  if (product.operation != nullptr) library_.MatmulDescDestroy(product.operation);
}

Status CublasLt::describe(const GemmArgs& args, Product& product) const {
  const auto rows = [](int64_t count) { return static_cast<uint64_t>(count); };
  const cublasOperation_t transpose = CUBLAS_OP_T;
  const cudaDataType_t type = data_type(args.type), y_type = data_type(args.y_type);
  ESPARSE_RETURN_IF_ERROR(check(library_.MatmulDescCreate(&product.operation, CUBLAS_COMPUTE_32F, CUDA_R_32F),
                                "cublasLtMatmulDescCreate", args));
  ESPARSE_RETURN_IF_ERROR(check(
      library_.MatmulDescSetAttribute(product.operation, CUBLASLT_MATMUL_DESC_TRANSA, &transpose, sizeof(transpose)),
      "cublasLtMatmulDescSetAttribute", args));
  ESPARSE_RETURN_IF_ERROR(
      check(library_.MatrixLayoutCreate(&product.w, type, rows(args.in), rows(args.out), args.w_stride),
            "cublasLtMatrixLayoutCreate", args));
  ESPARSE_RETURN_IF_ERROR(
      check(library_.MatrixLayoutCreate(&product.x, type, rows(args.in), rows(args.tokens), args.x_stride),
            "cublasLtMatrixLayoutCreate", args));
  return check(library_.MatrixLayoutCreate(&product.y, y_type, rows(args.out), rows(args.tokens), args.y_stride),
               "cublasLtMatrixLayoutCreate", args);
}

Result<std::vector<cublasLtMatmulAlgo_t>> CublasLt::proposals(const GemmArgs& args, const Product& product,
                                                              int count) const {
  cublasLtMatmulPreference_t made = nullptr;
  ESPARSE_RETURN_IF_ERROR(check(library_.MatmulPreferenceCreate(&made), "cublasLtMatmulPreferenceCreate", args));
  const std::unique_ptr<cublasLtMatmulPreferenceOpaque_t, decltype(library_.MatmulPreferenceDestroy)> preference(
      made, library_.MatmulPreferenceDestroy);
  const uint64_t workspace = kWorkspaceBytes;
  const uint32_t aligned = alignment(args);
  uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_MASK;
  if (!args.rounded_parts)
    reductions = args.y_type == Element::f32
                     ? CUBLASLT_REDUCTION_SCHEME_INPLACE | CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE
                     : CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
  const auto set = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
    return check(library_.MatmulPreferenceSetAttribute(preference.get(), attribute, &value, sizeof(value)),
                 "cublasLtMatmulPreferenceSetAttribute", args);
  };
  ESPARSE_RETURN_IF_ERROR(set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace));
  ESPARSE_RETURN_IF_ERROR(set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, reductions));
  for (const auto attribute : {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
                               CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
    ESPARSE_RETURN_IF_ERROR(set(attribute, aligned));
  std::vector<cublasLtMatmulHeuristicResult_t> results(static_cast<size_t>(count));
  int found = 0;
  ESPARSE_RETURN_IF_ERROR(
      check(library_.MatmulAlgoGetHeuristic(handle_, product.operation, product.w, product.x, product.y, product.y,
                                            preference.get(), count, results.data(), &found),
            "cublasLtMatmulAlgoGetHeuristic", args));
  std::vector<cublasLtMatmulAlgo_t> algorithms;
  for (int i = 0; i < found; ++i)
    if (results[i].state == CUBLAS_STATUS_SUCCESS) algorithms.push_back(results[i].algo);
  if (algorithms.empty())
    return internal_error("{}: no algorithm for [{}]; --device cpu does without it", version(), product_name(args));
  return algorithms;
}

cublasStatus_t CublasLt::run(const GemmArgs& args, const Product& product, const cublasLtMatmulAlgo_t& algorithm,
                             void* y, bool add, Stream stream) const {
  const float one = 1, beta = add ? 1 : 0;
  return library_.Matmul(handle_, product.operation, &one, args.w, product.w, args.x, product.x, &beta, y, product.y, y,
                         product.y, &algorithm, workspace_, kWorkspaceBytes, static_cast<cudaStream_t>(stream));
}

// The result goes to memory of its own: y is left alone.
Result<cublasLtMatmulAlgo_t> CublasLt::measure(const GemmArgs& args, Stream stream, const Product& product,
                                               std::span<const cublasLtMatmulAlgo_t> candidates,
                                               double& seconds) const {
  const int64_t bytes = args.tokens * args.y_stride * element_bytes(args.y_type);
  const Runtime& runtime = *host_.runtime;
  ESPARSE_ASSIGN_OR_RETURN(std::byte* const memory, runtime.allocate(bytes));
  const auto release = [&runtime](std::byte* m) { runtime.release(m); };
  const std::unique_ptr<std::byte, decltype(release)> y(memory, release);
  std::vector<std::function<Status()>> runs;
  for (const cublasLtMatmulAlgo_t& candidate : candidates)
    runs.push_back([&args, &product, &candidate, &y, stream, this] {
      return check(run(args, product, candidate, y.get(), false, stream), "cublasLtMatmul", args);
    });
  const int64_t flush = std::max(kFlushBytes, 2 * device_.l2_bytes);
  ESPARSE_ASSIGN_OR_RETURN(const std::vector<double> times, time_cold(runtime, stream, flush, runs, kRounds));
  const auto best = std::min_element(times.begin(), times.end());
  seconds = *best;
  return candidates[static_cast<size_t>(best - times.begin())];
}

LibraryPlans& CublasLt::plans(const GemmSearch& search) {
  if (!plans_ || plans_file_ != search.file) {
    plans_file_ = search.file;
    plans_.emplace(search.file,
                   LibraryPlanKey{device_.name, device_.driver_version, "cuBLASLt", static_cast<int64_t>(version_)});
  }
  return *plans_;
}

// Whether the library takes what was kept.
bool CublasLt::recall(const LibraryPlan& plan, Product& product) const {
  if (plan.algorithm.size() != sizeof(product.algorithm)) return false;
  std::memcpy(&product.algorithm, plan.algorithm.data(), sizeof(product.algorithm));
  cublasLtMatmulHeuristicResult_t result{};
  product.measured = library_.MatmulAlgoCheck(handle_, product.operation, product.w, product.x, product.y, product.y,
                                              &product.algorithm, &result) == CUBLAS_STATUS_SUCCESS &&
                     result.workspaceSize <= kWorkspaceBytes;
  return product.measured;
}

// Where measuring is impossible (in a capture, or with no memory for it) the first proposal is taken for now.
Status CublasLt::choose(const GemmArgs& args, const GemmSearch& search, Stream stream, const std::string& name,
                        Product& product) {
  const bool wanted = search.measure && worth_measuring(args.tokens);
  if (wanted) {
    const LibraryPlan* plan = plans(search).find(name);
    if (plan != nullptr && recall(*plan, product)) return {};
  }
  ESPARSE_ASSIGN_OR_RETURN(const std::vector<cublasLtMatmulAlgo_t> candidates,
                           proposals(args, product, wanted ? kProposals : 1));
  product.algorithm = candidates.front();
  if (!wanted || host_.is_capturing(stream)) return {};
  double seconds = 0;
  const auto best = measure(args, stream, product, candidates, seconds);
  if (!best.ok() || seconds > 1e6) return best.status().kind() == StatusKind::out_of_memory ? Status() : best.status();
  product.algorithm = *best, product.measured = true;
  const auto* bytes = reinterpret_cast<const uint8_t*>(&product.algorithm);
  plans(search).add(name, {{bytes, bytes + sizeof(product.algorithm)}, kWorkspaceBytes, seconds});
  return {};
}

Status CublasLt::multiply(const GemmArgs& args, const GemmSearch& search, Stream stream) {
  if (args.tokens == 0 || args.out == 0) return {};
  const std::string name = product_name(args);
  const bool measured = search.measure && worth_measuring(args.tokens);
  const auto [place, is_new] = products_.try_emplace(name + (measured ? " measured" : ""));
  Product& product = place->second;
  if (is_new) {
    Status made = describe(args, product);
    if (made.ok()) made = choose(args, search, stream, name, product);
    if (!made.ok()) {
      forget(product);
      products_.erase(place);
      return made;
    }
  }
  cublasStatus_t code = run(args, product, product.algorithm, args.y, args.add, stream);
  if (code != CUBLAS_STATUS_SUCCESS && product.measured) {  // a file from elsewhere, or damaged where nothing shows it
    ESPARSE_ASSIGN_OR_RETURN(const auto candidates, proposals(args, product, 1));
    product.algorithm = candidates.front(), product.measured = false;
    code = run(args, product, product.algorithm, args.y, args.add, stream);
  }
  return check(code, "cublasLtMatmul", args);
}

class CublasLtGemm final : public GemmLibrary {
 public:
  explicit CublasLtGemm(LibraryHost host) : library_(std::move(host)) {}
  Status gemm(const GemmArgs& args, Stream stream) const override {
    if (args.y_type != args.type && args.y_type != Element::f32)
      return internal_error("gemm: y is neither f32 nor of the type of x");
    return library_.run(
        [&](CublasLt& library, const GemmSearch& search) { return library.multiply(args, search, stream); });
  }
  void set_search(const GemmSearch& search) const override { library_.set_search(search); }
  Result<std::string> version() const override {
    return library_.run([](CublasLt& library, const GemmSearch&) { return Result<std::string>(library.version()); });
  }
  std::vector<Status> take_warnings() const override { return library_.take_warnings(); }

 private:
  LazyLibrary<CublasLt> library_;
};

}  // namespace

std::unique_ptr<GemmLibrary> make_cublaslt_gemm(LibraryHost host) {
  return std::make_unique<CublasLtGemm>(std::move(host));
}

// Until the program ends: the driver may be gone before the destructors of statics run.
const GemmLibrary& cublaslt_gemm() {
  static const GemmLibrary* library = make_cublaslt_gemm(cuda_library_host()).release();
  return *library;
}

}  // namespace esparse::cuda
