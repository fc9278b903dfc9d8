using Xunit;

namespace FaceSearch.Tests.Cli;

/// <summary>`--device`.</summary>
public class DeviceTests
{
    [Fact]
    public void ASearchOnASimulatedGpuIsReadOnTheCpu()
    {
        Assert.SkipWhen(TestDevice.WhyNoSimulatedGpu is not null, TestDevice.WhyNoSimulatedGpu ?? "");
        using var program = new Facesearch();
        var found = program.Run(["search", "--device", "simulated", .. Facesearch.Tiny, "--set", "Study.Workers=2"]).Ended(0);
        Assert.Contains("best=", found.Out);
        // The device is the study's: going on with another would mix bits.
        program.Run(["search", "--resume", "--device", "cpu"]).Refused("Train.Device", "simulated");
        var checkpoint = program.In("runs/search/search.best.checkpoint");
        string[] Figures(string device) => program.Run("evaluate", checkpoint, "--device", device).Ended(0).Lines[^7..];
        Assert.Equal(Figures("cpu"), Figures("simulated"));
    }

    [Fact]
    public void ADeviceThatIsNotThereIsRefusedBeforeAnythingIsLoaded()
    {
        Assert.SkipUnless(TestDevice.WhyNoCudaGpu is not null, "this machine has a CUDA GPU");
        using var program = new Facesearch();
        foreach (var verb in new[] { "search", "train", "clean" })
        {
            var refused = program.Run(verb, "--device", "cuda");
            refused.Refused("there is no CUDA device");
            Assert.Empty(refused.Out);
        }
        Assert.Contains("auto", program.Run("train", "--device", "tpu").Ended(2).Error);
    }

    [Fact]
    public void APrecisionThatTheDeviceLacksIsRefused()
    {
        using var program = new Facesearch();
        program.Run("train", "--device", "cpu", "--set", "Train.Precision=bf16").Refused("bf16 needs a GPU of compute capability 8.0", "the CPU computes in fp32 alone", "Train.Precision=fp32");
        program.Run("train", "--device", "cpu", "--set", "Train.Precision=fp8").Refused("precision 'fp8' is none of fp32, bf16");
        Assert.SkipWhen(TestDevice.WhyNoSimulatedGpu is not null, TestDevice.WhyNoSimulatedGpu ?? "");
        program.Run("train", "--device", "simulated", "--set", "Train.Precision=bf16").Refused("runs the tensor-core kernels in tests only");
    }
}
