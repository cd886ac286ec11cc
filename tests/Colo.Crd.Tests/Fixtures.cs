[assembly: AssemblyFixture(typeof(Colo.Crd.Tests.CrdFixture))]
