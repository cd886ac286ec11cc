using Colo.Testing;
using Colo.Testing.Kube;
using Colo.Testing.Local;

namespace Colo.KubectlTests;

/// <summary>coloctl as one user of one cluster, in one namespace; by its own name, or called by kubectl.</summary>
internal sealed class Coloctl(string kubeconfig, string @namespace)
{
    /// <summary>From its own folder: beside the operator, whose framework has more in it, some of its libraries are left out.</summary>
    public static readonly string Program = Built.Program("Colo.Cli", "coloctl");

    public string Namespace => @namespace;

    public string CommandLine(string arguments) => $"{Program} {arguments} --kubeconfig {kubeconfig} -n {@namespace}";

    /// <summary>Without -n where <paramref name="arguments"/> say which namespaces.</summary>
    public Task<ToolResult> RunAsync(params string[] arguments) => RunWithAsync([], arguments);

    public async Task<ToolResult> RunWithAsync(Dictionary<string, string> environment, params string[] arguments)
    {
        await using RunningTool tool = Start(environment, arguments);
        return await tool.WaitAsync();
    }

    public RunningTool Start(Dictionary<string, string> environment, params string[] arguments)
    {
        string[] inNamespace = arguments.Any(a => a is "-A" or "-n") ? [] : ["-n", @namespace];
        RunningTool tool = RunningTool.Start(Program, [.. arguments, "--kubeconfig", kubeconfig, .. inNamespace], environment);
        tool.Process.StandardInput.Close();
        return tool;
    }

    /// <summary>`kubectl colo ...`, with the plugin found in PATH.</summary>
    public async Task<ToolResult> ByKubectlAsync(params string[] arguments)
    {
        string output = Path.GetDirectoryName(Built.Program("Colo.Cli", "kubectl-colo"))!;
        Dictionary<string, string> environment = new(StringComparer.Ordinal)
        {
            ["PATH"] = output + ":" + Environment.GetEnvironmentVariable("PATH"),
            ["KUBECONFIG"] = kubeconfig,
        };
        await using RunningTool tool = RunningTool.Start(await KubePrograms.PathOfAsync("kubectl"), arguments, environment);
        tool.Process.StandardInput.Close();
        return await tool.WaitAsync();
    }
}
