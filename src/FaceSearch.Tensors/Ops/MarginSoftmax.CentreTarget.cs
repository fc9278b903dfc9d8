using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

public sealed unsafe partial class Cpu<V>
{
    /// Where the gradients of the centres go, row by row while a row is in the cache: to memory, or into a step of SGD.
    /// A row's gradient is product + pull·w, pull what keeps it at a right angle to w.
    readonly struct CentreTarget(IndexedRows centres, Tensor? gradients, CentreUpdate? update, Drawn? drawn)
    {
        readonly bool updates = update is not null, hasVelocity = update?.Velocity is not null;
        readonly SgdRule rule = update?.Rule ?? default;

        public bool IsNeeded { get; } = update is not null || gradients is not null;
        /// What is read and written beside the centres themselves, or these. Gradients lie in the order of the drawn classes.
        public IndexedRows Changes { get; } = update?.Velocity is { } velocity ? new(velocity, drawn) : gradients is not null ? new(gradients, null) : centres;

        public void Finish(float* centre, float* product, float pull, int c, int dimension)
        {
            if (!updates) WriteGradient(centre, product, pull, Changes[c], dimension);
            else if (!hasVelocity) Update(centre, product, pull, dimension);
            else Update(centre, product, pull, Changes[c], dimension);
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        static void WriteGradient(float* centre, float* product, float pull, float* gradient, int dimension)
        {
            V f = V.Create(pull);
            int k = 0;
            for (; k + 16 <= dimension; k += 16) V.Store(V.Fma(f, V.Load(centre + k), V.Load(product + k)), gradient + k);
            for (; k < dimension; k++) gradient[k] = pull * centre[k] + product[k];
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Update(float* centre, float* product, float pull, int dimension)
        {
            float factor = pull + rule.WeightDecay;
            V f = V.Create(factor), minusRate = V.Create(-rule.Rate);
            int k = 0;
            for (; k + 16 <= dimension; k += 16)
            {
                V w = V.Load(centre + k);
                V.Store(V.Fma(minusRate, V.Fma(f, w, V.Load(product + k)), w), centre + k);
            }
            for (; k < dimension; k++) centre[k] -= rule.Rate * (factor * centre[k] + product[k]);
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Update(float* centre, float* product, float pull, float* velocity, int dimension)
        {
            float factor = pull + rule.WeightDecay;
            // Both forms of the step as one: g + momentum·v, or 0·g + 1·v.
            float ofGradient = rule.Nesterov ? 1 : 0, ofVelocity = rule.Nesterov ? rule.Momentum : 1;
            V f = V.Create(factor), momentum = V.Create(rule.Momentum), g1 = V.Create(-rule.Rate * ofGradient), v1 = V.Create(-rule.Rate * ofVelocity);
            int k = 0;
            for (; k + 16 <= dimension; k += 16)
            {
                V w = V.Load(centre + k), g = V.Fma(f, w, V.Load(product + k)), v = V.Fma(momentum, V.Load(velocity + k), g);
                V.Store(v, velocity + k);
                V.Store(V.Fma(v1, v, V.Fma(g1, g, w)), centre + k);
            }
            for (; k < dimension; k++)
            {
                float g = factor * centre[k] + product[k], v = velocity[k] = rule.Momentum * velocity[k] + g;
                centre[k] -= rule.Rate * (ofGradient * g + ofVelocity * v);
            }
        }
    }
}
