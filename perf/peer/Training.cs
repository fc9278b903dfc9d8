using FaceSearch.Perf;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace FaceSearch.Peer;

/// <summary>Steps of training (and inference) of whole networks, and of the head alone.</summary>
static class Training
{
    const double Rate = 0.01, Momentum = 0.9, Decay = 5e-4;

    /// Forward, backward, SGD; without classes the loss is Σ embedding·constant. `bwd=0`: inference on `batches` batches.
    public static Step Net(Options options)
    {
        int n = options.Int("n", 32), side = options.Int("side", 112), embedding = options.Int("emb", 512), classes = options.Int("classes", 0);
        bool trains = options.Flag("bwd", otherwise: true);
        var layout = Layout.Of(options);
        var network = Networks.Create(options.Text("kind", "mfn"), side, embedding);
        network.train(trains);
        Layout.Apply(network, layout);
        var x = layout(randn(n, 3, side, side));
        if (!trains) return new(() =>
        {
            using var _ = no_grad();
            for (int batch = 0; batch < options.Int("batches", 1); batch++)
            {
                using var scope = NewDisposeScope();
                network.call(x);
            }
        });
        if (classes > 0) return WithHead(network, x, new Parameter(randn(classes, embedding) * 0.01), randint(0, classes, n), options.Flag("lean"));
        var weights = randn(n, embedding);
        var optimizer = optim.SGD(network.parameters(), Rate, Momentum, weight_decay: Decay);
        return new(() =>
        {
            using var scope = NewDisposeScope();
            optimizer.zero_grad();
            (network.call(x) * weights).sum().backward();
            optimizer.step();
        });
    }

    static Step WithHead(nn.Module<Tensor, Tensor> network, Tensor x, Parameter centres, Tensor labels, bool lean)
    {
        var optimizer = optim.SGD(lean ? network.parameters() : network.parameters().Append(centres), Rate, Momentum, weight_decay: Decay);
        var update = lean ? new LeanUpdate(centres, Decay) : null;
        return new(() =>
        {
            using var scope = NewDisposeScope();
            optimizer.zero_grad();
            var embeddings = network.call(x);
            if (update is null) Heads.Loss(embeddings, centres, labels).backward();
            else (embeddings * update.Step(embeddings, labels)).sum().backward();
            optimizer.step();
        });
    }

    /// The head alone: loss, both gradients, SGD with momentum on the centres.
    public static Step Head(Options options)
    {
        int n = options.Int("n", 128), d = options.Int("d", 512), classes = options.Int("classes", 10000);
        var x = randn(n, d);
        var labels = randint(0, classes, n);
        var centres = new Parameter(randn(classes, d).mul_(0.05));
        if (options.Flag("lean"))
        {
            var update = new LeanUpdate(centres, decay: 0);
            return new(() =>
            {
                using var scope = NewDisposeScope();
                update.Step(x, labels);
            });
        }
        x = x.requires_grad_(true);
        var optimizer = optim.SGD([centres], Rate, Momentum);
        return new(() =>
        {
            using var scope = NewDisposeScope();
            optimizer.zero_grad();
            x.grad?.zero_();
            Heads.Loss(x, centres, labels).backward();
            optimizer.step();
        });
    }

    /// Centres with their velocity, moved without autograd or optimiser object.
    sealed class LeanUpdate(Tensor centres, double decay)
    {
        readonly Tensor velocity = zeros_like(centres);

        /// Moves the centres and returns the gradient by the embeddings.
        public Tensor Step(Tensor embeddings, Tensor labels)
        {
            using var _ = no_grad();
            var (dx, dCentres) = Heads.LeanGradients(embeddings.detach(), centres, labels);
            velocity.mul_(Momentum).add_(dCentres);
            if (decay > 0) velocity.add_(centres, alpha: decay);
            centres.add_(velocity, alpha: -Rate);
            return dx;
        }
    }
}
