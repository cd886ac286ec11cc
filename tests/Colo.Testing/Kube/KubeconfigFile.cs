using System.Text;

namespace Colo.Testing.Kube;

/// <summary>Writes kubeconfig files that need no other file: everything is inline.</summary>
internal static class KubeconfigFile
{
    public static Task WithCertificateAsync(string path, Uri server, string authorityPem, PemPair client) =>
        WriteAsync(path, server, authorityPem, $"client-certificate-data: {Base64(client.Certificate)}, client-key-data: {Base64(client.Key)}");

    public static Task WithTokenAsync(string path, Uri server, string authorityPem, string token) =>
        WriteAsync(path, server, authorityPem, $"token: {token}");

    private static async Task WriteAsync(string path, Uri server, string authorityPem, string credentials)
    {
        string text =
            $$"""
            apiVersion: v1
            kind: Config
            clusters: [{name: test, cluster: {server: "{{server.GetLeftPart(UriPartial.Authority)}}", certificate-authority-data: {{Base64(authorityPem)}} } }]
            users: [{name: test, user: { {{credentials}} } }]
            contexts: [{name: test, context: {cluster: test, user: test, namespace: default} }]
            current-context: test

            """;
        await File.WriteAllTextAsync(path, text);
    }

    private static string Base64(string text) => Convert.ToBase64String(Encoding.ASCII.GetBytes(text));
}
