using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Colo.Nbd.Server;
using Colo.Nbd.Wire;
using Colo.Testing;

namespace Colo.Nbd.Tests.Server;

public sealed class TlsTests
{
    private const int Size = 1 << 20;

    [Fact]
    public async Task Required_tls_is_demanded_by_every_option_but_starttls_and_abort()
    {
        await using ServerFixture server = await StartAsync(NbdTlsMode.Required, TestPki.New());
        RawClient client = server.Connect().Greet();
        client.AskLast(NbdOption.List).ShouldBe(NbdOptionReply.ErrorTlsRequired);
        client.AskLast(NbdOption.Go, Bytes.InfoRequest(string.Empty)).ShouldBe(NbdOptionReply.ErrorTlsRequired);
        client.AskLast(NbdOption.StructuredReply).ShouldBe(NbdOptionReply.ErrorTlsRequired);
        client.AskLast((NbdOption)999).ShouldBe(NbdOptionReply.ErrorTlsRequired);
        client.AskLast(NbdOption.Abort).ShouldBe(NbdOptionReply.Ack);
        RawClient old = server.Connect().Greet();
        old.SendOption(NbdOption.ExportName);
        old.ShouldBeClosed();
    }

    [Fact]
    public async Task Without_tls_starttls_is_unsupported()
    {
        await using ServerFixture server = await ServerFixture.StartAsync(new MemoryDisk(Size));
        RawClient client = server.Connect().Greet();
        client.AskLast(NbdOption.StartTls).ShouldBe(NbdOptionReply.ErrorUnsupported);
        client.Go();
    }

    [Fact]
    public async Task A_client_with_a_certificate_of_our_authority_is_served_under_its_name()
    {
        TestPki pki = TestPki.New();
        PeerRecorder exports = new(new MemoryDisk(Size));
        await using ServerFixture server = await StartAsync(NbdTlsMode.Required, pki, exports);
        RawClient client = server.Connect().Greet();
        StartTls(client, pki.Client("node-b"));
        client.AskLast(NbdOption.StartTls).ShouldBe(NbdOptionReply.ErrorInvalid);
        client.Go(structured: true);
        byte[] data = Bytes.Pattern(700_001);
        client.Error(NbdCommand.Write, 1, (ulong)data.Length, payload: data).ShouldBe(0u);
        client.ReadDisk(1, data.Length).AsSpan().SequenceEqual(data).ShouldBeTrue();
        exports.Last!.IsTls.ShouldBeTrue();
        exports.Last.TlsCommonName.ShouldBe("node-b");
    }

    [Fact]
    public async Task A_client_without_a_certificate_or_with_a_foreign_one_is_not_served()
    {
        TestPki pki = TestPki.New();
        await using ServerFixture server = await StartAsync(NbdTlsMode.Required, pki);
        foreach (X509Certificate2? certificate in (X509Certificate2?[])[null, TestPki.New().Client("node-b"), pki.Server])
        {
            RawClient client = server.Connect().Greet();
            try
            {
                StartTls(client, certificate);
                client.SendOption(NbdOption.List); // TLS 1.3: the refusal arrives after the client's own handshake is done
                client.Stream.ReadByte().ShouldBe(-1);
            }
            catch (Exception e) when (e is IOException or AuthenticationException)
            {
                // Refused in the handshake.
            }
        }
    }

    [Fact]
    public async Task What_was_agreed_before_tls_is_forgotten_behind_it()
    {
        TestPki pki = TestPki.New();
        await using ServerFixture server = await StartAsync(NbdTlsMode.Allowed, pki);
        RawClient client = server.Connect().Greet();
        client.AskLast(NbdOption.StructuredReply).ShouldBe(NbdOptionReply.Ack);
        client.AskLast(NbdOption.SetMetaContext, Bytes.Query(string.Empty, "base:allocation")).ShouldBe(NbdOptionReply.Ack);
        StartTls(client, pki.Client("node-b"));
        client.AskLast(NbdOption.SetMetaContext, Bytes.Query(string.Empty, "base:allocation")).ShouldBe(NbdOptionReply.ErrorInvalid);
        client.Go();
        client.Error(NbdCommand.BlockStatus, 0, 512).ShouldBe(22u);
        client.ReadDisk(0, 512).Length.ShouldBe(512);
    }

    [Fact]
    public async Task Plaintext_injected_behind_starttls_is_never_acted_upon()
    {
        TestPki pki = TestPki.New();
        PeerRecorder exports = new(new MemoryDisk(Size));
        await using ServerFixture server = await StartAsync(NbdTlsMode.Required, pki, exports);
        RawClient client = server.Connect().Greet();
        byte[] injected = Bytes.InfoRequest("injected");
        client.Send(
        [
            .. Bytes.UInt64(NbdMagic.Option), .. Bytes.UInt32((uint)NbdOption.StartTls), .. Bytes.UInt32(0),
            .. Bytes.UInt64(NbdMagic.Option), .. Bytes.UInt32((uint)NbdOption.Go), .. Bytes.UInt32((uint)injected.Length), .. injected,
        ]);
        client.ReadAnswer().Reply.ShouldBe(NbdOptionReply.Ack);
        using SslStream tls = new(client.Stream, leaveInnerStreamOpen: true, (_, _, _, _) => true);
        Should.Throw<Exception>(() => tls.AuthenticateAsClient(ClientOptions(pki.Client("x")))).ShouldSatisfyAllConditions(
            e => (e is IOException or AuthenticationException).ShouldBeTrue(e.ToString()));
        exports.Last.ShouldBeNull();
    }

    [Fact]
    public async Task Where_tls_is_allowed_a_client_may_go_without()
    {
        await using ServerFixture server = await StartAsync(NbdTlsMode.Allowed, TestPki.New());
        server.Connect().Greet().Go().ReadDisk(0, 512).Length.ShouldBe(512);
    }

    [Fact]
    public async Task Garbage_instead_of_a_tls_hello_closes_the_connection()
    {
        await using ServerFixture server = await StartAsync(NbdTlsMode.Required, TestPki.New());
        RawClient client = server.Connect().Greet();
        client.AskLast(NbdOption.StartTls).ShouldBe(NbdOptionReply.Ack);
        client.Send(Bytes.Pattern(500));
        client.ShouldBeClosed(afterAtMost: 64); // an alert may come first
    }

    private static Task<ServerFixture> StartAsync(NbdTlsMode mode, TestPki pki, INbdExportProvider? exports = null)
    {
        NbdServerTls tls = new() { Mode = mode, Certificate = () => pki.Server, ClientAuthorities = () => [pki.Authority] };
        NbdServerOptions options = new() { Tls = tls, BusyPoll = TimeSpan.Zero };
        return ServerFixture.StartAsync(exports ?? new NbdExportTable(new NbdExport(string.Empty, new MemoryDisk(Size))), options);
    }

    private static void StartTls(RawClient client, X509Certificate2? certificate)
    {
        client.AskLast(NbdOption.StartTls).ShouldBe(NbdOptionReply.Ack);
        SslStream tls = new(client.Stream, leaveInnerStreamOpen: false, (_, _, _, _) => true);
        tls.AuthenticateAsClient(ClientOptions(certificate));
        client.Stream = tls;
    }

    private static SslClientAuthenticationOptions ClientOptions(X509Certificate2? certificate) => new()
    {
        TargetHost = "localhost",
        ClientCertificateContext = certificate is null ? null : SslStreamCertificateContext.Create(certificate, null, offline: true),
    };

    private sealed class PeerRecorder(MemoryDisk disk) : INbdExportProvider
    {
        private readonly NbdExportTable table = new(new NbdExport(string.Empty, disk));

        public NbdPeer? Last { get; private set; }

        public ValueTask<IReadOnlyList<NbdExport>> ListAsync(NbdPeer peer, CancellationToken cancellationToken) =>
            table.ListAsync(peer, cancellationToken);

        public ValueTask<NbdExportAnswer> FindAsync(string name, NbdPeer peer, CancellationToken cancellationToken)
        {
            Last = peer;
            return table.FindAsync(name, peer, cancellationToken);
        }
    }
}
