using Colo.Blocks;
using Colo.Nbd.Client;
using Colo.Nbd.Wire;
using Colo.Testing;

namespace Colo.Conformance.Tests.RealServers;

/// <summary>STARTTLS with certificates on both sides, against GnuTLS as nbdkit and qemu-nbd use it.</summary>
public class TlsTests
{
    private const int Size = 8 << 20;

    [Fact]
    public async Task Random_work_over_TLS_with_nbdkit_on_a_unix_socket_leaves_the_right_bytes()
    {
        using TestPki pki = new();
        await using RealServer server = await NbdkitAsync(pki);
        string uri = $"nbds+unix:///?socket={server.Endpoint.UnixPath}&tls-certificates={pki.Directory}";
        await using NbdClientDevice client = await NbdClient.ConnectAsync(uri);
        RandomWork work = new(seed: Environment.TickCount, Size);

        await work.RunAsync(client, rounds: 60);

        await work.VerifyAsync(client);
        client.Export.Tls.ShouldBeTrue();
        client.Export.StructuredReplies.ShouldBeTrue();
    }

    [Fact]
    public async Task Random_work_over_TLS_with_qemu_nbd_on_TCP_leaves_the_right_bytes()
    {
        using TestPki pki = new();
        using TempDirectory directory = new(onTmpfs: true);
        string file = directory.File("disk.raw");
        (await Tool.RunAsync("truncate", "-s", "8M", file)).EnsureSuccess();
        await using RealServer server = await RealServer.QemuNbdOnTcpAsync(
            "--object", $"tls-creds-x509,id=tls0,endpoint=server,dir={pki.Directory},verify-peer=yes",
            "--tls-creds", "tls0", "-x", "disk", "-f", "raw", file);
        NbdClientOptions options = new()
        {
            Endpoint = server.Endpoint with { UseTls = true, ExportName = "disk" },
            Tls = NbdTlsClientOptions.FromDirectory(pki.Directory),
        };
        await using NbdClientDevice client = await NbdClient.ConnectAsync(options);
        RandomWork work = new(seed: Environment.TickCount, Size);

        await work.RunAsync(client, rounds: 60);

        await work.VerifyAsync(client);
        (await NbdClient.ListAsync(options)).ShouldHaveSingleItem().Name.ShouldBe("disk");
    }

    [Fact]
    public async Task A_hundred_megabytes_in_flight_over_TLS_arrive_whole()
    {
        using TestPki pki = new();
        await using RealServer server = await NbdkitAsync(pki, "128M");
        await using NbdClientDevice client = await NbdClient.ConnectAsync(Options(server, pki));
        byte[] written = new byte[100 << 20];
        Random.Shared.NextBytes(written);
        byte[] read = new byte[written.Length];

        (await client.WriteAsync(3, written)).ShouldBe(BlockStatus.Ok);
        (await client.ReadAsync(3, read)).ShouldBe(BlockStatus.Ok);

        read.AsSpan().CommonPrefixLength(written).ShouldBe(written.Length);
    }

    [Fact]
    public async Task A_server_of_another_authority_is_refused()
    {
        using TestPki pki = new();
        using TestPki other = new();
        await using RealServer server = await NbdkitAsync(pki);

        await ShouldFailAsync(Options(server, other));
    }

    [Fact]
    public async Task A_server_of_another_name_is_refused_unless_names_do_not_matter()
    {
        using TestPki pki = new();
        await using RealServer server = await NbdkitAsync(pki);
        NbdTlsClientOptions tls = NbdTlsClientOptions.FromDirectory(pki.Directory) with { ServerName = "elsewhere" };

        await ShouldFailAsync(Options(server, pki) with { Tls = tls });

        await using NbdClientDevice client = await NbdClient.ConnectAsync(
            Options(server, pki) with { Tls = tls with { VerifyServerName = false } });
        (await client.FlushAsync()).ShouldBe(BlockStatus.Ok);
    }

    [Fact]
    public async Task A_client_without_a_certificate_gets_no_disk()
    {
        using TestPki pki = new();
        await using RealServer server = await NbdkitAsync(pki);
        NbdTlsClientOptions tls = NbdTlsClientOptions.FromDirectory(pki.Directory) with { ClientCertificate = null };

        await Should.ThrowAsync<NbdClientException>(() => NbdClient.ConnectAsync(Options(server, pki) with { Tls = tls }));
    }

    [Fact]
    public async Task A_plain_client_learns_that_TLS_is_required()
    {
        using TestPki pki = new();
        await using RealServer server = await NbdkitAsync(pki);

        NbdClientException e = await Should.ThrowAsync<NbdClientException>(() => server.ConnectAsync());

        (e.Kind, e.Refusal).ShouldBe((NbdClientErrorKind.Tls, NbdOptionReply.ErrorTlsRequired));
    }

    [Fact]
    public async Task A_plain_server_is_not_used_where_TLS_was_asked_for()
    {
        using TestPki pki = new();
        await using RealServer server = await RealServer.NbdkitAsync("memory", "8M");

        await ShouldFailAsync(Options(server, pki));
    }

    [Fact]
    public async Task Over_TLS_too_a_dead_server_fails_what_is_pending()
    {
        using TestPki pki = new();
        await using RealServer server = await RealServer.NbdkitAsync(
            "--tls=require", "--tls-certificates=" + pki.Directory, "--filter=delay", "memory", "8M", "delay-write=60");
        await using NbdClientDevice client = await NbdClient.ConnectAsync(Options(server, pki));
        ValueTask<BlockStatus> small = client.WriteAsync(0, new byte[4096]);
        ValueTask<BlockStatus> large = client.WriteAsync(0, new byte[4 << 20]);

        await server.KillAsync();

        (await small).ShouldBe(BlockStatus.IoError);
        (await large).ShouldBe(BlockStatus.IoError);
    }

    private static Task<RealServer> NbdkitAsync(TestPki pki, string size = "8M") => RealServer.NbdkitAsync(
        "--tls=require", "--tls-certificates=" + pki.Directory, "--tls-verify-peer", "memory", size);

    private static NbdClientOptions Options(RealServer server, TestPki pki) => new()
    {
        Endpoint = server.Endpoint with { UseTls = true },
        Tls = NbdTlsClientOptions.FromDirectory(pki.Directory),
    };

    private static async Task ShouldFailAsync(NbdClientOptions options) =>
        (await Should.ThrowAsync<NbdClientException>(() => NbdClient.ConnectAsync(options))).Kind.ShouldBe(NbdClientErrorKind.Tls);
}
