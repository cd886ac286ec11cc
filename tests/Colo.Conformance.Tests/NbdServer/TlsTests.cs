using System.Security.Cryptography.X509Certificates;
using Colo.Nbd.Server;
using Colo.Testing;

namespace Colo.Conformance.Tests.ServerSide;

/// <summary>Certificates made by GnuTLS' certtool, as QEMU's documentation tells people to; clients of libnbd and QEMU.</summary>
public sealed class TlsTests
{
    private const long Size = 64 << 20;

    [Fact]
    public async Task Libnbd_and_qemu_are_served_over_tls_with_client_certificates()
    {
        using TempDirectory pki = new();
        await MakePkiAsync(pki);
        await using NbdServer server = Serve(pki, out NbdExport export);
        await server.StartAsync();
        int port = ((System.Net.IPEndPoint)server.Endpoints[0]).Port;

        string uri = $"nbds://localhost:{port}/disk?tls-certificates={pki.Path}";
        string info = (await Tool.RunAsync("nbdinfo", uri)).EnsureSuccess();
        info.ShouldContain("with TLS");
        info.ShouldContain($"{Size}");

        string source = pki.File("in");
        (await Tool.BashAsync($"head -c 20000001 /dev/urandom > {source}; truncate -s {Size} {source}")).EnsureSuccess();
        (await Tool.RunAsync("nbdcopy", "--connections=4", source, uri)).EnsureSuccess();
        string image = $"driver=raw,file.driver=nbd,file.server.type=inet,file.server.host=localhost,file.server.port={port},"
            + "file.export=disk,file.tls-creds=tls0";
        (await Tool.RunAsync(
            "qemu-img", "compare", "--object", $"tls-creds-x509,id=tls0,endpoint=client,dir={pki.Path}", "--image-opts",
            $"driver=raw,file.driver=file,file.filename={source}", image)).EnsureSuccess();
        await Eventually.TrueAsync(() => export.Connections.Count == 0, "every client has left");
    }

    [Fact]
    public async Task Plaintext_and_foreign_certificates_are_turned_away()
    {
        using TempDirectory pki = new();
        using TempDirectory foreign = new();
        await MakePkiAsync(pki);
        await MakePkiAsync(foreign);
        await using NbdServer server = Serve(pki, out _);
        await server.StartAsync();
        int port = ((System.Net.IPEndPoint)server.Endpoints[0]).Port;
        (await Tool.RunAsync("nbdinfo", $"nbd://localhost:{port}/disk")).ExitCode.ShouldNotBe(0);
        ToolResult plain = await Tool.RunAsync("qemu-img", "info", $"nbd://localhost:{port}/disk");
        plain.ExitCode.ShouldNotBe(0);
        plain.Error.ShouldContain("TLS");

        // The foreign client believes our server, and shows a certificate that our server must not believe.
        File.Copy(pki.File("ca-cert.pem"), foreign.File("ca-cert.pem"), overwrite: true);
        (await Tool.RunAsync("nbdinfo", $"nbds://localhost:{port}/disk?tls-certificates={foreign.Path}")).ExitCode.ShouldNotBe(0);
    }

    private static NbdServer Serve(TempDirectory pki, out NbdExport export)
    {
        using X509Certificate2 pem = X509Certificate2.CreateFromPemFile(pki.File("server-cert.pem"), pki.File("server-key.pem"));
        X509Certificate2 certificate = X509CertificateLoader.LoadPkcs12(pem.Export(X509ContentType.Pkcs12), null);
        X509Certificate2 authority = X509CertificateLoader.LoadCertificateFromFile(pki.File("ca-cert.pem"));
        NbdServerTls tls = new() { Mode = NbdTlsMode.Required, Certificate = () => certificate, ClientAuthorities = () => [authority] };
        export = new("disk", new SparseDisk(Size));
        NbdListener listener = new NbdListener.Tcp(new(System.Net.IPAddress.Loopback, 0));
        return new(new() { Listeners = [listener], Tls = tls }, new NbdExportTable(export));
    }

    private static async Task MakePkiAsync(TempDirectory directory)
    {
        string script = $"""
            cd {directory.Path}
            make() {"{"} printf '%s\n' "${"{"}@:2{"}"}" > $1.info; certtool --generate-privkey --outfile $1-key.pem; {"}"}
            make ca 'cn = Test CA' ca cert_signing_key
            certtool --generate-self-signed --load-privkey ca-key.pem --template ca.info --outfile ca-cert.pem
            make server 'cn = localhost' 'dns_name = localhost' 'ip_address = 127.0.0.1' tls_www_server encryption_key signing_key
            make client 'cn = client' tls_www_client encryption_key signing_key
            for who in server client; do
              certtool --generate-certificate --load-ca-certificate ca-cert.pem --load-ca-privkey ca-key.pem \
                --load-privkey $who-key.pem --template $who.info --outfile $who-cert.pem
            done
            """;
        (await Tool.BashAsync(script)).EnsureSuccess();
    }
}
