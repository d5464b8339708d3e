// A CUDA device that does nothing, so that autograd of a CPU build of torch accepts fake CUDA tensors.
//
// Fake tensors compute shapes alone, but autograd asks the device of a gradient for its current stream, and a CPU
// build has nobody to answer. This answers: one device, one default stream, no work. It is built as a shared library
// against torch's own headers and loaded before torch is imported (see `load.py`).

#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

namespace fake_cuda {

constexpr c10::DeviceType kCUDA = c10::DeviceType::CUDA;

struct Guard final : public c10::impl::NoOpDeviceGuardImpl<kCUDA> {
  c10::Device getDevice() const override { return c10::Device(kCUDA, 0); }
  c10::Stream getStream(c10::Device) const noexcept override {
    return c10::Stream(c10::Stream::DEFAULT, c10::Device(kCUDA, 0));
  }
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
};

struct Hooks final : public at::CUDAHooksInterface {
  explicit Hooks(at::CUDAHooksArgs) {}
  bool hasCUDA() const override { return true; }
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex deviceCount() const override { return 1; }
  c10::DeviceIndex getCurrentDevice() const override { return 0; }
};

}  // namespace fake_cuda

namespace c10::impl {
using fake_cuda::Guard;
C10_REGISTER_GUARD_IMPL(CUDA, Guard)
}  // namespace c10::impl

namespace at {
using CUDAHooks = fake_cuda::Hooks;
REGISTER_CUDA_HOOKS(CUDAHooks)
}  // namespace at
