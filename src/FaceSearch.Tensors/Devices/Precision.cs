namespace FaceSearch.Tensors;

/// <summary>
/// In what a device computes. Fp32: everything in floats. Bf16: maps in memory and the operands of tensor cores have 8 bits of precision;
/// sums, statistics, losses, matrices and parameters stay floats.
/// </summary>
public enum Precision { Fp32, Bf16 }
