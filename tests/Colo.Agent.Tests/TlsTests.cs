using System.Security.Cryptography.X509Certificates;
using Colo.AgentApi;
using Colo.Testing;
using Grpc.Core;
using Grpc.Net.Client;
using static Colo.Agent.Tests.AgentPair;

namespace Colo.Agent.Tests;

public class TlsTests
{
    [Fact]
    public async Task With_certificates_the_pair_replicates_and_a_primary_without_one_is_refused()
    {
        using TempDirectory keys = await KeysAsync();
        await using AgentPair pair = await AgentPair.StartAsync(Arguments(keys));
        string uid = await pair.CreateAsync("tls");
        await Guest.WriteAsync(pair.A.GuestUri(uid), 0x77, "0", "1M");
        await pair.A.Client.CheckpointAsync(new CheckpointRequest { Volume = Ref(uid, 1) });
        await Guest.ExpectAsync(pair.B.VmViewUri(uid), 0x77, "0", "1M");

        ToolResult plain = await Tool.RunAsync("qemu-img", "info", $"nbd://{pair.B.ReplicationAddress}/{uid}@1");
        plain.ExitCode.ShouldNotBe(0);
        plain.Error.ShouldContain("TLS");
    }

    [Fact]
    public async Task Grpc_over_TCP_takes_a_caller_with_a_certificate_and_no_other()
    {
        using TempDirectory keys = await KeysAsync();
        using TempDirectory directory = new(onTmpfs: true);
        int port = AgentUnderTest.FreePort();
        string socket = Path.Combine(directory.Path, "a", "grpc.sock");
        await using AgentUnderTest agent = await AgentUnderTest.StartAsync(
            "a", directory.Path, directory.File("arb"), [.. Arguments(keys), "--grpc-listen", $"unix:{socket},127.0.0.1:{port}"]);
        using X509Certificate2 certificate = X509Certificate2.CreateFromPemFile(keys.File("node.pem"), keys.File("node.key"));
        (await StatusAsync(port, certificate)).Node.Node.ShouldBe("a");
        (await Should.ThrowAsync<RpcException>(() => StatusAsync(port, null))).StatusCode.ShouldBeOneOf(StatusCode.Unavailable, StatusCode.Internal);
    }

    private static async Task<StatusReply> StatusAsync(int port, X509Certificate2? certificate)
    {
        using SocketsHttpHandler handler = new();
        handler.SslOptions.RemoteCertificateValidationCallback = (_, _, _, _) => true;
        handler.SslOptions.ClientCertificates = certificate is null ? null : [certificate];
        using GrpcChannel channel = GrpcChannel.ForAddress($"https://127.0.0.1:{port}", new GrpcChannelOptions { HttpHandler = handler });
        return await new AgentApi.Agent.AgentClient(channel).StatusAsync(new StatusRequest(), deadline: DateTime.UtcNow.AddSeconds(60));
    }

    private static string[] Arguments(TempDirectory keys) =>
        ["--tls-certificate-file", keys.File("node.pem"), "--tls-key-file", keys.File("node.key"), "--tls-ca-file", keys.File("ca.pem")];

    private static async Task<TempDirectory> KeysAsync()
    {
        TempDirectory keys = new(onTmpfs: true);
        (await Tool.BashAsync($"""
            cd {keys.Path}
            openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test-ca -keyout ca.key -out ca.pem
            openssl req -newkey rsa:2048 -nodes -subj /CN=node -keyout node.key -out node.csr
            openssl x509 -req -in node.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out node.pem
            """)).EnsureSuccess();
        return keys;
    }
}
