using Colo.Chart.Tests.Render;
using Colo.Testing;
using Colo.Testing.Kube;

namespace Colo.Chart.Tests.Cluster;

/// <summary>A real API server (1.20.2) on which `helm install` installed the chart with its defaults. Nothing runs its pods.</summary>
public sealed class InstalledChart : IAsyncLifetime
{
    private KubeApiServer? server;

    public KubeApiServer Server => server ?? throw new InvalidOperationException("the runner has not initialized this fixture");

    public Kubectl Admin => Server.Admin;

    public async ValueTask InitializeAsync()
    {
        server = await KubeApiServer.StartAsync();
        await Admin.ApplyAsync(StandInCrds.Yaml);
        (await HelmAsync("install", ColoChart.Release, ColoChart.Folder, "--create-namespace")).EnsureSuccess();
    }

    /// <summary>helm as admin in the chart's namespace.</summary>
    public Task<ToolResult> HelmAsync(params IReadOnlyList<string> arguments) =>
        ColoChart.HelmAsync([.. arguments, "--namespace", ColoChart.Namespace, "--kubeconfig", Server.AdminKubeconfig]);

    public async ValueTask DisposeAsync()
    {
        if (server is not null)
        {
            await server.DisposeAsync();
        }
    }
}
