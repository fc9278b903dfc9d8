using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Devices;

public class WorkersTests
{
    [Theory]
    [InlineData(1, 7)]
    [InlineData(2, 0)]
    [InlineData(2, 1)]
    [InlineData(3, 2)]
    [InlineData(3, 100)]
    [InlineData(4, 101)]
    public void EachTileRunsOnce(int threads, int tiles)
    {
        using var workers = new Workers(threads);
        for (int round = 0; round < 50; round++)
        {
            int[] runs = new int[tiles];
            workers.Run(tiles, (tile, _) => Interlocked.Increment(ref runs[tile]));
            Assert.All(runs, count => Assert.Equal(1, count));
        }
    }

    /// <summary>A thread goes through its own share, then through what is left of the next one: what it wrote in the last call it finds in its caches.</summary>
    [Fact]
    public void EachThreadBeginsWithItsOwnShare()
    {
        using var workers = new Workers(3);
        for (int round = 0; round < 200; round++)
        {
            List<int>[] done = [[], [], []];
            workers.Run(30, (tile, worker) =>
            {
                done[worker].Add((tile / 10 - worker + 3) % 3 * 10 + tile % 10);
                Thread.SpinWait(200);
            });
            Assert.All(done, tiles => Assert.Equal(tiles.Order(), tiles));
        }
    }

    /// <summary>The first thread is held up in its first tile until all others are done: the second has then done tiles of both shares.</summary>
    [Fact]
    public void AShareLeftBehindIsDoneByOthers()
    {
        using var workers = new Workers(2);
        int done = 0;
        int[] by = new int[40];
        workers.Run(by.Length, (tile, worker) =>
        {
            by[tile] = worker;
            if (worker == 0) Assert.True(SpinWait.SpinUntil(() => Volatile.Read(ref done) == by.Length - 1, TimeSpan.FromSeconds(30)));
            Interlocked.Increment(ref done);
        });
        Assert.Equal(by.Length, done);
        // None, where the second thread was done before the first began.
        Assert.InRange(by.Count(worker => worker == 0), 0, 1);
    }

    [Fact]
    public void ATilesExceptionReachesTheCaller()
    {
        using var workers = new Workers(2);
        var error = Assert.Throws<InvalidOperationException>(() => workers.Run(20, (tile, _) =>
        {
            if (tile == 13) throw new InvalidOperationException("tile 13");
        }));
        Assert.Equal("tile 13", error.Message);
    }
}
