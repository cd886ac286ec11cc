using Colo.Nbd.Client;

namespace Colo.Nbd.Tests.Client;

public class NbdEndpointTests
{
    [Theory]
    [InlineData("nbd://host", "host", 10809, "", false)]
    [InlineData("nbd://host/", "host", 10809, "", false)]
    [InlineData("nbds://host:10810/a%20b", "host", 10810, "a b", true)]
    [InlineData("nbd://[::1]:1234/disk/part", "::1", 1234, "disk/part", false)]
    [InlineData("nbd://[fe80::1]/x", "fe80::1", 10809, "x", false)]
    public void A_tcp_uri_names_host_port_and_export(string uri, string host, int port, string export, bool tls)
    {
        NbdEndpoint endpoint = NbdEndpoint.Parse(uri);

        (endpoint.Host, endpoint.Port, endpoint.ExportName, endpoint.UseTls, endpoint.UnixPath)
            .ShouldBe((host, port, export, tls, null));
    }

    [Theory]
    [InlineData("nbd+unix:///?socket=/run/nbd.sock", "/run/nbd.sock", "", false)]
    [InlineData("nbds+unix:///disk?socket=/run/a%20b.sock&tls-certificates=/pki", "/run/a b.sock", "disk", true)]
    public void A_unix_uri_names_socket_and_export(string uri, string path, string export, bool tls)
    {
        NbdEndpoint endpoint = NbdEndpoint.Parse(uri);

        (endpoint.UnixPath, endpoint.ExportName, endpoint.UseTls, endpoint.Host).ShouldBe((path, export, tls, null));
        endpoint.TlsCertificateDirectory.ShouldBe(tls ? "/pki" : null);
    }

    [Theory]
    [InlineData("http://host/")]
    [InlineData("nbd:host")]
    [InlineData("nbd:///export")]
    [InlineData("nbd://host:0/")]
    [InlineData("nbd://host:65536/")]
    [InlineData("nbd://host:/")]
    [InlineData("nbd+unix:///export")]
    [InlineData("nbd+unix://host/export?socket=/x")]
    [InlineData("")]
    public void Anything_else_is_refused(string uri) => Should.Throw<FormatException>(() => NbdEndpoint.Parse(uri));

    [Theory]
    [InlineData("nbd://host:10809/a%20b")]
    [InlineData("nbds://[::1]:1234/x")]
    [InlineData("nbd+unix:///x?socket=/run/nbd.sock")]
    public void Written_out_it_parses_to_the_same(string uri)
    {
        NbdEndpoint endpoint = NbdEndpoint.Parse(uri);

        endpoint.ToString().ShouldBe(uri);
        NbdEndpoint.Parse(endpoint.ToString()).ShouldBe(endpoint);
    }
}
