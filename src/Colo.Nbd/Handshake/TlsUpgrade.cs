using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Colo.Nbd.Server;

namespace Colo.Nbd.Handshake;

/// <summary>The TLS handshake behind NBD_OPT_STARTTLS.</summary>
internal static class TlsUpgrade
{
    private const string ClientAuthentication = "1.3.6.1.5.5.7.3.2";

    /// <param name="transport">Positioned behind STARTTLS; closed with the returned stream.</param>
    /// <param name="tls">Our certificate, and whose clients we believe.</param>
    /// <param name="certificate">The client's, verified; null where none was asked for.</param>
    /// <exception cref="HandshakeException">no TLS came, or no client that we believe.</exception>
    public static SslStream Authenticate(Stream transport, NbdServerTls tls, out X509Certificate2? certificate)
    {
        X509Certificate2Collection? authorities = tls.ClientAuthorities?.Invoke();
        string? refusal = null;
        SslServerAuthenticationOptions options = new()
        {
            ServerCertificateContext = SslStreamCertificateContext.Create(tls.Certificate(), tls.Intermediates?.Invoke(), offline: true),
            ClientCertificateRequired = authorities is not null,
            EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
            AllowRenegotiation = false,
            CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
            RemoteCertificateValidationCallback = (_, presented, sent, _) =>
                authorities is null || (refusal = Distrust(presented, authorities, sent?.ChainPolicy.ExtraStore)) is null,
        };
        SslStream stream = new(transport, leaveInnerStreamOpen: true);
        try
        {
            stream.AuthenticateAsServer(options);
        }
        catch (Exception e) when (e is AuthenticationException or IOException or InvalidOperationException)
        {
            stream.Dispose();
            throw new HandshakeException($"TLS failed: {refusal ?? e.Message}", e);
        }

        certificate = authorities is null ? null : (X509Certificate2?)stream.RemoteCertificate;
        return stream;
    }

    /// <summary>Why the certificate is not believed; null where it is.</summary>
    private static string? Distrust(
        X509Certificate? presented, X509Certificate2Collection authorities, X509Certificate2Collection? sentAlong)
    {
        if (presented is not X509Certificate2 certificate)
        {
            return "the client showed no certificate";
        }

        using X509Chain chain = new();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.AddRange(authorities);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.DisableCertificateDownloads = true;
        chain.ChainPolicy.ExtraStore.AddRange(sentAlong ?? []);
        chain.ChainPolicy.ApplicationPolicy.Add(new Oid(ClientAuthentication));
        return chain.Build(certificate)
            ? null
            : $"{certificate.Subject}, issued by {certificate.Issuer}: {string.Join(", ", chain.ChainStatus.Select(status => status.StatusInformation.Trim()))}";
    }
}
