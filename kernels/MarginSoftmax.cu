// The margin head's passes over classes (src/FaceSearch.Tensors/Ops/MarginSoftmax.cs). Unit embeddings [batch, d] in bf16,
// centres [classes, d] in bf16 or in fp32, rounded on load; classes may be a part of all: pointers are to its beginning.
//
// margin_forward: a block's tile of 128 rows × 128 classes of cosines lives in registers, and leaves (max, sum) of its
// false logits for each row and, where a row's own class is in the tile, that cosine. Logits are never written.
// margin_gradient: the same tile again, as (∂L/∂cos)/‖w‖ in bf16, and its sums along the batch. It is called for some thousand
// classes at a time, so that this stays in the L2 cache for the two products that follow (matmul_nn into the embeddings'
// gradient, margin_centres) and memory does not grow with the number of classes.
// Limits: both run at the product's rate (tile.h) over a depth of d; tiles of the same classes follow each other, so that
// centres come from memory once: at a batch of 512 and more the tensor cores are the limit, below it memory.
#include "MarginSoftmax.h"

template <class T> struct Cosines {
    DEVICE Sums operator()(const MarginTile& args, TilePlace tile) const
    {
        Matrix<bf16, DepthLast> unit((const bf16*)args.Unit, args.PitchUnit, args.Batch, args.Dimension, tile.Row * TileSide, 0);
        Matrix<T, DepthLast> centres((const T*)args.Centres, args.PitchCentres, args.Classes, args.Dimension, tile.Column * TileSide, 0);
        Sums sums;
        sums.multiply(unit, centres, (args.Dimension + TileDepth - 1) / TileDepth, shared_memory());
        return sums;
    }
};

KERNEL(margin_forward_bf16, TileThreads, MarginForwardArguments) { margin_forward<Sums>(args, Cosines<bf16>()); }
KERNEL(margin_forward_f32, TileThreads, MarginForwardArguments) { margin_forward<Sums>(args, Cosines<float>()); }
KERNEL(margin_gradient_bf16, TileThreads, MarginGradientArguments) { margin_gradient<Sums>(args, Cosines<bf16>()); }
KERNEL(margin_gradient_f32, TileThreads, MarginGradientArguments) { margin_gradient<Sums>(args, Cosines<float>()); }
