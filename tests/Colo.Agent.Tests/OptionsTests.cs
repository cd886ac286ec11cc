using Colo.Agent.Hosting;
using Colo.Agent.Options;
using Microsoft.Extensions.Configuration;

namespace Colo.Agent.Tests;

public class OptionsTests
{
    private static readonly string[] Minimal = ["--node-name", "a", "--pool", "default=/tmp/p"];

    private static AgentOptions Bind(params string[] arguments)
    {
        ConfigurationBuilder builder = new();
        builder.AddAgentConfiguration(arguments);
        return builder.Build().Get<AgentOptions>()!;
    }

    private static string Faults(params string[] arguments) => string.Join('\n', new AgentOptionsValidator().Validate(null, Bind(arguments)).Failures ?? []);

    [Fact]
    public void Node_and_pool_are_enough() => Faults(Minimal).ShouldBeEmpty();

    [Fact]
    public void Every_spelling_of_a_key_finds_it()
    {
        AgentOptions options = Bind([.. Minimal, "--tls-key-file=/k", "--max-volumes", "7", "--pool", "fast=/f", "--log-format", "json"]);
        options.Tls.KeyFile.ShouldBe("/k");
        options.Limits.MaxVolumes.ShouldBe(7);
        options.Pools.ShouldBe(new Dictionary<string, string> { ["default"] = "/tmp/p", ["fast"] = "/f" }, ignoreOrder: true);
        options.LogFormat.ShouldBe("json");
    }

    [Fact]
    public void An_argument_that_is_no_option_is_refused_with_the_list() =>
        Should.Throw<ArgumentException>(() => Bind("--nod-name", "a")).Message.ShouldContain("--node-name");

    [Theory]
    [InlineData("NodeName", "--node-name", "a b")]
    [InlineData("Pools:default", "--pool", "default=relative")]
    [InlineData("SocketDirectory", "--socket-directory", "relative")]
    [InlineData("GrpcListen", "--grpc-listen", "127.0.0.1")]
    [InlineData("GrpcListen", "--grpc-listen", "unix:relative")]
    [InlineData("ReplicationListen", "--replication-listen", "unix:/a/b")]
    [InlineData("ReplicationListen", "--replication-listen", "127.0.0.1:70000")]
    [InlineData("Limits:MaxVolumes: 1-4096, not 0", "--max-volumes", "0")]
    [InlineData("LogFormat (--log-format): text or json, not 'xml'", "--log-format", "xml")]
    [InlineData("Tls:CertificateFile, Tls:KeyFile, Tls:CaFile: all three, or none", "--tls-key-file", "/dev/null")]
    public void A_value_out_of_range_names_its_key_and_what_is_allowed(string expected, string key, string value) =>
        Faults([.. Minimal, key, value]).ShouldContain(expected);

    [Theory]
    [InlineData("Kubernetes (--kubernetes): auto, true or false, not 'maybe'", "--kubernetes", "maybe")]
    [InlineData("Kubeconfig (--kubeconfig): no file at '/nowhere'", "--kubeconfig", "/nowhere")]
    [InlineData("AdvertiseIp (--advertise-ip, POD_IP): an IP address", "--advertise-ip", "node-a")]
    [InlineData("GrpcAdvertise (--grpc-advertise): host:port", "--grpc-advertise", "node-a")]
    [InlineData("Limits:KubernetesTimeoutMilliseconds: 100-60000, not 5", "--kubernetes-timeout-milliseconds", "5")]
    [InlineData("Tls:CertificateFile: no file at '/nowhere/tls.crt'", "--tls-directory", "/nowhere")]
    [InlineData("GuestTls (--guest-tls): auto, required or none, not 'maybe'", "--guest-tls", "maybe")]
    [InlineData("GuestTls (--guest-tls): required needs Tls:Directory", "--guest-tls", "required")]
    [InlineData("GuestSocketGroup (--guest-socket-group): the number of a group, not 'kvm'", "--guest-socket-group", "kvm")]
    [InlineData("GuestSocketMode (--guest-socket-mode): octal, 0600 to 0666, not '0770'", "--guest-socket-mode", "0770")]
    [InlineData("GuestSocketMode (--guest-socket-mode): octal, 0600 to 0666, not '0060'", "--guest-socket-mode", "0060")]
    public void A_value_that_a_cluster_could_not_use_names_its_key_too(string expected, string key, string value) =>
        Faults([.. Minimal, key, value]).ShouldContain(expected);

    [Fact]
    public void What_a_pod_is_told_of_itself_counts_where_nothing_else_is_said()
    {
        Dictionary<string, string> pod = new()
        {
            ["NODE_NAME"] = "node-7", ["POD_IP"] = "10.1.2.3", ["POD_NAMESPACE"] = "colo", ["COLO_AGENT_KUBERNETES_NAMESPACE"] = "other",
        };
        ConfigurationBuilder builder = new();
        builder.AddAgentConfiguration(["--pool", "default=/tmp/p"], pod);
        AgentOptions options = builder.Build().Get<AgentOptions>()!;
        options.NodeName.ShouldBe("node-7");
        options.AdvertiseIp.ShouldBe("10.1.2.3");
        options.KubernetesNamespace.ShouldBe("other");

        builder.AddAgentConfiguration(["--node-name", "named"], pod);
        builder.Build().Get<AgentOptions>()!.NodeName.ShouldBe("named");
    }

    [Fact]
    public void A_mounted_secret_is_three_files_and_single_files_win()
    {
        TlsOptions tls = Bind([.. Minimal, "--tls-directory", "/etc/tls", "--tls-ca-file", "/ca.pem"]).Tls;
        (tls.IsEnabled, tls.CertificatePath, tls.KeyPath, tls.CaPath).ShouldBe((true, "/etc/tls/tls.crt", "/etc/tls/tls.key", "/ca.pem"));
        Bind(Minimal).Tls.IsEnabled.ShouldBeFalse();
    }

    [Theory]
    [InlineData("", "127.0.0.1:9541", "10.1.2.3", "127.0.0.1:9541")]
    [InlineData("", "0.0.0.0:9541", "10.1.2.3", "10.1.2.3:9541")]
    [InlineData("", "[::]:9541", "fd00::7", "[fd00::7]:9541")]
    [InlineData("", "0.0.0.0:9541", "", "0.0.0.0:9541")]
    [InlineData("node-a:0", "0.0.0.0:9541", "10.1.2.3", "node-a:9541")]
    [InlineData("node-a:80", "0.0.0.0:9541", "10.1.2.3", "node-a:80")]
    public void Others_are_told_what_they_can_dial(string configured, string bound, string nodeIp, string expected) =>
        AdvertisedAddress.Of(configured, System.Net.IPEndPoint.Parse(bound), nodeIp).ShouldBe(expected);

    [Fact]
    public void A_socket_directory_too_long_for_a_unix_socket_is_refused_at_start() =>
        Faults([.. Minimal, "--socket-directory", "/" + new string('d', 60)]).ShouldContain("SocketDirectory");
}
