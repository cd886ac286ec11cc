using Colo.Operator.Options;

namespace Colo.Operator.Tests;

public sealed class OptionsTests
{
    private static readonly Dictionary<string, string> NoEnvironment = [];

    private static OperatorOptions Parse(params string[] arguments) =>
        OperatorOptionsParser.Parse(OperatorConfiguration.Read(arguments, NoEnvironment));

    [Fact]
    public void The_command_line_overrides_the_environment()
    {
        Dictionary<string, string> environment = new() { ["COLO_OPERATOR_WORKERS"] = "7", ["COLO_OPERATOR_DELETION_GRACE"] = "90s" };
        OperatorOptions options = OperatorOptionsParser.Parse(
            OperatorConfiguration.Read(["--namespace", "colo", "--workers=9"], environment));
        options.Workers.ShouldBe(9);
        options.DeletionGrace.ShouldBe(TimeSpan.FromSeconds(90));
        options.WatchNamespaces.ShouldBeEmpty();
        options.LeaderElect.ShouldBeTrue();
    }

    [Fact]
    public void A_word_that_is_no_option_is_refused() =>
        Should.Throw<ArgumentException>(() => Parse("--worker", "3")).Message.ShouldContain("--worker");

    [Fact]
    public void Every_fault_is_named_at_once()
    {
        OperatorOptionsException e = Should.Throw<OperatorOptionsException>(() => Parse(
            "--namespace=Colo", "--workers=0", "--leader-lease=1s", "--metrics-listen=8080", "--tls-key-file=/nowhere/key"));
        e.Faults.Select(f => f.Split(':')[0]).ShouldBe(
            ["--namespace", "--metrics-listen", "--leader-lease", "--workers", "--tls-key-file", "--tls-certificate-file, --tls-key-file, --tls-ca-file"],
            ignoreOrder: true);
    }

    [Fact]
    public void Namespaces_are_a_list_and_leader_elect_alone_says_true()
    {
        OperatorOptions options = Parse("--namespace", "colo", "--watch-namespaces", "vms, db", "--leader-elect");
        options.WatchNamespaces.ShouldBe(["vms", "db"]);
        options.LeaderElect.ShouldBeTrue();
    }
}
