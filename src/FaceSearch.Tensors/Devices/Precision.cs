namespace FaceSearch.Tensors;

/// <summary>
/// In what a device computes. Fp32: everything in floats. Bf16: products of tensor cores, whose operands have 8 bits of precision;
/// sums, statistics, losses and parameters stay floats.
/// </summary>
public enum Precision { Fp32, Bf16 }
