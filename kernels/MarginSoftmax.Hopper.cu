// The head's passes over classes, as in MarginSoftmax.cu, with cosines by compute capability 9.0's tensor maps and wgmma (hopper.h).
// Unit and Centres are tensor maps, of bf16 copies; those of a part of the classes begin at its first centre.
#include "MarginSoftmax.h"
#include "hopper.h"

struct HopperCosines {
    DEVICE HopperSums operator()(const MarginTile& args, TilePlace tile) const
    {
        TensorTile<> unit{(const TensorMap*)args.Unit, tile.Row * TileSide, 0}, centres{(const TensorMap*)args.Centres, tile.Column * TileSide, 0};
        HopperSums sums;
        sums.multiply(unit, centres, (args.Dimension + HopperDepth - 1) / HopperDepth, shared_memory());
        return sums;
    }
};

KERNEL(margin_forward_hopper, TileThreads, MarginForwardArguments) { margin_forward<HopperSums>(args, HopperCosines()); }
KERNEL(margin_gradient_hopper, TileThreads, MarginGradientArguments) { margin_gradient<HopperSums>(args, HopperCosines()); }
