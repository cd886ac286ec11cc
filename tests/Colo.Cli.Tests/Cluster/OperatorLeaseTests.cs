using Colo.Cli.Cluster;
using k8s.Models;

namespace Colo.Cli.Tests.Cluster;

public sealed class OperatorLeaseTests
{
    private static readonly TimeSpan Long = TimeSpan.FromMinutes(1);

    [Fact]
    public void A_Lease_that_changed_between_the_looks_is_an_operator_that_runs() =>
        OperatorLease.Judge([Lease("1")], [Lease("2")], Long).Runs.ShouldBe(true);

    [Fact]
    public void One_that_was_made_meanwhile_is_an_operator_that_runs() => OperatorLease.Judge([], [Lease("1")], Long).Runs.ShouldBe(true);

    [Fact]
    public void One_that_did_not_change_for_longer_than_its_duration_is_a_dead_operator() =>
        OperatorLease.Judge([Lease("1")], [Lease("1")], Long).Runs.ShouldBe(false);

    [Fact]
    public void One_that_was_not_watched_for_its_duration_tells_nothing() =>
        OperatorLease.Judge([Lease("1")], [Lease("1")], TimeSpan.FromSeconds(2)).Runs.ShouldBeNull();

    [Fact]
    public void One_that_was_given_up_between_the_looks_is_no_operator() =>
        OperatorLease.Judge([Lease("1")], [Lease("2", holder: "")], Long).Runs.ShouldBe(false);

    [Fact]
    public void Without_a_Lease_there_is_no_operator() => OperatorLease.Judge([], [], Long).Runs.ShouldBe(false);

    [Fact]
    public void Where_they_may_not_be_read_nothing_is_claimed() => OperatorLease.Judge(null, null, Long).Runs.ShouldBeNull();

    private static V1Lease Lease(string version, string holder = "operator-1") => new()
    {
        Metadata = new V1ObjectMeta { Name = "colo-operator", NamespaceProperty = "colo-system", Uid = "u", ResourceVersion = version },
        Spec = new V1LeaseSpec { HolderIdentity = holder, LeaseDurationSeconds = 6 },
    };
}
