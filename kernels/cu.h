// What the kernels know of the machine, in one page: where a thread is, barriers, asynchronous copies, tensor-core
// products, shuffles, fast exponentials, bf16. Three compilers read it: clang (no CUDA toolkit needed: no header of NVIDIA
// is included), nvcc, and a plain C++ compiler, for which emulate/device.h says the same in C++ so that kernels run on a CPU.
//
// A kernel is written KERNEL(name, threads of a block, argument struct) { body }; the argument struct is plain data, each
// with one C# twin in src/FaceSearch.Tensors/Devices/CudaKernels.*.cs. Shared memory is dynamic, its size the launch's.
#pragma once

typedef unsigned int uint;
typedef unsigned short bf16;
typedef long long i64;
typedef unsigned long long u64;

struct alignas(8) Pair { float X, Y; };

#ifdef EMULATE
#include "emulate/device.h"
#else

#if defined(__clang__)
#define __global__ __attribute__((global))
#define __device__ __attribute__((device))
#define __shared__ __attribute__((shared))
#define __launch_bounds__(...) __attribute__((launch_bounds(__VA_ARGS__)))
#define SPECIAL(name, register) __nvvm_read_ptx_sreg_##register()
#else
#define SPECIAL(name, register) name
#endif
#define DEVICE __device__ inline __attribute__((always_inline))
#define UNROLL _Pragma("unroll")
#define ROLLED _Pragma("unroll 1")
// A source whose blocks are to share an SM says how many before it includes this: the compiler keeps to as many registers.
#ifdef LEAST_BLOCKS
#define BOUNDS(threads) __launch_bounds__(threads, LEAST_BLOCKS)
#else
#define BOUNDS(threads) __launch_bounds__(threads)
#endif
#define KERNEL(name, threads, Arguments) extern "C" __global__ void BOUNDS(threads) name(const Arguments args)

extern __shared__ __attribute__((aligned(128))) char dynamic_shared[];

DEVICE int thread_index() { return SPECIAL(threadIdx.x, tid_x); }
DEVICE int block_x() { return SPECIAL(blockIdx.x, ctaid_x); }
DEVICE int block_y() { return SPECIAL(blockIdx.y, ctaid_y); }
DEVICE int block_z() { return SPECIAL(blockIdx.z, ctaid_z); }
DEVICE char* shared_memory() { return dynamic_shared; }
DEVICE void barrier() { __syncthreads(); }
DEVICE uint shared_address(const void* p)
{
#if defined(__clang__)
    return (uint)(u64)(__attribute__((address_space(3))) const void*)p;
#else
    return (uint)__cvta_generic_to_shared(p);
#endif
}

// Sixteen bytes from global to shared memory, zeros after the first `bytes`; complete after a commit and a wait, then visible to the block after a barrier.
DEVICE void copy_async(void* to, const void* from, int bytes)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(bytes) : "memory");
}
DEVICE void copy_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits until at most `pending` groups of this thread are under way.
template <int pending> DEVICE void copy_wait() { asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory"); }

DEVICE void load16(uint (&to)[4], const void* from)
{
    asm volatile("ld.global.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "l"(from) : "memory");
}
DEVICE void store16(void* to, const uint (&from)[4])
{
    asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(to), "r"(from[0]), "r"(from[1]), "r"(from[2]), "r"(from[3]) : "memory");
}
DEVICE void store16_shared(void* to, const uint (&from)[4])
{
    asm volatile("st.shared.v4.u32 [%0], {%1, %2, %3, %4};" ::"r"(shared_address(to)), "r"(from[0]), "r"(from[1]), "r"(from[2]), "r"(from[3]) : "memory");
}

DEVICE void load16_shared(uint (&to)[4], const void* from)
{
    asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "r"(shared_address(from)) : "memory");
}

// Four 8×8 matrices of 16-bit elements. Lane l gives the address of row l%8 of matrix l/8, and gets of each matrix the
// elements (l/4, l%4·2) and (l/4, l%4·2 + 1); transposed: (l%4·2, l/4) and (l%4·2 + 1, l/4).
DEVICE void load_matrices(uint (&to)[4], const void* row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];" : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "r"(shared_address(row)) : "memory");
}
DEVICE void load_matrices_transposed(uint (&to)[4], const void* row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];" : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "r"(shared_address(row)) : "memory");
}

// c[i][j] += a[i]·b[j]: products of 16×16 by 16×8 fragments, fp32 sums. With g = lane/4, t = lane%4 a lane holds
// a: rows g, g+8 (registers 0, 1 and 2, 3) × depth 2t, 2t+1 (registers 0, 1), 2t+8, 2t+9 (2, 3); b: the same depths of
// column g; c: columns 2t, 2t+1 of row g (0, 1) and row g+8 (2, 3).
template <int rows, int columns> DEVICE void multiply_add(float (&c)[rows][columns][4], const uint (&a)[rows][4], const uint (&b)[columns][2])
{
    UNROLL
    for (int i = 0; i < rows; i++)
        UNROLL
        for (int j = 0; j < columns; j++)
            asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                         : "+f"(c[i][j][0]), "+f"(c[i][j][1]), "+f"(c[i][j][2]), "+f"(c[i][j][3])
                         : "r"(a[i][0]), "r"(a[i][1]), "r"(a[i][2]), "r"(a[i][3]), "r"(b[j][0]), "r"(b[j][1]));
}

DEVICE float shuffle_xor(float value, int mask)
{
    float other;
    asm volatile("shfl.sync.bfly.b32 %0, %1, %2, 31, -1;" : "=f"(other) : "f"(value), "r"(mask));
    return other;
}

DEVICE void atomic_or(uint* to, uint bits) { asm volatile("red.global.or.b32 [%0], %1;" ::"l"(to), "r"(bits) : "memory"); }

// 2ˣ and log₂x to 2 units in the last place (log₂: 2⁻²² absolute near 1); √x correctly rounded.
DEVICE float exp2_fast(float x) { float y; asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x)); return y; }
DEVICE float log2_fast(float x) { float y; asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x)); return y; }
DEVICE float root(float x) { float y; asm("sqrt.rn.f32 %0, %1;" : "=f"(y) : "f"(x)); return y; }

// Two floats rounded to nearest even, the first in the low half.
DEVICE uint pack(float low, float high) { uint y; asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low)); return y; }
DEVICE float as_float(uint bits) { float y; asm("mov.b32 %0, %1;" : "=f"(y) : "r"(bits)); return y; }
#endif

DEVICE float low(uint two) { return as_float(two << 16); }
DEVICE float high(uint two) { return as_float(two & 0xffff0000u); }
DEVICE float to_float(bf16 x) { return as_float((uint)x << 16); }
DEVICE float to_float(float x) { return x; }
DEVICE bf16 to_bf16(float x) { return (bf16)pack(x, 0); }
DEVICE float rounded(float x) { return low(pack(x, 0)); }
DEVICE int lane_index() { return thread_index() & 31; }
DEVICE int least(int a, int b) { return a < b ? a : b; }
DEVICE int most(int a, int b) { return a > b ? a : b; }
DEVICE i64 least(i64 a, i64 b) { return a < b ? a : b; }
DEVICE i64 most(i64 a, i64 b) { return a > b ? a : b; }
DEVICE float most(float a, float b) { return a > b ? a : b; }
template <class T> DEVICE bool is_aligned(const T* p, i64 pitch, int bytes) { return ((u64)p % bytes == 0) & (pitch * (i64)sizeof(T) % bytes == 0); }
