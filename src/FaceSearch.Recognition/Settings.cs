using FaceSearch.Tensors;

namespace FaceSearch.Recognition;

/// <summary>
/// Everything a run can be told. A setting has one dotted path (`Head.TrueScale`), the same in a YAML file, in the
/// environment (`FACESEARCH_HEAD_TRUESCALE`), after `--set`, in a search space and in the study store.
/// Defaults are the baseline design: ArcFace 64/0.5, no cleaning, width 1.
/// </summary>
public record Settings
{
    [Setting("the one seed of the run: data, initial weights, order, augmentation, policy")]
    public int Seed { get; init; } = 1;
    public DataSettings Data { get; init; } = new();
    public CleanSettings Clean { get; init; } = new();
    public NetSettings Net { get; init; } = new();
    public HeadSettings Head { get; init; } = new();
    public TrainSettings Train { get; init; } = new();
    public LimitSettings Limits { get; init; } = new();
}

/// <summary>Where the photographs come from and who is kept out of training.</summary>
public sealed record DataSettings
{
    [Setting("folder with one sub-folder of photographs for each identity; empty = generated faces")]
    public string Folder { get; init; } = "";
    [Setting("crop box in the photograph as x,y,width,height; empty = largest centred square")]
    public string Crop { get; init; } = "";
    [Setting("side of the network's square input in pixels, a multiple of 16", 16, 224)]
    public int Size { get; init; } = 48;
    [Setting("pixels kept around the input on each side, for random shifts in training", 0, 16)]
    public int Margin { get; init; } = 4;
    [Setting("list of the people to train on: names, or LFW's people format; empty = everybody not held out")]
    public string People { get; init; } = "";
    [Setting("which sets of an LFW people list to train on, for example 1-4; empty = all")]
    public string PeopleSets { get; init; } = "";
    [Setting("pairs list (LFW's format) that trials are chosen by; empty = drawn from held-out identities")]
    public string Pairs { get; init; } = "";
    [Setting("which fold of the pairs list to choose by; 0 = all", 0, 100)]
    public int PairsFold { get; init; }
    [Setting("pairs list that is looked at once, at the end; empty = drawn from other held-out identities")]
    public string FinalPairs { get; init; } = "";
    [Setting("share of identities held out for choosing, and again for the final figure, where no list is given", 0.01, 0.4)]
    public double HoldOut { get; init; } = 0.15;
    [Setting("pairs drawn from held-out identities, half of them of the same person", 20, 100000)]
    public int HoldOutPairs { get; init; } = 1200;
    [Setting("identities of generated faces", 4, 1000000)]
    public int SynthIdentities { get; init; } = 240;
    [Setting("mean images of a generated identity", 2, 1000)]
    public int SynthImages { get; init; } = 14;
    [Setting("share of generated training images that carry the label of another identity", 0, 0.9)]
    public double SynthFlips { get; init; } = 0.15;
    [Setting("share of generated training identities that are split in two labels", 0, 0.9)]
    public double SynthSplits { get; init; } = 0.05;
    [Setting("share of generated training identities merged with another under one label", 0, 0.9)]
    public double SynthMerges { get; init; } = 0.02;
    [Setting("share of the training labels flipped on purpose on photographs, for noise experiments", 0, 0.9)]
    public double Flips { get; init; }
}

/// <summary>Which photographs are kept. Similarities are cosines of the teacher's embeddings. Off = -1 and 2.</summary>
public sealed record CleanSettings
{
    [Setting("drop a photograph whose cosine to its identity's leave-one-out centre is below; -1 = off", -1, 1)]
    public double DropBelow { get; init; } = -1;
    [Setting("drop a photograph whose cosine to another identity's centre exceeds that to its own by more than this; 2 = off", 0, 2)]
    public double DropNearer { get; init; } = 2;
    [Setting("merge two identities whose centres' cosine is above; 2 = off", 0, 2)]
    public double MergeAbove { get; init; } = 2;
    [Setting("drop identities left with fewer photographs", 1, 1000)]
    public int MinImages { get; init; } = 1;
    [Setting("compute for each round of the teacher's training, in units of Train.Budget", 0.001, 1e12)]
    public double TeacherBudget { get; init; } = 4;
    [Setting("rounds of the teacher: each after the first trains without what looked wrong to the one before", 1, 10)]
    public int TeacherRounds { get; init; } = 3;
}

/// <summary>The network.</summary>
public sealed record NetSettings
{
    [Setting("backbone: resnet-mini, mobilenetv2, mobilefacenet, iresnet18, iresnet34, iresnet50, iresnet100")]
    public string Kind { get; init; } = "resnet-mini";
    [Setting("multiplier of the channels", 0.25, 4)]
    public double Width { get; init; } = 1;
    [Setting("multiplier of the number of blocks", 0.2, 4)]
    public double Depth { get; init; } = 1;
    [Setting("dimensions of the embedding", 8, 2048)]
    public int Embedding { get; init; } = 128;
    [Setting("squeeze-and-excitation in every residual block")]
    public bool SqueezeExcite { get; init; }
    [Setting("dropout before the embedding", 0, 0.9)]
    public double Dropout { get; init; }
}

/// <summary>
/// The two-scale margin head: z_y = TrueScale·(cos(M1·θ + M2) − M3), z_j = FalseScale·cos θ_j.
/// </summary>
public sealed record HeadSettings
{
    [Setting("scale of the target logit", 1, 256)]
    public double TrueScale { get; init; } = 64;
    [Setting("scale of the other logits", 1, 256)]
    public double FalseScale { get; init; } = 64;
    [Setting("multiplicative angular margin", 0.5, 4)]
    public double M1 { get; init; } = 1;
    [Setting("additive angular margin in radians", 0, 1.5)]
    public double M2 { get; init; } = 0.5;
    [Setting("additive cosine margin", 0, 1)]
    public double M3 { get; init; }
    [Setting("gradient through the margin: exact or straight_through")]
    public string Gradient { get; init; } = "exact";
    [Setting("share of the training over which the margins grow from none to full", 0, 1)]
    public double Ramp { get; init; } = 0.3;
    [Setting("compute the cosines again in the backward pass instead of keeping them in 16 bits: gradients to the precision of floats, the head about 30 % slower")]
    public bool Recompute { get; init; }
    [Setting("share of the identities in a step's softmax: those of its images and others drawn anew each step (Partial FC); 1 = all. The others neither move nor decay in that step", 0.0001, 1)]
    public double Sample { get; init; } = 1;
}

/// <summary>How one network is trained.</summary>
public sealed record TrainSettings
{
    [Setting("compute for one training in units of 10^12 (floating-point operations + 4 per byte moved), by the cost model", 0.001, 1e12)]
    public double Budget { get; init; } = 1;
    [Setting("images in a step", 2, 8192)]
    public int Batch { get; init; } = 64;
    [Setting("learning rate after the warm-up", 1e-6, 10)]
    public double Rate { get; init; } = 0.1;
    [Setting("share of the steps in which the rate grows linearly from none", 0, 1)]
    public double WarmUp { get; init; } = 0.06;
    [Setting("schedule after the warm-up: cosine or step")]
    public string Schedule { get; init; } = "cosine";
    [Setting("shares of the training at which a step schedule divides the rate by ten")]
    public string Milestones { get; init; } = "0.4,0.6,0.8";
    [Setting("optimiser: sgd or adamw")]
    public string Optimizer { get; init; } = "sgd";
    [Setting("momentum of sgd", 0, 0.999)]
    public double Momentum { get; init; } = 0.9;
    [Setting("use Nesterov's form of the momentum")]
    public bool Nesterov { get; init; } = true;
    [Setting("weight decay", 0, 1)]
    public double WeightDecay { get; init; } = 5e-4;
    [Setting("largest norm of the whole gradient; 0 = no clipping: sgd then moves the head's centres without holding their gradient", 0, 1e6)]
    public double Clip { get; init; } = 5;
    [Setting("compute 3×3 convolutions directly instead of by Winograd's method: half the rounding error, about twice the time")]
    public bool Exact { get; init; }
    [Setting("where it runs: cpu, cuda, simulated (GPU kernels on the CPU: slow) or auto, which is cuda where there is a GPU, else cpu")]
    public string Device { get; init; } = Devices.Auto;
    [Setting("fp32, or bf16: convolutions, linear layers and the head on tensor cores, maps in memory, with 8 bits of precision; parameters, sums and losses stay fp32. Needs a CUDA GPU of compute capability 8.0 or newer")]
    public string Precision { get; init; } = Devices.Fp32;
    [Setting("mirror half of the images")]
    public bool Flip { get; init; } = true;
    [Setting("largest zoom of training images, and largest turn in radians: 0.1 is ±10 % and ±6°; 0 = none", 0, 0.5)]
    public double Warp { get; init; }
    [Setting("light of training images: largest change of contrast and brightness, a quarter of it for each colour; 0 = none", 0, 1)]
    public double Jitter { get; init; }
    [Setting("share of training images in which a rectangle is hidden (random erasing)", 0, 1)]
    public double Erase { get; init; }
}

/// <summary>What a trial may cost; checked before training.</summary>
public sealed record LimitSettings
{
    [Setting("most multiply-accumulates of one forward pass, in millions; 0 = no limit", 0, 1e9)]
    public double MMacs { get; init; }
    [Setting("most parameters of the backbone, in millions; 0 = no limit", 0, 1e6)]
    public double MParams { get; init; }
    [Setting("most memory of a training step, in MiB; 0 = no limit", 0, 1e9)]
    public double MemoryMiB { get; init; }
}
