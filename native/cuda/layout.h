// Layouts changed on the device: windows cut out of maps, channels last where a library is faster so.
#pragma once
#include <cuda_bf16.h>

#include "operator.h"

namespace tracin::cuda {

// to[r] = the window of row r out of maps[images[r]] (images null: out of maps[r]), zero outside the map.
void cutWindows(const Device&, const float* maps, const int* images, float* to, const Window& window, int rows, int channels,
                const Extent& map);

// [rows, channels, positions] → [rows, positions, channels], and back
void channelsLast(const Device&, const float* from, float* to, int rows, int channels, int64_t positions);
void channelsLast(const Device&, const float* from, __nv_bfloat16* to, int rows, int channels, int64_t positions);
void channelsFirst(const Device&, const float* from, float* to, int rows, int channels, int64_t positions);
void channelsFirst(const Device&, const __nv_bfloat16* from, float* to, int rows, int channels, int64_t positions);

}  // namespace tracin::cuda
