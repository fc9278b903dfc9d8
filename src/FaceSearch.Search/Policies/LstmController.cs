using FaceSearch.Tensors;

namespace FaceSearch.Search;

/// <summary>
/// Autoregressive policy network: p(actions) = Π p(a_t | a_1 … a_{t−1}).
/// step t: x = embedding of a_{t−1} (a start symbol first); LSTM cell; softmax head of decision t over its options.
///   i, f, o = σ(·), g = tanh(·) of W_x x + W_h h + b;   c = f c + i g;   h = o tanh c;   p = softmax(V_t h + v_t)
/// All parameters live in one array of doubles, their gradients in another of the same layout.
/// </summary>
sealed class LstmController
{
    const int Embedding = 12, Hidden = 24;
    const ulong WeightStream = 0x6C73746DUL << 32;

    readonly int[] counts;
    readonly int[] firstSymbol, heads;
    readonly int input, recurrent, bias;

    /// <param name="counts">Options of each decision.</param>
    public LstmController(int[] counts, int seed)
    {
        this.counts = counts;
        firstSymbol = Offsets([.. counts], 1);
        input = (1 + counts.Sum()) * Embedding;
        recurrent = input + 4 * Hidden * Embedding;
        bias = recurrent + 4 * Hidden * Hidden;
        heads = Offsets([.. counts.Select(n => n * (Hidden + 1))], bias + 4 * Hidden);
        Parameters = new double[heads[^1] + counts[^1] * (Hidden + 1)];
        Gradient = new double[Parameters.Length];
        for (int i = 0; i < Parameters.Length; i++)
            Parameters[i] = 0.2 * Noise.Uniform((ulong)seed, WeightStream, (ulong)i) - 0.1;
    }

    public double[] Parameters { get; }
    public double[] Gradient { get; }

    /// <summary>One pass: what was chosen, and all that the way back needs.</summary>
    public sealed class Pass
    {
        public required int[] Actions { get; init; }
        public required double[][] Probabilities { get; init; }
        public required double[][] Gates, Cells, Outputs;

        public double LogProbability(int decision) => Math.Log(Probabilities[decision][Actions[decision]]);
    }

    /// <summary>Runs through the decisions; <paramref name="choose"/> picks an option from (decision, probabilities).</summary>
    public Pass Forward(Func<int, double[], int> choose)
    {
        int steps = counts.Length;
        var pass = new Pass
        {
            Actions = new int[steps],
            Probabilities = new double[steps][],
            Gates = new double[steps][],
            Cells = new double[steps][],
            Outputs = new double[steps][],
        };
        double[] h = new double[Hidden], c = new double[Hidden];
        for (int t = 0; t < steps; t++)
        {
            var gates = pass.Gates[t] = Gates(Symbol(pass.Actions, t), h);
            (h, c) = (new double[Hidden], (double[])c.Clone());
            for (int k = 0; k < Hidden; k++)
            {
                c[k] = gates[Hidden + k] * c[k] + gates[k] * gates[2 * Hidden + k];
                h[k] = gates[3 * Hidden + k] * Math.Tanh(c[k]);
            }
            (pass.Cells[t], pass.Outputs[t]) = (c, h);
            pass.Probabilities[t] = Head(t, h);
            pass.Actions[t] = choose(t, pass.Probabilities[t]);
        }
        return pass;
    }

    /// <summary>
    /// Adds the gradient of −Σ_t w_t·log p(a_t | …) − β·Σ_t H(p_t) to <see cref="Gradient"/>, w held constant.
    /// On the logits: w_t·(p − onehot) + β·p·(log p + H).
    /// </summary>
    public void Backward(Pass pass, double[] weights, double entropyWeight)
    {
        double[] dh = new double[Hidden], dc = new double[Hidden];
        for (int t = counts.Length - 1; t >= 0; t--)
        {
            HeadBackward(t, pass, weights[t], entropyWeight, dh);
            var before = t == 0 ? new double[Hidden] : pass.Cells[t - 1];
            var dgates = CellBackward(pass.Gates[t], pass.Cells[t], before, dh, dc);
            GatesBackward(Symbol(pass.Actions, t), t == 0 ? new double[Hidden] : pass.Outputs[t - 1], dgates, dh);
        }
    }

    int Symbol(int[] actions, int t) => t == 0 ? 0 : firstSymbol[t - 1] + actions[t - 1];

    double[] Gates(int symbol, double[] h)
    {
        var gates = new double[4 * Hidden];
        for (int r = 0; r < gates.Length; r++)
        {
            double sum = Parameters[bias + r];
            for (int k = 0; k < Embedding; k++) sum += Parameters[input + r * Embedding + k] * Parameters[symbol * Embedding + k];
            for (int k = 0; k < Hidden; k++) sum += Parameters[recurrent + r * Hidden + k] * h[k];
            gates[r] = r / Hidden == 2 ? Math.Tanh(sum) : 1 / (1 + Math.Exp(-sum));
        }
        return gates;
    }

    double[] Head(int t, double[] h)
    {
        var p = new double[counts[t]];
        for (int a = 0; a < p.Length; a++)
        {
            int row = heads[t] + a * (Hidden + 1);
            p[a] = Parameters[row + Hidden];
            for (int k = 0; k < Hidden; k++) p[a] += Parameters[row + k] * h[k];
        }
        double max = p.Max(), sum = 0;
        for (int a = 0; a < p.Length; a++) sum += p[a] = Math.Exp(p[a] - max);
        for (int a = 0; a < p.Length; a++) p[a] /= sum;
        return p;
    }

    void HeadBackward(int t, Pass pass, double weight, double entropyWeight, double[] dh)
    {
        var p = pass.Probabilities[t];
        double entropy = -p.Sum(v => v > 0 ? v * Math.Log(v) : 0);
        for (int a = 0; a < p.Length; a++)
        {
            double dz = weight * (p[a] - (a == pass.Actions[t] ? 1 : 0));
            if (p[a] > 0) dz += entropyWeight * p[a] * (Math.Log(p[a]) + entropy);
            int row = heads[t] + a * (Hidden + 1);
            Gradient[row + Hidden] += dz;
            for (int k = 0; k < Hidden; k++)
            {
                Gradient[row + k] += dz * pass.Outputs[t][k];
                dh[k] += dz * Parameters[row + k];
            }
        }
    }

    /// Leaves in dc the gradient of the cell before.
    static double[] CellBackward(double[] gates, double[] cell, double[] before, double[] dh, double[] dc)
    {
        var d = new double[4 * Hidden];
        for (int k = 0; k < Hidden; k++)
        {
            double i = gates[k], f = gates[Hidden + k], g = gates[2 * Hidden + k], o = gates[3 * Hidden + k], tanh = Math.Tanh(cell[k]);
            dc[k] += dh[k] * o * (1 - tanh * tanh);
            d[k] = dc[k] * g * i * (1 - i);
            d[Hidden + k] = dc[k] * before[k] * f * (1 - f);
            d[2 * Hidden + k] = dc[k] * i * (1 - g * g);
            d[3 * Hidden + k] = dh[k] * tanh * o * (1 - o);
            dc[k] *= f;
        }
        return d;
    }

    /// Leaves in dh the gradient of the output before.
    void GatesBackward(int symbol, double[] h, double[] dgates, double[] dh)
    {
        Array.Clear(dh);
        for (int r = 0; r < dgates.Length; r++)
        {
            Gradient[bias + r] += dgates[r];
            for (int k = 0; k < Embedding; k++)
            {
                Gradient[input + r * Embedding + k] += dgates[r] * Parameters[symbol * Embedding + k];
                Gradient[symbol * Embedding + k] += dgates[r] * Parameters[input + r * Embedding + k];
            }
            for (int k = 0; k < Hidden; k++)
            {
                Gradient[recurrent + r * Hidden + k] += dgates[r] * h[k];
                dh[k] += dgates[r] * Parameters[recurrent + r * Hidden + k];
            }
        }
    }

    static int[] Offsets(int[] sizes, int first)
    {
        var offsets = new int[sizes.Length];
        for (int i = 0; i < sizes.Length; first += sizes[i++]) offsets[i] = first;
        return offsets;
    }
}
