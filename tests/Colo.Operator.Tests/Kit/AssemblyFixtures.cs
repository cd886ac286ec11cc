using Colo.Testing.Kube;

[assembly: AssemblyFixture(typeof(KubeApiServerFixture))]

// Each test runs several agents; two at a time would measure each other.
[assembly: Xunit.v3.Parallelization(Mode = Xunit.Sdk.ParallelMode.None)]
