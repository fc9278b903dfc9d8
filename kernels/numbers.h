// What changes from step to step (src/FaceSearch.Tensors/Devices/GpuNumbers.cs): in memory, not among a kernel's arguments, so that the
// launches of one step do for the next.
#pragma once
#include "cu.h"

struct Numbers {
    const float* At;

    DEVICE float rate() const { return At[0]; }
    DEVICE float m1() const { return At[3]; }
    DEVICE float m2() const { return At[4]; }
    DEVICE float m3() const { return At[5]; }
    DEVICE u64 step() const { return *(const u64*)(At + 6); }
    // Of each row that has a class, in the mean over a batch: behind its labels.
    DEVICE float share(int batch) const { return At[10 + batch]; }
};
