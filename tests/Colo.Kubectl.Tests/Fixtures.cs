using Colo.KubectlTests;

[assembly: AssemblyFixture(typeof(ColoCluster))]
