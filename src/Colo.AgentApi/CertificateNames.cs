using System.Security.Cryptography.X509Certificates;

namespace Colo.AgentApi;

/// <summary>
/// What the DNS names of a verified certificate say of its holder. A role alone (<c>colo-agent</c>) is any holder of that role. A subject in
/// front of it (<c>node-a.colo-agent</c>, <c>disk.namespace.colo-guest</c>) is that one alone: where a certificate names subjects, its bare
/// role counts for nothing, so that one issued for a node never passes for another's.
/// </summary>
public static class CertificateNames
{
    /// <summary>May call agents.</summary>
    public const string Operator = "colo-operator";

    /// <summary>An agent; its subject is its node.</summary>
    public const string Agent = "colo-agent";

    /// <summary>A guest over TCP; its subject is NAME.NAMESPACE of its volume.</summary>
    public const string Guest = "colo-guest";

    /// <summary>Any name will do: who belongs here is the authority's word alone.</summary>
    public const string Any = "*";

    /// <summary>Why the holder is not <paramref name="subject"/> in one of <paramref name="roles"/>; null where it is.</summary>
    /// <param name="certificate">Already verified against an authority.</param>
    /// <param name="roles">DNS names, or <see cref="Any"/>.</param>
    /// <param name="subject">Null: which one does not matter here.</param>
    /// <param name="subjectRequired">A bare role is not enough.</param>
    public static string? Refusal(
        X509Certificate2 certificate, IReadOnlyCollection<string> roles, string? subject = null, bool subjectRequired = false)
    {
        if (roles.Contains(Any, StringComparer.Ordinal))
        {
            return null;
        }

        string[] names = [.. Of(certificate)];
        string[] subjects = [.. roles.SelectMany(role => SubjectsOf(names, role))];
        bool holds = subjects.Length > 0
            ? subject is null || subjects.Contains(subject, StringComparer.OrdinalIgnoreCase)
            : !subjectRequired && names.Intersect(roles, StringComparer.OrdinalIgnoreCase).Any();
        return holds ? null : $"its certificate is for {string.Join(", ", names)}; needed is {Needed(roles, subject, subjectRequired)}";
    }

    /// <summary>Whether it is for certain subjects of these roles only.</summary>
    public static bool NamesSubject(X509Certificate2 certificate, IReadOnlyCollection<string> roles) =>
        !roles.Contains(Any, StringComparer.Ordinal) && Of(certificate).ToArray() is var names && roles.Any(role => SubjectsOf(names, role).Any());

    /// <summary>The DNS names, or the common name where there are none (RFC 6125, 6.4.4).</summary>
    public static IEnumerable<string> Of(X509Certificate2 certificate)
    {
        string[] dns = [.. certificate.Extensions.OfType<X509SubjectAlternativeNameExtension>().SelectMany(e => e.EnumerateDnsNames())];
        return dns.Length > 0 ? dns : [certificate.GetNameInfo(X509NameType.SimpleName, forIssuer: false)];
    }

    private static IEnumerable<string> SubjectsOf(IEnumerable<string> names, string role) =>
        from name in names
        where name.Length > role.Length + 1 && name.EndsWith("." + role, StringComparison.OrdinalIgnoreCase)
        select name[..^(role.Length + 1)];

    private static string Needed(IReadOnlyCollection<string> roles, string? subject, bool subjectRequired) => string.Join(
        " or ",
        roles.SelectMany(role => (subject, subjectRequired) switch
        {
            (null, true) => [$"NAME.{role}"],
            (null, false) => [role],
            (_, true) => [$"{subject}.{role}"],
            _ => new[] { role, $"{subject}.{role}" },
        }));
}
