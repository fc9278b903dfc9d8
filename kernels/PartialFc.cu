// Partial FC (An et al. 2021): which classes take part in a step. Those of the batch always do; the others are the first of a
// pseudo-random order of all classes, so that exactly Total are drawn, each at most once, without a sort or a pass over all
// classes: the order is a permutation that can be asked for one place at a time (six Feistel rounds over the next power of four,
// walked on until it falls on a class), a pure function of (Seed, step). src/FaceSearch.Tensors/Ops/PartialFc.cs has the same, Noise.cs its hash.
//
// Drawn [Total]: first the batch's classes in the order of their first rows, then the others in the order of the permutation.
// LocalLabels [Batch]: each row's place in Drawn, −1 without a class or with one outside [First, First + Classes) (another GPU's).
// pack_rows (MarginSoftmax.Rows.cu) gathers the drawn centres, margin_centres moves them where they are: an index is all it takes.
// In turn: partial_positives (one block), partial_count, partial_write; Marks must be zero before. Limits: starting three
// kernels; some hundred integer operations a class drawn; the first block compares all pairs of rows.
#include "numbers.h"

struct PartialFcArguments {
    const int* Labels;   // [Batch]
    int* Drawn;          // [Total] classes from 0
    int* LocalLabels;    // [Batch]
    int* Slots;          // [Batch] scratch
    uint* Marks;         // [⌈Classes/32⌉] zeros: a bit for each class of the batch
    int* Counts;         // [1 + ⌈Total/256⌉]: classes of the batch, then others among each 256 places of the permutation
    Numbers Numbers_;    // its step is the draw's
    u64 Seed;
    i64 First;
    int Batch, Classes, Total;   // Total at least the smaller of Batch and Classes
};

constexpr int PositiveThreads = 1024, DrawThreads = 256, Rounds = 6;
constexpr u64 Golden = 0x9E3779B97F4A7C15;

DEVICE u64 mix(u64 x)
{
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
    return x ^ (x >> 31);
}

// Noise.Bits
DEVICE u64 bits(u64 seed, u64 stream, u64 index) { return mix(mix(mix(seed + Golden) ^ (stream * 0xD1342543DE82EF95 + Golden)) + index * Golden); }

// Place n of the permutation of the classes.
DEVICE int permuted(int n, const PartialFcArguments& args)
{
    int half = 1;
    while ((1LL << 2 * half) < args.Classes) half++;
    u64 mask = (1ull << half) - 1, x = n;
    do {
        u64 left = x >> half, right = x & mask;
        for (int r = 0; r < Rounds; r++) {
            u64 next = left ^ (bits(args.Seed, args.Numbers_.step() * Rounds + r, right) & mask);
            left = right;
            right = next;
        }
        x = left << half | right;
    } while (x >= (u64)args.Classes);
    return (int)x;
}

// The sum of the values of this thread and those before it; all threads of the block.
template <int threads> DEVICE int running_sum(int value)
{
    auto sums = (int*)shared_memory();
    int t = thread_index();
    barrier();
    sums[t] = value;
    for (int apart = 1; apart < threads; apart *= 2) {
        barrier();
        int before = t >= apart ? sums[t - apart] : 0;
        barrier();
        sums[t] += before;
    }
    return sums[t];
}

// The first row of the batch with b's class; −1 if that is none of ours.
DEVICE int first_row(int b, const PartialFcArguments& args)
{
    int label = args.Labels[b];
    if (label < 0 || label < args.First || label >= args.First + args.Classes) return -1;
    int first = 0;
    while (args.Labels[first] != label) first++;
    return first;
}

KERNEL(partial_positives, PositiveThreads, PartialFcArguments)
{
    int each = (args.Batch + PositiveThreads - 1) / PositiveThreads, begin = least(thread_index() * each, args.Batch), end = least(begin + each, args.Batch), own = 0;
    for (int b = begin; b < end; b++) {
        args.LocalLabels[b] = first_row(b, args);
        own += args.LocalLabels[b] == b;
    }
    int sum = running_sum<PositiveThreads>(own), slot = sum - own;
    if (thread_index() == PositiveThreads - 1) args.Counts[0] = sum;
    for (int b = begin; b < end; b++) {
        if (args.LocalLabels[b] != b) continue;
        int c = (int)(args.Labels[b] - args.First);
        args.Slots[b] = slot;
        args.Drawn[slot++] = c;
        atomic_or(args.Marks + c / 32, 1u << c % 32);
    }
    barrier();
    for (int b = begin; b < end; b++)
        if (args.LocalLabels[b] >= 0) args.LocalLabels[b] = args.Slots[args.LocalLabels[b]];
}

// This thread's place of the permutation; −1 if there is none or its class is the batch's.
DEVICE int other(const PartialFcArguments& args)
{
    int n = block_x() * DrawThreads + thread_index();
    if (n >= args.Total) return -1;
    int c = permuted(n, args);
    return args.Marks[c / 32] >> c % 32 & 1 ? -1 : c;
}

KERNEL(partial_count, DrawThreads, PartialFcArguments)
{
    int sum = running_sum<DrawThreads>(other(args) >= 0);
    if (thread_index() == DrawThreads - 1) args.Counts[1 + block_x()] = sum;
}

KERNEL(partial_write, DrawThreads, PartialFcArguments)
{
    int c = other(args), own = 0;
    // What the batch and the blocks before this one drew.
    for (int i = thread_index(); i <= block_x(); i += DrawThreads) own += args.Counts[i];
    running_sum<DrawThreads>(own);
    barrier();
    int before = ((int*)shared_memory())[DrawThreads - 1], slot = before + running_sum<DrawThreads>(c >= 0) - 1;
    if (c >= 0 && slot < args.Total) args.Drawn[slot] = c;
}
