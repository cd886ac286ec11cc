using System.Buffers.Binary;
using System.Security.Cryptography.X509Certificates;
using Colo.Nbd.Server;
using Colo.Nbd.Wire;
using Microsoft.Extensions.Logging;

namespace Colo.Nbd.Handshake;

/// <summary>
/// The server's side of the fixed newstyle handshake (proto.md, "Handshake phase"), over a blocking stream: greeting, then options
/// until one of them starts transmission. Bounded in time by its owner, who ends the stream.
/// </summary>
internal sealed class ServerHandshake
{
    private const int ExportNameZeroes = 124;

    private readonly NbdServerTls? tls;
    private readonly HandshakeLog log;
    private readonly OptionChannel channel;
    private readonly ExportLookup exports;
    private readonly MetaContextOptions metaContexts;
    private readonly Func<NbdExport, NbdPeer, EnterResult> enter;
    private bool noZeroes;

    /// <param name="transport">Owned by the caller.</param>
    /// <param name="peer">As the transport knows it.</param>
    /// <param name="tls">Null: no TLS.</param>
    /// <param name="provider">Asked for each name.</param>
    /// <param name="log">Where refusals go.</param>
    /// <param name="enter">Puts this connection on the export's list, or says that the export takes none.</param>
    /// <param name="token">Ends a wait for the provider.</param>
    public ServerHandshake(
        Stream transport,
        NbdPeer peer,
        NbdServerTls? tls,
        INbdExportProvider provider,
        HandshakeLog log,
        Func<NbdExport, NbdPeer, EnterResult> enter,
        CancellationToken token)
    {
        this.tls = tls;
        this.log = log;
        this.enter = enter;
        channel = new OptionChannel(transport);
        exports = new ExportLookup(provider, peer, token);
        metaContexts = new MetaContextOptions(channel, exports);
    }

    /// <summary>With the verified certificate, once TLS is on.</summary>
    public NbdPeer Peer => exports.Peer;

    private ReplyFormat Format { get; set; }

    private NbdTlsMode TlsMode => tls?.Mode ?? NbdTlsMode.None;

    /// <summary>Null when the client ended it in good order (ABORT).</summary>
    /// <exception cref="HandshakeException">the client broke the protocol, or may not go on.</exception>
    public NegotiatedSession? Run()
    {
        bool fixedNewstyle = Greet();
        for (int count = 0; count < NbdLimits.MaxOptions; count++)
        {
            OptionChannel.Received received = channel.ReadOption();
            if (!fixedNewstyle && received.Option != NbdOption.ExportName)
            {
                throw new HandshakeException($"{received.Option} from a client without fixed newstyle");
            }

            if (received.Option == NbdOption.Abort)
            {
                TryAcknowledgeAbort();
                return null;
            }

            if (HandleSafely(received) is { } negotiated)
            {
                return negotiated;
            }
        }

        throw new HandshakeException($"more than {NbdLimits.MaxOptions} options");
    }

    private bool Greet()
    {
        Span<byte> greeting = stackalloc byte[18];
        BinaryPrimitives.WriteUInt64BigEndian(greeting, NbdMagic.Init);
        BinaryPrimitives.WriteUInt64BigEndian(greeting[8..], NbdMagic.Option);
        BinaryPrimitives.WriteUInt16BigEndian(greeting[16..], (ushort)(NbdHandshakeFlags.FixedNewstyle | NbdHandshakeFlags.NoZeroes));
        channel.Write(greeting);

        Span<byte> answer = stackalloc byte[4];
        channel.ReadExactly(answer);
        NbdClientFlags flags = (NbdClientFlags)BinaryPrimitives.ReadUInt32BigEndian(answer);
        if ((flags & ~(NbdClientFlags.FixedNewstyle | NbdClientFlags.NoZeroes)) != 0)
        {
            throw new HandshakeException($"unknown client flags 0x{(uint)flags:x}");
        }

        noZeroes = flags.HasFlag(NbdClientFlags.NoZeroes);
        return flags.HasFlag(NbdClientFlags.FixedNewstyle);
    }

    private void TryAcknowledgeAbort()
    {
        try
        {
            channel.Reply(NbdOption.Abort, NbdOptionReply.Ack);
        }
        catch (IOException)
        {
            // proto.md: a client may close without waiting for this.
        }
    }

    private NegotiatedSession? HandleSafely(OptionChannel.Received received)
    {
        if (received.TooBig)
        {
            RefuseOrClose(received.Option, NbdOptionReply.ErrorTooBig, $"more than {NbdLimits.MaxOptionBytes} bytes of data");
            return null;
        }

        if (TlsMode == NbdTlsMode.Required && !Peer.IsTls && received.Option != NbdOption.StartTls)
        {
            RefuseOrClose(received.Option, NbdOptionReply.ErrorTlsRequired, "this server asks for TLS first");
            return null;
        }

        try
        {
            return Handle(received.Option, received.Data);
        }
        catch (OptionPayload.Malformed e)
        {
            RefuseOrClose(received.Option, NbdOptionReply.ErrorInvalid, e.Message);
            return null;
        }
        catch (OptionRefusedException e)
        {
            RefuseOrClose(received.Option, e.Reply, e.Message);
            return null;
        }
    }

    private NegotiatedSession? Handle(NbdOption option, byte[] data)
    {
        switch (option)
        {
            case NbdOption.ExportName:
                return StartByExportName(data);
            case NbdOption.Go:
                return AnswerInfo(option, data);
            case NbdOption.Info:
                AnswerInfo(option, data);
                return null;
            case NbdOption.List:
                RequireNoData(data);
                List();
                return null;
            case NbdOption.StartTls:
                RequireNoData(data);
                StartTls();
                return null;
            case NbdOption.StructuredReply:
                RequireNoData(data);
                NegotiateStructured();
                return null;
            case NbdOption.ExtendedHeaders:
                RequireNoData(data);
                NegotiateExtended();
                return null;
            case NbdOption.ListMetaContext:
                metaContexts.List(data, Format);
                return null;
            case NbdOption.SetMetaContext:
                metaContexts.Set(data, Format);
                return null;
            default:
                throw new OptionRefusedException(NbdOptionReply.ErrorUnsupported, "this server does not know that option");
        }
    }

    private static void RequireNoData(byte[] data)
    {
        if (data.Length > 0)
        {
            throw new OptionPayload.Malformed("this option takes no data");
        }
    }

    private void List()
    {
        foreach (NbdExport export in exports.List())
        {
            channel.Reply(NbdOption.List, NbdOptionReply.Server, InfoReplies.ListItem(export));
        }

        channel.Reply(NbdOption.List, NbdOptionReply.Ack);
    }

    private void StartTls()
    {
        if (TlsMode == NbdTlsMode.None)
        {
            throw new OptionRefusedException(NbdOptionReply.ErrorUnsupported, "this server has no TLS");
        }

        if (Peer.IsTls)
        {
            throw new OptionRefusedException(NbdOptionReply.ErrorInvalid, "TLS is already on");
        }

        channel.Reply(NbdOption.StartTls, NbdOptionReply.Ack);
        X509Certificate2? certificate;
        try
        {
            channel.Stream = TlsUpgrade.Authenticate(channel.Stream, tls!, out certificate);
        }
        catch (HandshakeException e)
        {
            tls!.Refused?.Invoke(Peer, e.Message);
            throw;
        }

        exports.Peer = Peer with { IsTls = true, Certificate = certificate };

        // Whatever was agreed in plaintext may be an attacker's (CVE-2021-3716): begin anew.
        Format = ReplyFormat.Simple;
        metaContexts.Forget();
    }

    private void NegotiateStructured()
    {
        if (Format == ReplyFormat.Extended)
        {
            throw new OptionRefusedException(NbdOptionReply.ErrorExtendedHeadersRequired, "extended headers are already agreed on");
        }

        if (Format == ReplyFormat.Structured)
        {
            throw new OptionRefusedException(NbdOptionReply.ErrorInvalid, "structured replies are already agreed on");
        }

        Format = ReplyFormat.Structured;
        channel.Reply(NbdOption.StructuredReply, NbdOptionReply.Ack);
    }

    private void NegotiateExtended()
    {
        if (Format == ReplyFormat.Extended)
        {
            throw new OptionRefusedException(NbdOptionReply.ErrorInvalid, "extended headers are already agreed on");
        }

        Format = ReplyFormat.Extended;
        channel.Reply(NbdOption.ExtendedHeaders, NbdOptionReply.Ack);
    }

    private NegotiatedSession AnswerInfo(NbdOption option, byte[] data)
    {
        InfoRequest request = InfoRequest.Parse(data);
        NbdExport export = exports.Find(request.Name);
        InfoReplies.RequireBlockSizeKnown(export, request);
        if (option == NbdOption.Go)
        {
            Enter(export);
        }

        channel.Reply(option, NbdOptionReply.Info, InfoReplies.Export(export, Format));
        channel.Reply(option, NbdOptionReply.Info, InfoReplies.BlockSize(export));
        if (request.Wants(NbdInfo.Name))
        {
            channel.Reply(option, NbdOptionReply.Info, InfoReplies.Text(NbdInfo.Name, export.Name));
        }

        if (request.Wants(NbdInfo.Description) && export.Description is { Length: > 0 } description)
        {
            channel.Reply(option, NbdOptionReply.Info, InfoReplies.Text(NbdInfo.Description, description));
        }

        channel.Reply(option, NbdOptionReply.Ack);
        return Negotiated(export, request.Name);
    }

    private NegotiatedSession StartByExportName(byte[] data)
    {
        if (Format == ReplyFormat.Extended)
        {
            throw new OptionRefusedException(NbdOptionReply.ErrorInvalid, "EXPORT_NAME after extended headers");
        }

        string name = new OptionPayload(data).ReadRemainingString();
        NbdExport export = exports.Find(name);
        Enter(export);
        Span<byte> answer = stackalloc byte[10 + ExportNameZeroes];
        answer.Clear();
        BinaryPrimitives.WriteUInt64BigEndian(answer, (ulong)export.Device.LengthBytes);
        BinaryPrimitives.WriteUInt16BigEndian(answer[8..], (ushort)InfoReplies.TransmissionFlags(export, Format));
        channel.Write(noZeroes ? answer[..10] : answer);
        return Negotiated(export, name);
    }

    /// <summary>Before the answer, and the last thing that can refuse: whoever closes the export from here on cuts this connection too.
    /// On the list only after the answer, it would miss the cut, and a former primary could still write.</summary>
    private void Enter(NbdExport export)
    {
        switch (enter(export, Peer))
        {
            case EnterResult.Closed:
                throw ExportLookup.Closed(export);
            case EnterResult.Full:
                throw new OptionRefusedException(NbdOptionReply.ErrorPolicy, $"export '{export.Name}' has as many connections as it may");
            default:
                break;
        }
    }

    private NegotiatedSession Negotiated(NbdExport export, string name)
    {
        (bool baseAllocation, bool checkpoint) = metaContexts.SelectedFor(name);
        return new(channel.Stream, export, Format, baseAllocation, checkpoint);
    }

    /// <summary>EXPORT_NAME has no error reply: all that is left is to close.</summary>
    private void RefuseOrClose(NbdOption option, NbdOptionReply reply, string reason)
    {
        if (option == NbdOption.ExportName)
        {
            throw new HandshakeException($"EXPORT_NAME refused: {reason}");
        }

        NbdServerLog.OptionRefused(log.Logger, log.ConnectionId, Peer, option, reply, reason);
        channel.ReplyError(option, reply, reason);
    }
}

/// <summary>Where a handshake writes what it refuses.</summary>
internal readonly record struct HandshakeLog(ILogger Logger, long ConnectionId);
