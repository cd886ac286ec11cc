namespace Colo.Testing.Local;

/// <summary>Finds the repository and what was built in it, in the configuration of the running test.</summary>
public static class Built
{
    /// <summary>The folder with ColoOperator.sln.</summary>
    public static string Repository { get; } = FindRepository();

    /// <exception cref="FileNotFoundException">not built (make build).</exception>
    public static string Program(string project, string program)
    {
        string configuration = AppContext.BaseDirectory.Contains("/Release/", StringComparison.Ordinal) ? "Release" : "Debug";
        string path = Path.Combine(Repository, "src", project, "bin", configuration, "net10.0", program);
        return File.Exists(path) ? path : throw new FileNotFoundException($"{path} is not built (make build)");
    }

    private static string FindRepository()
    {
        for (DirectoryInfo? at = new(AppContext.BaseDirectory); at is not null; at = at.Parent)
        {
            if (File.Exists(Path.Combine(at.FullName, "ColoOperator.sln")))
            {
                return at.FullName;
            }
        }

        throw new DirectoryNotFoundException($"no ColoOperator.sln above {AppContext.BaseDirectory}");
    }
}
