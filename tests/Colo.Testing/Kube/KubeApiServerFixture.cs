using Xunit;

namespace Colo.Testing.Kube;

/// <summary>
/// One API server for all test classes of a project that ask for it: <c>[assembly: AssemblyFixture(typeof(KubeApiServerFixture))]</c>,
/// then a constructor parameter of this type. Tests share it: each works in a namespace of its own
/// (<see cref="NewNamespaceAsync"/>), and whoever stops the server starts one of his own instead.
/// </summary>
public sealed class KubeApiServerFixture : IAsyncLifetime
{
    private KubeApiServer? server;
    private int namespaces;

    public KubeApiServer Server => server ?? throw new InvalidOperationException("the runner has not initialized this fixture");

    public Kubectl Admin => Server.Admin;

    public async ValueTask InitializeAsync() => server = await KubeApiServer.StartAsync();

    /// <summary>A namespace that no other test has.</summary>
    public async Task<string> NewNamespaceAsync()
    {
        string name = $"test-{Interlocked.Increment(ref namespaces)}";
        await Admin.OutputAsync("create", "namespace", name);
        return name;
    }

    public async ValueTask DisposeAsync()
    {
        if (server is not null)
        {
            await server.DisposeAsync();
        }
    }
}
