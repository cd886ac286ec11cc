using Colo.Testing.Kube;

[assembly: AssemblyFixture(typeof(KubeApiServerFixture))]

// Each test runs several agents; two at a time would measure each other.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
