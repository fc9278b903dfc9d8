// A block of a kernel on a CPU: its threads are fibers of one operating-system thread, switched only where CUDA threads
// meet (barriers, warp instructions), so a run is deterministic, and running the fibers in the opposite order must not
// change a bit: that finds missing barriers. Shared memory starts as NaN and ends in a guard. Asynchronous copies happen as late as
// they may, which finds missing waits; or (Eager) at once, the first threads running ahead of the others as far as they
// can, which finds places overwritten too early. Warp instructions check that all lanes execute the same one, addresses that they are aligned.
// What it cannot see: the hardware's own rounding in tensor cores, memory order within a warp, speed.
#pragma once
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <ucontext.h>
#include <unordered_map>
#include <vector>

namespace emulate {

// Twin of Emulator.Launch in tests/FaceSearch.Tests/Kernels/Emulator.cs.
struct Launch { int GridX, GridY, GridZ, Threads, SharedBytes, Backwards, Eager; };

struct Copy { void* to; const void* from; int bytes; };

// Where `count` threads wait for each other; the last to come acts for all.
struct Meeting { int arrived = 0; unsigned turn = 0; const char* what = nullptr; void* brought[1024]; };

// Where one waits for bytes to arrive (mbarrier): phases end when all have announced their bytes and these are there.
struct Arrivals {
    int count, pending = count;
    unsigned phase = 0;
    i64 expected = 0, brought = 0;
    std::vector<std::function<void()>> copies;

    Arrivals(int count = 0) : count(count) {}
    void expect(int bytes) { pending--, expected += bytes; }
    void add(int bytes, std::function<void()> copy) { brought += bytes, copies.push_back(std::move(copy)); }
    // Whether the phase of that parity is over; the first to ask after all is announced makes the copies happen.
    bool passed(int parity)
    {
        if ((int)(phase & 1) != parity) return true;
        if (pending > 0 || expected != brought) return false;
        for (auto& copy : copies) copy();
        *this = [&] { Arrivals next(count); next.phase = phase + 1; return next; }();
        return true;
    }
};

// Where a fiber, or what runs them all, goes on.
struct Place {
    ucontext_t start;                        // not yet begun: a stack and a function
    jmp_buf point;                           // a context would be restored by a system call, a point is not
    bool begun = false;
};

struct Fiber {
    Place place;
    bool done;
    bool (*ready)(void*);                    // null: it may go on; else asked with `with`
    void* with;
    std::vector<std::vector<Copy>> copies;   // committed groups, oldest first, and the open one
    std::vector<unsigned> stored;            // 16-byte places of shared memory that only this thread sees to be published
};

struct Block {
    Launch launch;
    int x, y, z, thread, live;
    Fiber* fibers;                           // of the operating-system thread
    std::vector<Meeting> warps, warpgroups;
    std::unordered_map<const void*, Arrivals> arrivals;
    std::vector<bool> unpublished;           // the 16-byte places that some thread stored and did not publish
    Meeting all;
    char *base, *shared;                     // base is where shared addresses count from
    Place outside;
    std::string error;
    i64 conflicts = 0;                       // extra shared-memory cycles of load_matrices
};

extern thread_local Block* block;

[[noreturn]] void fail(const std::string& why);
void yield();                                // on to a fiber that is ready
void complete(std::vector<Copy>& group);
const char* run(const Launch& launch, int mostThreads, const std::function<void()>& kernel);

template <class F> void wait_until(F ready)
{
    if (ready()) return;
    Fiber& fiber = block->fibers[block->thread];
    fiber.with = &ready;
    fiber.ready = [](void* with) { return (*(F*)with)(); };
    yield();
    fiber.ready = nullptr;
}

template <class F> void meet(Meeting& meeting, int count, int place, const char* what, void* mine, F act)
{
    if (meeting.arrived > 0 && meeting.what != what) fail(std::string("threads meet in ") + meeting.what + " and " + what);
    meeting.what = what;
    meeting.brought[place] = mine;
    if (++meeting.arrived < count) {
        unsigned turn = meeting.turn;
        wait_until([&] { return meeting.turn != turn; });
        return;
    }
    act(meeting.brought);
    meeting.arrived = 0;
    meeting.turn++;
}

// All 32 lanes of this warp; act gets what each brought.
template <class F> void meet_warp(const char* what, void* mine, F act) { meet(block->warps[block->thread / 32], 32, block->thread % 32, what, mine, act); }

inline void check_aligned(const void* p, int bytes, const char* what)
{
    if ((u64)p % bytes != 0) fail(std::string(what) + ": address is not aligned");
}

// What a thread stores to shared memory by store16_shared, tensor cores and copied boxes see after it published its stores (a proxy fence).
inline void store(const void* to)
{
    u64 place = (u64)((const char*)to - block->base) / 16;
    if (block->unpublished[place]) return;
    block->unpublished[place] = true;
    block->fibers[block->thread].stored.push_back((unsigned)place);
}
inline void publish()
{
    auto& stored = block->fibers[block->thread].stored;
    for (auto place : stored) block->unpublished[place] = false;
    stored.clear();
}
inline void check_published(u64 at, const char* what)
{
    if (block->unpublished[at / 16]) fail(what);
}

// A range of shared memory must lie in the launch's.
inline void check_shared(const void* p, int bytes, const char* what)
{
    if ((const char*)p < block->shared || (const char*)p + bytes > block->shared + block->launch.SharedBytes) fail(std::string(what) + ": outside shared memory");
}
}
