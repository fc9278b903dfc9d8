namespace FaceSearch.Recognition;

/// <summary>Where decoded photographs and teachers' embeddings are kept: all of it can be made again.</summary>
public static class CacheFolder
{
    /// <summary>FACESEARCH_CACHE, else facesearch below the local application data.</summary>
    public static string Path =>
        Environment.GetEnvironmentVariable("FACESEARCH_CACHE") is { Length: > 0 } set ? set
            : System.IO.Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData), "facesearch");
}
