"""PyTorch's side of the GPU benchmarks: the only Python here, started by facesearch-perf on a GPU machine, never by product or tests.

  torch_bench.py version
  torch_bench.py CASE name=value ... form=FORM

A case warms up (torch.compile and cudnn.benchmark included), says `ready`, and answers each number of seconds on its input by one line
`faults=0 allocated=0 mb=<most memory of tensors, 10^6 bytes> ms=<time>;<time>;...`, each time the mean over a few steps by CUDA events.
bf16 everywhere: by autocast with fp32 parameters in networks, bf16 operands in single ops, as is usual.
"""
import math
import sys

import torch
import torch.nn.functional as F
from torch import nn

SCALE, MARGIN, EDGE = 64.0, 0.5, 1 - 1e-6
COS, SIN = math.cos(MARGIN), math.sin(MARGIN)
RATE, MOMENTUM, DECAY = 0.01, 0.9, 5e-4
CHUNK = 40_000   # divides a million: one shape to compile


# Single ops.

def gemm(n, form):
    a, b = (torch.randn(n, n, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    return lambda: a @ b.t()


def conv(n, c, k, side, kernel, stride, groups, form):
    layout = torch.channels_last if form == "cl" else torch.contiguous_format
    x = torch.randn(n, c, side, side, device="cuda", dtype=torch.bfloat16).to(memory_format=layout).requires_grad_()
    w = torch.randn(k, c // groups, kernel, kernel, device="cuda", dtype=torch.bfloat16).to(memory_format=layout).requires_grad_()
    dy = torch.randn_like(F.conv2d(x, w, stride=stride, padding=kernel // 2, groups=groups))
    return lambda: torch.autograd.grad(F.conv2d(x, w, stride=stride, padding=kernel // 2, groups=groups), (x, w), dy)


# The head: ArcFace, s = 64, m = 0.5; loss, gradients by embeddings and centres, SGD with momentum on the centres.

def full_gradients(x, centres, labels):
    """The usual form: all logits, cross entropy, autograd, under autocast."""
    x, centres = x.detach().requires_grad_(), centres.detach().requires_grad_()
    with torch.autocast("cuda", torch.bfloat16):
        cosines = F.linear(F.normalize(x), F.normalize(centres)).float()
    target = labels.unsqueeze(1)
    t = cosines.gather(1, target).clamp(-EDGE, EDGE)
    moved = t * COS - (1 - t * t).sqrt() * SIN
    loss = F.cross_entropy(cosines.scatter(1, target, moved) * SCALE, labels)
    return (loss, *torch.autograd.grad(loss, (x, centres)))


def chunk_sums(unit, w, top, total):
    """One chunk's part of the online log-sum-exp; also 1/|w|."""
    inverse = torch.rsqrt((w * w).sum(1))
    z = (unit @ w.bfloat16().t()).float() * (inverse * SCALE)
    high = torch.maximum(top, z.amax(1))
    return high, total * (top - high).exp() + (z - high.unsqueeze(1)).exp().sum(1), inverse


def chunk_gradients(unit, w, inverse, log_sum, batch):
    """One chunk's part of both gradients, logits computed again; the target's own part is added afterwards."""
    bw = w.bfloat16()
    p = ((unit @ bw.t()).float() * (inverse * SCALE) - log_sum.unsqueeze(1)).exp() * (inverse * (SCALE / batch))
    p = p.bfloat16()
    return (p @ bw).float(), (p.t() @ unit).float()


def chunked_gradients(sums, gradients, x, centres, labels):
    """The strong form, as cut cross entropy does it: logits of some classes at a time, twice, never kept."""
    batch = x.shape[0]
    x_inverse = torch.rsqrt((x * x).sum(1, keepdim=True))
    unit = x * x_inverse
    low = unit.bfloat16()
    own = centres[labels]
    own_inverse = torch.rsqrt((own * own).sum(1))
    plain = (low.float() * own.bfloat16().float()).sum(1).bfloat16().float() * own_inverse   # rounded as the product of a chunk
    t = plain.clamp(-EDGE, EDGE)
    sine = (1 - t * t).sqrt()
    moved, slope = (t * COS - sine * SIN) * SCALE, COS + SIN * t / sine
    top, total = moved.clone(), torch.ones(batch, device=x.device)
    inverses = []
    for start in range(0, centres.shape[0], CHUNK):
        top, total, inverse = sums(low, centres[start:start + CHUNK], top, total)
        inverses.append(inverse)
    # The target's plain logit is in the sum where the moved one belongs.
    total = (total - (plain * SCALE - top).exp()).clamp_min(1e-30)
    log_sum = top + total.log()
    loss = (log_sum - moved).mean()
    d_unit, d_centres = torch.zeros_like(x), torch.empty_like(centres)
    for i, start in enumerate(range(0, centres.shape[0], CHUNK)):
        part, d_centres[start:start + CHUNK] = gradients(low, centres[start:start + CHUNK], inverses[i], log_sum, batch)
        d_unit += part
    right = ((moved - log_sum).exp() - 1) * slope - (plain * SCALE - log_sum).exp()
    right = (right * own_inverse * (SCALE / batch)).unsqueeze(1)
    d_unit += right * own
    d_centres.index_add_(0, labels, right * unit)
    for start in range(0, centres.shape[0], CHUNK):   # only what is tangent to the centre
        w, d = centres[start:start + CHUNK], d_centres[start:start + CHUNK]
        d.sub_(w * ((d * w).sum(1) * inverses[start // CHUNK] ** 2).unsqueeze(1))
    return loss, (d_unit - unit * (d_unit * unit).sum(1, keepdim=True)) * x_inverse, d_centres


def head_of(form):
    if form == "full":
        return full_gradients
    sums, gradients = (torch.compile(f) for f in (chunk_sums, chunk_gradients)) if form == "chunked-compile" else (chunk_sums, chunk_gradients)
    return lambda *operands: chunked_gradients(sums, gradients, *operands)


def head_operands(n, d, classes):
    centres = torch.empty(classes, d, device="cuda").uniform_(-0.05, 0.05)
    return torch.randn(n, d).pin_memory(), centres, torch.zeros_like(centres), torch.randint(classes, (n,), device="cuda")


def head(n, d, classes, form):
    x, centres, velocity, labels = head_operands(n, d, classes)
    compute = head_of(form)

    def step():
        with torch.set_grad_enabled(form == "full"):
            _, _, gradient = compute(x.to("cuda", non_blocking=True), centres, labels)
        with torch.no_grad():
            velocity.mul_(MOMENTUM).add_(gradient)
            centres.sub_(velocity, alpha=RATE)
    return step


def partial(n, d, classes, form):
    """Partial FC at a tenth: the batch's classes and others drawn, as its authors' code does it."""
    x, centres, velocity, labels = head_operands(n, d, classes)
    compute, drawn = head_of(form), max(n, classes // 10)

    def step():
        with torch.no_grad():
            chance = torch.rand(classes, device="cuda")
            chance[labels] = 2
            index = chance.topk(drawn).indices.sort().values
            local = torch.searchsorted(index, labels)
            some = centres[index]
        with torch.set_grad_enabled(form == "full"):
            _, _, gradient = compute(x.to("cuda", non_blocking=True), some, local)
        with torch.no_grad():
            moving = velocity[index].mul_(MOMENTUM).add_(gradient)
            velocity[index] = moving
            centres[index] = some.sub_(moving, alpha=RATE)
    return step


# Networks, layer by layer as src/FaceSearch.Recognition/Nets.

def bare(inputs, outputs, kernel, stride=1, padding=None, groups=1):
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2 if padding is None else padding, groups=groups, bias=False)


def layer(inputs, outputs, kernel, stride=1, padding=None, groups=1, activated=True):
    parts = [bare(inputs, outputs, kernel, stride, padding, groups), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*parts, *([nn.PReLU(outputs)] if activated else []))


class Sum(nn.Module):
    def __init__(self, body, shortcut=None):
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x):
        return self.body(x) + (x if self.shortcut is None else self.shortcut(x))


def mobilefacenet(emb):
    def inverted(inputs, outputs, stride, hidden):
        return nn.Sequential(layer(inputs, hidden, 1), layer(hidden, hidden, 3, stride, groups=hidden), layer(hidden, outputs, 1, activated=False))

    layers = [layer(3, 64, 3, 2), layer(64, 64, 3, groups=64)]
    for inputs, outputs, first, hidden, blocks in ((64, 64, 128, 128, 4), (64, 128, 256, 256, 6), (128, 128, 512, 256, 2)):
        layers += [inverted(inputs, outputs, 2, first)] + [Sum(inverted(outputs, outputs, 1, hidden)) for _ in range(blocks)]
    return nn.Sequential(*layers, layer(128, 512, 1), layer(512, 512, 7, padding=0, groups=512, activated=False), nn.Flatten(), nn.Linear(512, emb, bias=False), nn.BatchNorm1d(emb))


def iresnet50(emb):
    layers, channels = [layer(3, 64, 3)], 64
    for stage, blocks in enumerate((3, 4, 14, 3)):
        for block in range(blocks):
            outputs, stride = 64 << stage, 2 if block == 0 else 1
            body = nn.Sequential(nn.BatchNorm2d(channels), bare(channels, outputs, 3), nn.BatchNorm2d(outputs), nn.PReLU(outputs), bare(outputs, outputs, 3, stride), nn.BatchNorm2d(outputs))
            layers.append(Sum(body, None if stride == 1 and channels == outputs else layer(channels, outputs, 1, stride, activated=False)))
            channels = outputs
    return nn.Sequential(*layers, nn.BatchNorm2d(channels), nn.Flatten(), nn.Linear(channels * 49, emb), nn.BatchNorm1d(emb))


def net(kind, n, emb, form):
    """Upload of the batch, forward, backward of the sum of embedding * constant, SGD."""
    layout = torch.channels_last if form.startswith("cl") else torch.contiguous_format
    model = {"mobilefacenet": mobilefacenet, "iresnet50": iresnet50}[kind](emb).cuda().to(memory_format=layout)
    run = torch.compile(model) if form.endswith("compile") else model
    optimiser = torch.optim.SGD(model.parameters(), RATE, MOMENTUM, weight_decay=DECAY, fused=True)
    faces, constant = torch.randn(n, 3, 112, 112).pin_memory(), torch.randn(n, emb, device="cuda")

    def step():
        x = faces.to("cuda", non_blocking=True).to(memory_format=layout)
        with torch.autocast("cuda", torch.bfloat16):
            y = run(x)
        optimiser.zero_grad(set_to_none=True)
        y.float().backward(constant)
        optimiser.step()
    return step


# The protocol.

def timed(step, repeats):
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(repeats):
        step()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / repeats


def main():
    if sys.argv[1:] == ["version"]:
        print(f"PyTorch {torch.__version__}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}, {torch.cuda.get_device_name(0)}")
        return
    case, words = sys.argv[1], dict(word.split("=") for word in sys.argv[2:])
    options = {name: int(value) if value.isdigit() else value for name, value in words.items()}
    torch.manual_seed(1)
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    step = {"gemm": gemm, "conv": conv, "head": head, "partial": partial, "net": net}[case](**options)
    for _ in range(3):
        timed(step, 1)
    repeats = max(1, min(50, int(20 / max(1e-3, timed(step, 1)))))
    timed(step, repeats)
    torch.cuda.reset_peak_memory_stats()
    print("ready", flush=True)
    for line in sys.stdin:
        if not line.strip():
            break
        budget, times = 1000 * float(line), []
        while sum(times) * repeats < budget:
            times.append(timed(step, repeats))
        megabytes = torch.cuda.max_memory_allocated() / 1e6
        print(f"faults=0 allocated=0 mb={megabytes} ms={';'.join(map(repr, times))}", flush=True)


if __name__ == "__main__":
    main()
