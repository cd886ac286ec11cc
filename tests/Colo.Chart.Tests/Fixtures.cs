using Colo.Chart.Tests.Cluster;
using Colo.Testing.Kube;

[assembly: AssemblyFixture(typeof(KubeApiServerFixture))]
[assembly: AssemblyFixture(typeof(InstalledChart))]
