using Colo.Kubectl.Tests;

[assembly: AssemblyFixture(typeof(ColoCluster))]
