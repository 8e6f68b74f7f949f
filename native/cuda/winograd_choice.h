// Tiles of 2 or of 4 numbers for Winograd's transforms: whichever took less time.
#pragma once
#include <cstdint>
#include <functional>

#include "device.h"

namespace tracin::cuda::winograd {

enum class Work { convolution, gradient };

// Of so many channels, and of blocks of tiles of 4, about. `time` is asked once in a process for each kind of work and of device:
// measured again, the other might win, and programs of one process would no longer give the same bits.
int chosenTile(const Device&, Work, int in, int out, int64_t blocks, const std::function<double(int tile)>& time);

}  // namespace tracin::cuda::winograd
