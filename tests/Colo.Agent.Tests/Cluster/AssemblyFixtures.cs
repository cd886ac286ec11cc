using Colo.Testing.Kube;

[assembly: AssemblyFixture(typeof(KubeApiServerFixture))]
