using System.Runtime.CompilerServices;
using ILGPU;

namespace FaceSearch.Tensors;

/// <summary>
/// The elements of a tensor as kernels read and write them: floats, or bf16 where it is a map of a device that computes in it. A kernel
/// computes in floats whatever lies in memory, and rounds once, when it writes. Which of the two it is holds for a whole tensor, so all threads
/// shift and branch alike: that costs less than a second copy of every kernel would.
/// </summary>
readonly struct MapView
{
    readonly ArrayView<float> memory;
    // As long as a view's parts, lest there be padding after it.
    readonly long isBf16;

    public MapView(ArrayView<float> floats) => memory = floats;

    public MapView(ArrayView<float> memory, bool isBf16) => (this.memory, this.isBf16) = (memory, isBf16 ? 1 : 0);

    /// As it lies, whatever it holds.
    public ArrayView<float> Memory => memory;

    public float this[long i]
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get
        {
            // The word that the element lies in, and its half. Without a branch, behind which a thread's next load would wait for this one.
            int half = (int)(i & isBf16) * 16, rest = (int)isBf16 * 16;
            uint word = memory.Cast<uint>()[i >> (int)isBf16];
            return Interop.IntAsFloat(word >> half << rest);
        }
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        set
        {
            if (isBf16 == 0) memory[i] = value;
            else memory.Cast<ushort>()[i] = GpuMath.ToBf16(value);
        }
    }
}
