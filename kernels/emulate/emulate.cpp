// The scheduler of the fibers (emulate.h).
typedef long long i64;
typedef unsigned long long u64;
#include "emulate.h"
#include <sys/mman.h>

namespace emulate {
thread_local Block* block;

// Stacks lie a few lines of the cache further apart than a power of two, lest their ends, where fibers live, fall into one set of it.
static constexpr int MostThreads = 1024, StackBytes = (256 << 10) + 33 * 64, GuardBytes = 256;
static constexpr unsigned char Guard = 0xA5;

// The fibers of an operating-system thread. Once begun they run the threads of one block after another, also of the next launch.
struct Fibers {
    std::vector<Fiber> all{MostThreads};
    char* stacks = (char*)mmap(nullptr, (i64)MostThreads * StackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ~Fibers() { munmap(stacks, (i64)MostThreads * StackBytes); }
};

[[noreturn]] static void go(Place& to)
{
    if (to.begun) _longjmp(to.point, 1);
    to.begun = true;
    setcontext(&to.start);
    abort();
}

static void change(Place& from, Place& to)
{
    from.begun = true;
    if (_setjmp(from.point) == 0) go(to);
}

[[noreturn]] void fail(const std::string& why)
{
    char at[100];
    snprintf(at, sizeof at, " (block %d, %d, %d, thread %d)", block->x, block->y, block->z, block->thread);
    block->error = why + at;
    go(block->outside);
}

void yield()
{
    Block& b = *block;
    int from = b.thread, count = b.launch.Threads, next;
    for (int i = 1;; i++) {
        if (i > count) fail(std::string("threads wait for ever") + (b.all.arrived > 0 ? ", some at a barrier" : ""));
        next = b.launch.Eager ? i - 1 : (from + (b.launch.Backwards ? count - i : i)) % count;
        Fiber& fiber = b.fibers[next];
        if (!fiber.done && (!fiber.ready || fiber.ready(fiber.with))) break;
    }
    if (next == from) return;
    b.thread = next;
    change(b.fibers[from].place, b.fibers[next].place);
}

void complete(std::vector<Copy>& group)
{
    for (auto& copy : group) {
        memcpy(copy.to, copy.from, copy.bytes);
        memset((char*)copy.to + copy.bytes, 0, 16 - copy.bytes);
    }
    group.clear();
}

static const std::function<void()>* body(const std::function<void()>* set = nullptr)
{
    thread_local const std::function<void()>* kernel;
    if (set) kernel = set;
    return kernel;
}

static void enter()
{
    for (;;) {
        (*body())();
        Block& b = *block;
        Fiber& fiber = b.fibers[b.thread];
        for (auto& group : fiber.copies)
            if (!group.empty()) fail("a thread ends with copies that nobody waited for");
        fiber.done = true;
        if (--b.live == 0) change(fiber.place, b.outside);
        else yield();
    }
}

static void begin(Place& place, char* stack)
{
    place.begun = false;
    getcontext(&place.start);
    place.start.uc_stack = {stack, 0, StackBytes};
    makecontext(&place.start, enter, 0);
}

static void run_block(Block& b)
{
    memset(b.shared, 0xFF, b.launch.SharedBytes);
    memset(b.shared + b.launch.SharedBytes, Guard, GuardBytes);
    b.live = b.launch.Threads;
    b.arrivals.clear();
    b.unpublished.assign((128 + b.launch.SharedBytes) / 16 + 1, false);
    for (int t = 0; t < b.launch.Threads; t++) {
        Fiber& fiber = b.fibers[t];
        fiber.done = false;
        fiber.ready = nullptr;
        fiber.copies.assign(1, {});
        fiber.stored.clear();
    }
    b.thread = b.launch.Backwards ? b.launch.Threads - 1 : 0;
    change(b.outside, b.fibers[b.thread].place);
    for (int i = 0; i < GuardBytes && b.error.empty(); i++)
        if ((unsigned char)b.shared[b.launch.SharedBytes + i] != Guard) b.error = "wrote past shared memory";
}

// Null, or what is wrong.
const char* run(const Launch& launch, int mostThreads, const std::function<void()>& kernel)
{
    thread_local std::string error;
    thread_local Fibers fibers;
    if (launch.Threads > mostThreads || launch.Threads % 32 != 0) return "threads must be a multiple of 32 within the launch bounds";
    Block b{};
    b.launch = launch;
    b.fibers = fibers.all.data();
    for (int t = 0; t < launch.Threads; t++)
        if (!b.fibers[t].place.begun) begin(b.fibers[t].place, fibers.stacks + (i64)t * StackBytes);
    b.warps.resize(launch.Threads / 32);
    b.warpgroups.resize((launch.Threads + 127) / 128);
    // What the launch gets lies no better than kernels may expect.
    b.base = (char*)aligned_alloc(1024, (128 + launch.SharedBytes + GuardBytes + 1023) / 1024 * 1024);
    b.shared = b.base + 128;
    block = &b;
    body(&kernel);
    i64 blocks = (i64)launch.GridX * launch.GridY * launch.GridZ;
    for (i64 i = 0; i < blocks && b.error.empty(); i++) {
        i64 n = launch.Backwards ? blocks - 1 - i : i;
        b.x = (int)(n % launch.GridX);
        b.y = (int)(n / launch.GridX % launch.GridY);
        b.z = (int)(n / launch.GridX / launch.GridY);
        run_block(b);
    }
    // After a failure they stand where it left them, for ever.
    if (!b.error.empty()) for (auto& fiber : fibers.all) fiber.place.begun = false;
    else if (b.conflicts > 0) b.error = std::to_string(b.conflicts) + " bank conflicts in load_matrices";
    free(b.base);
    block = nullptr;
    error = b.error;
    return error.empty() ? nullptr : error.c_str();
}
}
