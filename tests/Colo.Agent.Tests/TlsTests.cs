using Colo.AgentApi;
using Colo.Testing;
using static Colo.Agent.Tests.AgentPair;

namespace Colo.Agent.Tests;

public class TlsTests
{
    [Fact]
    public async Task With_certificates_the_pair_replicates_and_a_primary_without_one_is_refused()
    {
        using TempDirectory keys = new(onTmpfs: true);
        (await Tool.BashAsync($"""
            cd {keys.Path}
            openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test-ca -keyout ca.key -out ca.pem
            openssl req -newkey rsa:2048 -nodes -subj /CN=node -keyout node.key -out node.csr
            openssl x509 -req -in node.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out node.pem
            """)).EnsureSuccess();
        await using AgentPair pair = await AgentPair.StartAsync(
            "--tls-certificate-file", keys.File("node.pem"), "--tls-key-file", keys.File("node.key"), "--tls-ca-file", keys.File("ca.pem"));
        string uid = await pair.CreateAsync("tls");
        await Guest.WriteAsync(pair.A.GuestUri(uid), 0x77, "0", "1M");
        await pair.A.Client.CheckpointAsync(new CheckpointRequest { Volume = Ref(uid, 1) });
        await Guest.ExpectAsync(pair.B.VmViewUri(uid), 0x77, "0", "1M");

        ToolResult plain = await Tool.RunAsync("qemu-img", "info", $"nbd://{pair.B.ReplicationAddress}/{uid}@1");
        plain.ExitCode.ShouldNotBe(0);
        plain.Error.ShouldContain("TLS");
    }
}
