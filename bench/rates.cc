// What the cuda engine's convolutions reach beside cuDNN by itself on the same layers, and what cuBLAS's products do: a JSON object a line.
// The layers are the 3 × 3 ones of a U-Net of width 32 on 240 × 240 maps, 32 rows; seconds are the best of three.
#include <bit>
#include <cstdio>
#include <random>

#include "../native/cuda/kernel_gradients.h"
#include "../native/cuda/timing.h"

using namespace tracin;
using namespace tracin::cuda;

namespace {

constexpr int kRows = 32;
constexpr int kLayers[][3] = {{32, 32, 240},  {64, 32, 240},  {32, 64, 120},  {64, 64, 120},  {128, 64, 120}, {64, 128, 60}, {128, 128, 60},
                              {256, 128, 60}, {128, 256, 30}, {256, 256, 30}, {512, 256, 30}, {256, 512, 15}, {512, 512, 15}};
constexpr int kProduct = 8192;
constexpr const char* kPasses[] = {"forward", "data", "weights"};

struct Named {
  const char* name;
  Precision precision;
};
constexpr Named kPrecisions[] = {{"f32", Precision::f32}, {"tf32", Precision::tf32}, {"bf16", Precision::bf16}};

template <class Run>
double seconds(const Device& device, Run run) {
  return milliseconds(device, 3, run) / 1e3;
}

// Numbers of [-1, 1) in float32 and, cut, in bfloat16.
struct Numbers {
  Buffer full, half;

  Numbers(const Device& device, int64_t count) : full(count * 4), half(count * 2) {
    std::mt19937 draw(1);
    std::vector<float> numbers(count);
    std::vector<uint16_t> cut(count);
    for (int64_t i = 0; i < count; ++i) {
      numbers[i] = float(draw() >> 8) / (1 << 23) - 1.f;
      cut[i] = static_cast<uint16_t>(std::bit_cast<uint32_t>(numbers[i]) >> 16);
    }
    device.upload(full.floats(), numbers.data(), full.bytes());
    device.upload(half.as<uint16_t>(), cut.data(), half.bytes());
    device.synchronize();
  }
  void* in(Precision p) const { return p == Precision::bf16 ? half.as<void>() : full.as<void>(); }
};

}  // namespace

int main() try {
  Device device(0);
  Convolutions convolutions(device);
  const Numbers x(device, int64_t(kRows) * 64 * 240 * 240), y(device, int64_t(kRows) * 64 * 240 * 240), kernel(device, 9 * 512 * 512);
  const Buffer gradients(int64_t(kRows) * 9 * 512 * 512 * int64_t(sizeof(float)));
  for (const auto& [in, out, size] : kLayers) {
    Correlation c{};
    c.rows = kRows, c.in = in, c.out = out, c.groups = 1, c.rank = 2;
    c.input = c.output = {1, size, size}, c.kernel = {1, 3, 3}, c.strides = c.dilations = {1, 1, 1}, c.before = {0, 1, 1};
    Window whole;
    whole.size = c.input;
    for (const auto& [name, precision] : kPrecisions)
      for (const Pass pass : {Pass::forward, Pass::data, Pass::weights}) {
        const double own = seconds(device, [&] {
          if (pass == Pass::weights)  // of each row; cuDNN's are of all rows together
            kernelGradients(device, device.pool, precision, c, {x.full.floats(), nullptr, &whole, c.input}, y.full.floats(),
                            gradients.floats());
          else
            convolutions.run(pass, precision, c, x.full.floats(), kernel.full.floats(), y.full.floats());
        });
        const double library = seconds(device, [&] {
          convolutions.library(pass, precision, c, x.in(precision), pass == Pass::weights ? gradients.as<void>() : kernel.in(precision),
                               y.in(precision));
        });
        std::printf("{\"pass\":\"%s\",\"precision\":\"%s\",\"in\":%d,\"out\":%d,\"size\":%d,\"operations\":%.6g,\"seconds\":%.4g,",
                    kPasses[int(pass)], name, in, out, size, 2. * 9 * in * out * size * size * kRows, own);
        std::printf("\"cudnnSeconds\":%.4g}\n", library);
      }
  }
  const float one = 1.f, zero = 0.f;
  for (const auto& [name, precision] : kPrecisions) {
    const cudaDataType_t type = precision == Precision::bf16 ? CUDA_R_16BF : CUDA_R_32F;
    const auto compute = precision == Precision::tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    const double taken = seconds(device, [&] {
      check(cublasGemmEx(device.blas, CUBLAS_OP_T, CUBLAS_OP_N, kProduct, kProduct, kProduct, &one, x.full.floats(), type, kProduct,
                         y.full.floats(), type, kProduct, &zero, gradients.floats(), CUDA_R_32F, kProduct, compute, CUBLAS_GEMM_DEFAULT),
            "product");
    });
    std::printf("{\"pass\":\"product\",\"precision\":\"%s\",\"size\":%d,\"operations\":%.6g,\"seconds\":%.4g}\n", name, kProduct,
                2. * kProduct * kProduct * kProduct, taken);
  }
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
