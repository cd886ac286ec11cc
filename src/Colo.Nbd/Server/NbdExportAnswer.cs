using Colo.Nbd.Wire;

namespace Colo.Nbd.Server;

/// <summary>An export, or the refusal that the client gets to read (NBD_REP_ERR_* with a message).</summary>
public sealed class NbdExportAnswer
{
    private NbdExportAnswer(NbdExport? export, NbdOptionReply refusal, string message)
    {
        Export = export;
        Refusal = refusal;
        Message = message;
    }

    /// <summary>Null where refused.</summary>
    public NbdExport? Export { get; }

    internal NbdOptionReply Refusal { get; }

    /// <summary>For a person: why it was refused.</summary>
    public string Message { get; }

    public static NbdExportAnswer Serve(NbdExport export) => new(export, NbdOptionReply.Ack, string.Empty);

    /// <summary>No such export (ERR_UNKNOWN): a client may try again when it has been created.</summary>
    public static NbdExportAnswer Unknown(string message) => new(null, NbdOptionReply.ErrorUnknown, message);

    /// <summary>It exists, but not for this peer or not now (ERR_POLICY): an older term, a secondary, a foreign certificate.</summary>
    public static NbdExportAnswer RefusedByPolicy(string message) => new(null, NbdOptionReply.ErrorPolicy, message);

    /// <summary>It is being shut down (ERR_SHUTDOWN).</summary>
    public static NbdExportAnswer ShuttingDown(string message) => new(null, NbdOptionReply.ErrorShutdown, message);
}
