#include "kernels/cuda/sparse_cusparselt.h"

#include <cusparseLt.h>

#include <cstring>
#include <map>
#include <optional>
#include <utility>

#include "kernels/cuda/lazy_library.h"
#include "kernels/cuda/library_plans.h"
#include "kernels/cuda/runtime_cuda.h"
#include "kernels/cuda/shared_library.h"

namespace esparse::cuda {
namespace {

constexpr uint32_t kAlignment = 16;  // bytes, of x, w and y

// The functions of the library, by its own names.
struct Library {
  decltype(&cusparseLtInit) Init;
  decltype(&cusparseLtGetVersion) GetVersion;
  decltype(&cusparseLtGetErrorString) GetErrorString;
  decltype(&cusparseLtDenseDescriptorInit) DenseDescriptorInit;
  decltype(&cusparseLtStructuredDescriptorInit) StructuredDescriptorInit;
  decltype(&cusparseLtMatmulDescriptorInit) MatmulDescriptorInit;
  decltype(&cusparseLtMatmulAlgSelectionInit) MatmulAlgSelectionInit;
  decltype(&cusparseLtMatmulAlgSetAttribute) MatmulAlgSetAttribute;
  decltype(&cusparseLtMatmulAlgGetAttribute) MatmulAlgGetAttribute;
  decltype(&cusparseLtMatmulGetWorkspace) MatmulGetWorkspace;
  decltype(&cusparseLtMatmulPlanInit) MatmulPlanInit;
  decltype(&cusparseLtMatmul) Matmul;
  decltype(&cusparseLtMatmulSearch) MatmulSearch;
  decltype(&cusparseLtSpMMAPruneCheck2) SpMMAPruneCheck2;
  decltype(&cusparseLtSpMMACompressedSize2) SpMMACompressedSize2;
  decltype(&cusparseLtSpMMACompress2) SpMMACompress2;
};

Result<Library> open_library() {
  ESPARSE_ASSIGN_OR_RETURN(const SharedLibrary file,
                           SharedLibrary::open({"cuSPARSELt",
                                                "libcusparseLt.so.0",
                                                "ESPARSE_CUSPARSELT",
                                                "nvidia-cusparselt-cu13",
                                                {"nvidia/cusparselt/lib", "nvidia/cu13/lib"}}));
  Library library{};
  ESPARSE_RETURN_IF_ERROR(file.find("cusparseLtInit", library.Init));
  ESPARSE_RETURN_IF_ERROR(file.find("cusparseLtGetVersion", library.GetVersion));
  ESPARSE_RETURN_IF_ERROR(file.find("cusparseLtGetErrorString", library.GetErrorString));
  ESPARSE_RETURN_IF_ERROR(file.find("cusparseLtDenseDescriptorInit", library.DenseDescriptorInit));
  ESPARSE_RETURN_IF_ERROR(file.find("cusparseLtStructuredDescriptorInit", library.StructuredDescriptorInit));
  ESPARSE_RETURN_IF_ERROR(file.find("cusparseLtMatmulDescriptorInit", library.MatmulDescriptorInit));
  ESPARSE_RETURN_IF_ERROR(file.find("cusparseLtMatmulAlgSelectionInit", library.MatmulAlgSelectionInit));
  ESPARSE_RETURN_IF_ERROR(file.find("cusparseLtMatmulAlgSetAttribute", library.MatmulAlgSetAttribute));
  ESPARSE_RETURN_IF_ERROR(file.find("cusparseLtMatmulAlgGetAttribute", library.MatmulAlgGetAttribute));
  ESPARSE_RETURN_IF_ERROR(file.find("cusparseLtMatmulGetWorkspace", library.MatmulGetWorkspace));
  ESPARSE_RETURN_IF_ERROR(file.find("cusparseLtMatmulPlanInit", library.MatmulPlanInit));
  ESPARSE_RETURN_IF_ERROR(file.find("cusparseLtMatmul", library.Matmul));
  ESPARSE_RETURN_IF_ERROR(file.find("cusparseLtMatmulSearch", library.MatmulSearch));
  ESPARSE_RETURN_IF_ERROR(file.find("cusparseLtSpMMAPruneCheck2", library.SpMMAPruneCheck2));
  ESPARSE_RETURN_IF_ERROR(file.find("cusparseLtSpMMACompressedSize2", library.SpMMACompressedSize2));
  ESPARSE_RETURN_IF_ERROR(file.find("cusparseLtSpMMACompress2", library.SpMMACompress2));
  return library;
}

cudaDataType data_type(Element type) { return type == Element::f16 ? CUDA_R_16F : CUDA_R_16BF; }

class Memory {
 public:
  explicit Memory(const Runtime& runtime) : runtime_(runtime) {}
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() {
    if (data_ != nullptr) runtime_.release(data_);
  }
  // To at least so many; what stood there is lost.
  Status grow(size_t bytes) {
    if (bytes <= bytes_) return {};
    if (data_ != nullptr) runtime_.release(std::exchange(data_, nullptr));
    bytes_ = 0;
    ESPARSE_ASSIGN_OR_RETURN(data_, runtime_.allocate(static_cast<int64_t>(bytes)));
    bytes_ = bytes;
    return {};
  }
  std::byte* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  const Runtime& runtime_;
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

struct Weight final : LibraryWeight {
  explicit Weight(const Runtime& runtime) : memory(runtime) {}
  int64_t bytes() const override { return static_cast<int64_t>(memory.bytes()); }

  int64_t out = 0, in = 0;
  Element type = Element::bf16;
  Memory memory;
};

// What a product of one shape needs, w [out, in] being the library's sparse A, x its B, transposed, and y, in columns,
// its C and D.
struct Plan {
  explicit Plan(const Runtime& runtime) : workspace(runtime) {}

  cusparseLtMatDescriptor_t w{}, x{}, y{};
  cusparseLtMatmulDescriptor_t operation{};
  cusparseLtMatmulAlgSelection_t selection{};
  cusparseLtMatmulPlan_t plan{};
  Memory workspace;
};

// What decides an algorithm, as plain numbers.
struct Choice {
  int32_t config = 0, split_k = 0, split_k_mode = 0, split_k_buffers = 0;
};
constexpr std::pair<cusparseLtMatmulAlgAttribute_t, int32_t Choice::*> kChoiceFields[] = {
    {CUSPARSELT_MATMUL_ALG_CONFIG_ID, &Choice::config},
    {CUSPARSELT_MATMUL_SPLIT_K, &Choice::split_k},
    {CUSPARSELT_MATMUL_SPLIT_K_MODE, &Choice::split_k_mode},
    {CUSPARSELT_MATMUL_SPLIT_K_BUFFERS, &Choice::split_k_buffers}};

class CusparseLt {
 public:
  static Result<std::unique_ptr<CusparseLt>> open(const LibraryHost& host);

  Result<std::unique_ptr<LibraryWeight>> compress(const void* w, int64_t out, int64_t in, Element type, Stream stream);
  Status multiply(const Weight& weight, const LibraryProduct& product, const GemmSearch& search, Stream stream);
  std::string version() const {
    return fmt::format("cuSPARSELt {}.{}.{}", version_ / 1000000, version_ % 1000000 / 100, version_ % 100);
  }
  std::vector<Status> take_warnings() { return plans_ ? plans_->take_warnings() : std::vector<Status>(); }

 private:
  explicit CusparseLt(const LibraryHost& host) : host_(host) {}
  Status check(cusparseStatus_t code, const char* call, std::string_view what) const {
    if (code == CUSPARSE_STATUS_SUCCESS) return {};
    return internal_error("{}: {} [{}]: {}", version(), call, what, library_.GetErrorString(code));
  }
  Status describe_weight(int64_t out, int64_t in, Element type, cusparseLtMatDescriptor_t& descriptor,
                         std::string_view what);
  Status make_plan(const Weight& weight, const LibraryProduct& product, const std::string& name, Plan& plan);
  Status choose(const Weight& weight, const LibraryProduct& product, const GemmSearch& search, Stream stream,
                const std::string& name, Plan& plan);
  bool recall(const std::string& name, Plan& plan);
  Result<Choice> search_fastest(const Weight& weight, const LibraryProduct& product, Stream stream,
                                const std::string& name, Plan& plan);
  Status finish(const std::string& name, Plan& plan);

  const LibraryHost& host_;
  Library library_{};
  cusparseLtHandle_t handle_{};
  int version_ = 0;
  DeviceInfo device_;
  std::filesystem::path plans_file_;
  std::optional<LibraryPlans> plans_;
  std::map<std::string, Plan> products_;
};

Result<std::unique_ptr<CusparseLt>> CusparseLt::open(const LibraryHost& host) {
  std::unique_ptr<CusparseLt> opened(new CusparseLt(host));
  ESPARSE_ASSIGN_OR_RETURN(opened->library_, open_library());
  ESPARSE_ASSIGN_OR_RETURN(opened->device_, host.current_device());
  ESPARSE_RETURN_IF_ERROR(
      opened->check(opened->library_.Init(&opened->handle_), "cusparseLtInit", opened->device_.name));
  ESPARSE_RETURN_IF_ERROR(opened->check(opened->library_.GetVersion(&opened->handle_, &opened->version_),
                                        "cusparseLtGetVersion", opened->device_.name));
  return opened;
}

Status CusparseLt::describe_weight(int64_t out, int64_t in, Element type, cusparseLtMatDescriptor_t& descriptor,
                                   std::string_view what) {
  return check(library_.StructuredDescriptorInit(&handle_, &descriptor, out, in, in, kAlignment, data_type(type),
                                                 CUSPARSE_ORDER_ROW, CUSPARSELT_SPARSITY_50_PERCENT),
               "cusparseLtStructuredDescriptorInit", what);
}

Result<std::unique_ptr<LibraryWeight>> CusparseLt::compress(const void* w, int64_t out, int64_t in, Element type,
                                                            Stream stream) {
  const std::string what = fmt::format("{} x {}", out, in);
  const auto cuda_stream = static_cast<cudaStream_t>(stream);
  cusparseLtMatDescriptor_t descriptor{};
  ESPARSE_RETURN_IF_ERROR(describe_weight(out, in, type, descriptor, what));
  Memory invalid(*host_.runtime), scratch(*host_.runtime);
  ESPARSE_RETURN_IF_ERROR(invalid.grow(sizeof(int)));
  ESPARSE_RETURN_IF_ERROR(check(library_.SpMMAPruneCheck2(&handle_, &descriptor, 1, CUSPARSE_OPERATION_NON_TRANSPOSE, w,
                                                          reinterpret_cast<int*>(invalid.data()), cuda_stream),
                                "cusparseLtSpMMAPruneCheck2", what));
  int is_invalid = 0;
  ESPARSE_RETURN_IF_ERROR(
      host_.runtime->copy_to_host(reinterpret_cast<std::byte*>(&is_invalid), invalid.data(), sizeof(int), stream));
  if (is_invalid != 0)
    return invalid_argument("{}: expected a 2:4 weight, got more values in a group [{}]", version(), what);
  size_t bytes = 0, scratch_bytes = 0;
  ESPARSE_RETURN_IF_ERROR(check(library_.SpMMACompressedSize2(&handle_, &descriptor, &bytes, &scratch_bytes),
                                "cusparseLtSpMMACompressedSize2", what));
  auto weight = std::make_unique<Weight>(*host_.runtime);
  weight->out = out, weight->in = in, weight->type = type;
  ESPARSE_RETURN_IF_ERROR(weight->memory.grow(bytes));
  ESPARSE_RETURN_IF_ERROR(scratch.grow(scratch_bytes));
  ESPARSE_RETURN_IF_ERROR(check(library_.SpMMACompress2(&handle_, &descriptor, 1, CUSPARSE_OPERATION_NON_TRANSPOSE, w,
                                                        weight->memory.data(), scratch.data(), cuda_stream),
                                "cusparseLtSpMMACompress2", what));
  ESPARSE_RETURN_IF_ERROR(host_.runtime->synchronize(stream));  // scratch goes
  return std::unique_ptr<LibraryWeight>(std::move(weight));
}

Status CusparseLt::make_plan(const Weight& weight, const LibraryProduct& product, const std::string& name, Plan& plan) {
  const cudaDataType type = data_type(weight.type);
  ESPARSE_RETURN_IF_ERROR(describe_weight(weight.out, weight.in, weight.type, plan.w, name));
  ESPARSE_RETURN_IF_ERROR(check(library_.DenseDescriptorInit(&handle_, &plan.x, product.tokens, weight.in,
                                                             product.x_stride, kAlignment, type, CUSPARSE_ORDER_ROW),
                                "cusparseLtDenseDescriptorInit", name));
  ESPARSE_RETURN_IF_ERROR(check(library_.DenseDescriptorInit(&handle_, &plan.y, weight.out, product.tokens,
                                                             product.y_stride, kAlignment, type, CUSPARSE_ORDER_COL),
                                "cusparseLtDenseDescriptorInit", name));
  ESPARSE_RETURN_IF_ERROR(
      check(library_.MatmulDescriptorInit(&handle_, &plan.operation, CUSPARSE_OPERATION_NON_TRANSPOSE,
                                          CUSPARSE_OPERATION_TRANSPOSE, &plan.w, &plan.x, &plan.y, &plan.y,
                                          CUSPARSE_COMPUTE_32F),
            "cusparseLtMatmulDescriptorInit", name));
  return check(
      library_.MatmulAlgSelectionInit(&handle_, &plan.selection, &plan.operation, CUSPARSELT_MATMUL_ALG_DEFAULT),
      "cusparseLtMatmulAlgSelectionInit", name);
}

Status CusparseLt::finish(const std::string& name, Plan& plan) {
  ESPARSE_RETURN_IF_ERROR(check(library_.MatmulPlanInit(&handle_, &plan.plan, &plan.operation, &plan.selection),
                                "cusparseLtMatmulPlanInit", name));
  size_t bytes = 0;
  ESPARSE_RETURN_IF_ERROR(
      check(library_.MatmulGetWorkspace(&handle_, &plan.plan, &bytes), "cusparseLtMatmulGetWorkspace", name));
  return plan.workspace.grow(bytes);
}

// Whether an algorithm that was kept has been set.
bool CusparseLt::recall(const std::string& name, Plan& plan) {
  const LibraryPlan* kept = plans_->find(name);
  Choice choice;
  if (kept == nullptr || kept->algorithm.size() != sizeof(choice)) return false;
  std::memcpy(&choice, kept->algorithm.data(), sizeof(choice));
  for (const auto& [attribute, field] : kChoiceFields)
    if (library_.MatmulAlgSetAttribute(&handle_, &plan.selection, attribute, &(choice.*field), sizeof(int32_t)) !=
        CUSPARSE_STATUS_SUCCESS)
      return false;
  return true;
}

// The library's own search, whose result goes to memory of its own: y is left alone. The choice it made stands in
// the plan and in the result.
Result<Choice> CusparseLt::search_fastest(const Weight& weight, const LibraryProduct& product, Stream stream,
                                          const std::string& name, Plan& plan) {
  Memory y(*host_.runtime);
  ESPARSE_RETURN_IF_ERROR(y.grow(static_cast<size_t>(product.tokens * product.y_stride * 2)));
  auto cuda_stream = static_cast<cudaStream_t>(stream);
  const float one = 1, zero = 0;
  ESPARSE_RETURN_IF_ERROR(
      check(library_.MatmulSearch(&handle_, &plan.plan, &one, weight.memory.data(), product.x, &zero, y.data(),
                                  y.data(), plan.workspace.data(), &cuda_stream, 1),
            "cusparseLtMatmulSearch", name));
  ESPARSE_RETURN_IF_ERROR(host_.runtime->synchronize(stream));
  Choice choice;
  for (const auto& [attribute, field] : kChoiceFields)
    ESPARSE_RETURN_IF_ERROR(
        check(library_.MatmulAlgGetAttribute(&handle_, &plan.selection, attribute, &(choice.*field), sizeof(int32_t)),
              "cusparseLtMatmulAlgGetAttribute", name));
  return choice;
}

Status CusparseLt::choose(const Weight& weight, const LibraryProduct& product, const GemmSearch& search, Stream stream,
                          const std::string& name, Plan& plan) {
  ESPARSE_RETURN_IF_ERROR(make_plan(weight, product, name, plan));
  if (!search.measure) return finish(name, plan);
  if (!plans_ || plans_file_ != search.file) {
    plans_file_ = search.file;
    plans_.emplace(search.file, LibraryPlanKey{device_.name, device_.driver_version, "cuSPARSELt", version_});
  }
  if (recall(name, plan) && finish(name, plan).ok()) return {};
  ESPARSE_RETURN_IF_ERROR(make_plan(weight, product, name, plan));
  ESPARSE_RETURN_IF_ERROR(finish(name, plan));
  if (host_.is_capturing(stream)) return {};
  ESPARSE_ASSIGN_OR_RETURN(const Choice choice, search_fastest(weight, product, stream, name, plan));
  const auto* bytes = reinterpret_cast<const uint8_t*>(&choice);
  size_t workspace = 0;
  ESPARSE_RETURN_IF_ERROR(
      check(library_.MatmulGetWorkspace(&handle_, &plan.plan, &workspace), "cusparseLtMatmulGetWorkspace", name));
  ESPARSE_RETURN_IF_ERROR(plan.workspace.grow(workspace));
  plans_->add(name, {{bytes, bytes + sizeof(choice)}, static_cast<int64_t>(workspace), 0});
  return {};
}

Status CusparseLt::multiply(const Weight& weight, const LibraryProduct& product, const GemmSearch& search,
                            Stream stream) {
  const std::string name =
      fmt::format("{}x{}x{} {} strides {} {}", product.tokens, weight.in, weight.out,
                  weight.type == Element::f16 ? "f16" : "bf16", product.x_stride, product.y_stride);
  const auto [place, is_new] = products_.try_emplace(name + (search.measure ? " measured" : ""), *host_.runtime);
  Plan& plan = place->second;
  if (is_new)
    if (Status made = choose(weight, product, search, stream, name, plan); !made.ok()) {
      products_.erase(place);
      return made;
    }
  const float one = 1, beta = product.add ? 1 : 0;
  auto cuda_stream = static_cast<cudaStream_t>(stream);
  return check(library_.Matmul(&handle_, &plan.plan, &one, weight.memory.data(), product.x, &beta, product.y, product.y,
                               plan.workspace.data(), &cuda_stream, 1),
               "cusparseLtMatmul", name);
}

class CusparseLtLibrary final : public SparseLibrary {
 public:
  explicit CusparseLtLibrary(LibraryHost host) : library_(std::move(host)) {}
  Result<std::string> version() const override {
    return library_.run([](CusparseLt& library, const GemmSearch&) { return Result<std::string>(library.version()); });
  }
  Result<std::unique_ptr<LibraryWeight>> compress(const void* w, int64_t out, int64_t in, Element type,
                                                  Stream stream) const override {
    ESPARSE_RETURN_IF_ERROR(check_library_weight(out, in, type));
    return library_.run(
        [&](CusparseLt& library, const GemmSearch&) { return library.compress(w, out, in, type, stream); });
  }
  Status multiply(const LibraryWeight& weight, const LibraryProduct& product, Stream stream) const override {
    ESPARSE_RETURN_IF_ERROR(check_library_product(product));
    return library_.run([&](CusparseLt& library, const GemmSearch& search) {
      return library.multiply(static_cast<const Weight&>(weight), product, search, stream);
    });
  }
  void set_search(const GemmSearch& search) const override { library_.set_search(search); }
  std::vector<Status> take_warnings() const override { return library_.take_warnings(); }

 private:
  LazyLibrary<CusparseLt> library_;
};

}  // namespace

std::unique_ptr<SparseLibrary> make_cusparselt(LibraryHost host) {
  return std::make_unique<CusparseLtLibrary>(std::move(host));
}

// Until the program ends: the driver may be gone before the destructors of statics run.
const SparseLibrary& cusparselt() {
  static const SparseLibrary* library = make_cusparselt(cuda_library_host()).release();
  return *library;
}

}  // namespace esparse::cuda
