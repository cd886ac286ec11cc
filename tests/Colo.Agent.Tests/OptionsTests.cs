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

    [Fact]
    public void A_socket_directory_too_long_for_a_unix_socket_is_refused_at_start() =>
        Faults([.. Minimal, "--socket-directory", "/" + new string('d', 60)]).ShouldContain("SocketDirectory");
}
