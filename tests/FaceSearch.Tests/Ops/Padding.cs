using FaceSearch.Tensors;

namespace FaceSearch.Tests.Ops;

/// <summary>Looks at the lanes of a map that hold no channel.</summary>
static unsafe class Padding
{
    public static bool IsZero(Tensor map)
    {
        var s = map.Shape;
        if (map.Device is Gpu gpu) return gpu.ReadAsItLies(map).Where((_, i) => i % GpuLayout.Pitch(s.Channels) >= s.Channels).All(v => v == 0);
        int blocks = CpuLayout.Blocks(s.Channels), area = s.Height * s.Width;
        float* p = map.Device switch
        {
            Cpu<Avx512Lanes> => Cpu<Avx512Lanes>.Of(map),
            Cpu<Avx2Lanes> => Cpu<Avx2Lanes>.Of(map),
            _ => Cpu<PortableLanes>.Of(map),
        };
        for (long i = 0; i < CpuLayout.Floats(s); i++)
        {
            long channel = i / (16L * area) % blocks * 16 + i % 16;
            if (channel >= s.Channels && !(p[i] == 0)) return false;
        }
        return true;
    }
}
