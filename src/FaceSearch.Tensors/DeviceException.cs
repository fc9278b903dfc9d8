namespace FaceSearch.Tensors;

/// <summary>A device that is not there, or that has no memory left. The message says which and what to do.</summary>
public sealed class DeviceException(string message, Exception? inner = null) : Exception(message, inner);
