using TorchSharp;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace FaceSearch.Peer;

/// <summary>ArcFace, s = 64, m = 0.5, in the two forms a user of TorchSharp could write.</summary>
static class Heads
{
    const double Scale = 64, Margin = 0.5, Edge = 1 - 1e-6;

    /// <summary>The usual form: autograd, with the margin taken on the target column only.</summary>
    public static Tensor Loss(Tensor x, Tensor centres, Tensor labels)
    {
        var cosines = F.linear(F.normalize(x), F.normalize(centres));
        var target = labels.unsqueeze(1);
        var t = cosines.gather(1, target).clamp(-Edge, Edge);
        var moved = t * Math.Cos(Margin) - (1 - t * t).sqrt() * Math.Sin(Margin);
        return F.cross_entropy(cosines.scatter(1, target, moved) * Scale, labels);
    }

    /// <summary>The strongest form: gradients written by hand, in place, one matrix of logits, no autograd.</summary>
    public static (Tensor X, Tensor Centres) LeanGradients(Tensor x, Tensor centres, Tensor labels)
    {
        Tensor xInverse = x.norm(1, true).reciprocal_(), unit = x * xInverse;
        var inverse = centres.norm(1, true).reciprocal_();
        var z = mm(unit, centres.t()).mul_(inverse.t());
        var target = labels.unsqueeze(1);
        var t = z.gather(1, target).clamp_(-Edge, Edge);
        var sine = (1 - t * t).sqrt_();
        z.scatter_(1, target, t * Math.Cos(Margin) - sine * Math.Sin(Margin)).mul_(Scale);
        z.sub_(z.logsumexp(1, true)).exp_();
        var slope = t.div(sine).mul_(Math.Sin(Margin)).add_(Math.Cos(Margin));
        z.scatter_(1, target, (z.gather(1, target) - 1).mul_(slope)).mul_(Scale / x.shape[0]).mul_(inverse.t());
        var dUnit = mm(z, centres);
        var dx = (dUnit - unit * (dUnit * unit).sum(1, true)) * xInverse;
        var dCentres = mm(z.t(), unit);
        // Only what is tangent to the centre: its length does not matter to the loss.
        dCentres.sub_(centres * (dCentres * centres).sum(1, true).mul_(inverse).mul_(inverse));
        return (dx, dCentres);
    }
}
