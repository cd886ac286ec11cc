using System.Buffers.Binary;
using System.Numerics;
using System.Text;
using Colo.Nbd.Wire;

namespace Colo.Nbd.Client;

/// <summary>
/// The client's part of the newstyle handshake (proto.md, "Negotiation"): greeting, TLS, the features wanted, then GO, INFO or
/// LIST. Every length is capped before it is read.
/// </summary>
internal sealed class ClientHandshake
{
    private const int ExportNameZeroes = 124;
    private const uint MaxMinimumBlockBytes = 64 << 10;

    private readonly ClientTransport transport;
    private readonly OptionExchange exchange;
    private readonly NbdClientOptions options;
    private readonly string exportName;
    private bool noZeroes;
    private bool fixedNewstyle;
    private NbdExportInfo agreed = new() { SizeBytes = 0, Flags = NbdTransmissionFlags.None };

    private ClientHandshake(ClientTransport transport, NbdClientOptions options)
    {
        (this.transport, this.options) = (transport, options);
        exchange = new OptionExchange(transport, options.Endpoint);
        exportName = options.Endpoint.ExportName;
    }

    /// <summary>Connects, greets, and starts TLS where the endpoint asks for it.</summary>
    public static ClientHandshake Begin(ClientTransport transport, NbdClientOptions options)
    {
        ClientHandshake handshake = new(transport, options);
        transport.Connect(options.Endpoint);
        handshake.Greet();
        if (options.Endpoint.UseTls)
        {
            handshake.StartTls();
        }

        return handshake;
    }

    /// <summary>Negotiates the features and enters transmission.</summary>
    public NbdExportInfo Go()
    {
        NegotiateFeatures();
        return AskExport(NbdOption.Go) ?? AskByExportName();
    }

    public NbdExportInfo Info()
    {
        NegotiateFeatures();
        NbdExportInfo info = AskExport(NbdOption.Info)
            ?? throw new NbdClientException(NbdOptionReply.ErrorUnsupported, $"{options.Endpoint}: the server has no INFO");
        SayAbort();
        return info;
    }

    public IReadOnlyList<NbdExportListing> List()
    {
        List<NbdExportListing> exports = [];
        NbdOptionReply end = exchange.Ask(NbdOption.List, [], (reply, data) =>
        {
            if (reply != NbdOptionReply.Server || data.Length < 4)
            {
                throw Unexpected(NbdOption.List, reply);
            }

            uint nameLength = BinaryPrimitives.ReadUInt32BigEndian(data);
            if (nameLength > NbdLimits.MaxStringBytes || nameLength > data.Length - 4)
            {
                throw BadLength("a name in the list of exports", nameLength);
            }

            exports.Add(new NbdExportListing(
                Encoding.UTF8.GetString(data.Slice(4, (int)nameLength)),
                Encoding.UTF8.GetString(data[(4 + (int)nameLength)..])));
        });
        Require(end, NbdOption.List);
        SayAbort();
        return exports;
    }

    private void Greet()
    {
        Span<byte> greeting = stackalloc byte[18];
        transport.ReceiveExactly(greeting[..16]);
        ulong magic = BinaryPrimitives.ReadUInt64BigEndian(greeting);
        ulong style = BinaryPrimitives.ReadUInt64BigEndian(greeting[8..]);
        if (magic != NbdMagic.Init || style != NbdMagic.Option)
        {
            throw new NbdClientException(
                NbdClientErrorKind.BadMagic, $"{options.Endpoint}: not a newstyle NBD server (greeting {magic:x16} {style:x16})");
        }

        transport.ReceiveExactly(greeting.Slice(16, 2));
        NbdHandshakeFlags server = (NbdHandshakeFlags)BinaryPrimitives.ReadUInt16BigEndian(greeting[16..]);
        fixedNewstyle = (server & NbdHandshakeFlags.FixedNewstyle) != 0;
        noZeroes = (server & NbdHandshakeFlags.NoZeroes) != 0;
        NbdClientFlags client = (fixedNewstyle ? NbdClientFlags.FixedNewstyle : NbdClientFlags.None)
            | (noZeroes ? NbdClientFlags.NoZeroes : NbdClientFlags.None);
        Span<byte> answer = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(answer, (uint)client);
        transport.SendAll(answer);
    }

    private void StartTls()
    {
        NbdTlsClientOptions tls = options.Tls
            ?? (options.Endpoint.TlsCertificateDirectory is { } directory
                ? NbdTlsClientOptions.FromDirectory(directory)
                : throw new NbdClientException(
                    NbdClientErrorKind.Tls, $"{options.Endpoint}: TLS needs {nameof(NbdClientOptions.Tls)} or tls-certificates=DIRECTORY"));
        NbdOptionReply reply = fixedNewstyle ? exchange.Ask(NbdOption.StartTls, [], onReply: null) : NbdOptionReply.ErrorUnsupported;
        if (reply != NbdOptionReply.Ack)
        {
            throw new NbdClientException(NbdClientErrorKind.Tls, $"{options.Endpoint}: the server refuses TLS ({reply})");
        }

        transport.StartTls(tls, options.Endpoint.Host ?? "localhost");
        agreed = agreed with { Tls = true };
    }

    private void NegotiateFeatures()
    {
        if (!fixedNewstyle)
        {
            // Such a server hangs up on any option but EXPORT_NAME.
            return;
        }

        if (options.RequestExtendedHeaders && Accepts(NbdOption.ExtendedHeaders))
        {
            agreed = agreed with { ExtendedHeaders = true, StructuredReplies = true };
        }
        else if (options.RequestStructuredReplies && Accepts(NbdOption.StructuredReply))
        {
            agreed = agreed with { StructuredReplies = true };
        }

        if (agreed.StructuredReplies && (options.RequestBaseAllocation || options.RequestCheckpoint))
        {
            SetMetaContexts();
        }
    }

    private bool Accepts(NbdOption option)
    {
        NbdOptionReply reply = exchange.Ask(option, [], onReply: null);
        return reply == NbdOptionReply.Ack
            || (reply == NbdOptionReply.ErrorTlsRequired ? throw Refused(option, reply) : false);
    }

    private void SetMetaContexts()
    {
        OptionData data = new();
        data.String(exportName);
        data.UInt32((options.RequestBaseAllocation ? 1u : 0) + (options.RequestCheckpoint ? 1u : 0));
        if (options.RequestBaseAllocation)
        {
            data.String(ColoMetaContext.BaseAllocation);
        }

        if (options.RequestCheckpoint)
        {
            data.String(ColoMetaContext.Checkpoint);
        }

        uint? allocation = null;
        uint? checkpoint = null;
        NbdOptionReply end = exchange.Ask(NbdOption.SetMetaContext, data.Bytes, (reply, item) =>
        {
            if (reply != NbdOptionReply.MetaContext || item.Length < 4)
            {
                throw Unexpected(NbdOption.SetMetaContext, reply);
            }

            uint id = BinaryPrimitives.ReadUInt32BigEndian(item);
            switch (Encoding.UTF8.GetString(item[4..]))
            {
                case ColoMetaContext.BaseAllocation when options.RequestBaseAllocation && allocation is null:
                    allocation = id;
                    break;
                case ColoMetaContext.Checkpoint when options.RequestCheckpoint && checkpoint is null:
                    checkpoint = id;
                    break;
                case var name:
                    throw new NbdClientException(
                        NbdClientErrorKind.UnexpectedReply, $"{options.Endpoint}: meta context '{name}' was not asked for");
            }
        });

        // A server without block status refuses the option as a whole; the export serves all the same.
        if (end == NbdOptionReply.Ack)
        {
            agreed = agreed with { BaseAllocationId = allocation, CheckpointId = checkpoint };
        }
    }

    /// <summary>GO or INFO. Null: the server does not know the option.</summary>
    private NbdExportInfo? AskExport(NbdOption option)
    {
        if (!fixedNewstyle)
        {
            return null;
        }

        OptionData data = new();
        data.String(exportName);
        data.UInt16(3);
        data.UInt16((ushort)NbdInfo.Name);
        data.UInt16((ushort)NbdInfo.Description);
        data.UInt16((ushort)NbdInfo.BlockSize);
        bool hasExport = false;
        NbdOptionReply end = exchange.Ask(option, data.Bytes, (reply, item) =>
        {
            if (reply != NbdOptionReply.Info || item.Length < 2)
            {
                throw Unexpected(option, reply);
            }

            hasExport |= TakeInfo((NbdInfo)BinaryPrimitives.ReadUInt16BigEndian(item), item[2..]);
        });
        if (end == NbdOptionReply.ErrorUnsupported)
        {
            return null;
        }

        Require(end, option);
        return hasExport ? agreed : throw new NbdClientException(
            NbdClientErrorKind.UnexpectedReply, $"{options.Endpoint}: {option} was acknowledged without NBD_INFO_EXPORT");
    }

    /// <returns>Whether it was NBD_INFO_EXPORT, which must come.</returns>
    private bool TakeInfo(NbdInfo kind, ReadOnlySpan<byte> item)
    {
        switch (kind)
        {
            case NbdInfo.Export:
                RequireLength(item, 10, "NBD_INFO_EXPORT");
                TakeExport(item);
                return true;
            case NbdInfo.Name:
                agreed = agreed with { CanonicalName = TakeString(item, "NBD_INFO_NAME") };
                return false;
            case NbdInfo.Description:
                agreed = agreed with { Description = TakeString(item, "NBD_INFO_DESCRIPTION") };
                return false;
            case NbdInfo.BlockSize:
                RequireLength(item, 12, "NBD_INFO_BLOCK_SIZE");
                TakeBlockSizes(item);
                return false;
            default:
                // proto.md: a client ignores information it does not know.
                return false;
        }
    }

    private void TakeExport(ReadOnlySpan<byte> item)
    {
        ulong size = BinaryPrimitives.ReadUInt64BigEndian(item);
        if (size > long.MaxValue)
        {
            throw BadLength("the export's size", size);
        }

        agreed = agreed with { SizeBytes = size, Flags = (NbdTransmissionFlags)BinaryPrimitives.ReadUInt16BigEndian(item[8..]) };
    }

    private void TakeBlockSizes(ReadOnlySpan<byte> item)
    {
        uint minimum = BinaryPrimitives.ReadUInt32BigEndian(item);
        uint preferred = BinaryPrimitives.ReadUInt32BigEndian(item[4..]);
        uint maximum = BinaryPrimitives.ReadUInt32BigEndian(item[8..]);
        if (!BitOperations.IsPow2(minimum) || minimum > MaxMinimumBlockBytes
            || !BitOperations.IsPow2(preferred) || preferred < minimum || maximum < minimum)
        {
            throw new NbdClientException(
                NbdClientErrorKind.BadLength,
                $"{options.Endpoint}: block sizes minimum {minimum}, preferred {preferred}, maximum {maximum} make no sense");
        }

        agreed = agreed with
        {
            MinimumBlockBytes = minimum,
            PreferredBlockBytes = Math.Min(preferred, NbdLimits.MaxPayloadBytes),
            MaximumPayloadBytes = Math.Min(maximum, NbdLimits.MaxPayloadBytes),
        };
    }

    /// <summary>NBD_OPT_EXPORT_NAME: the only option without a reply; an unknown name just ends the connection.</summary>
    private NbdExportInfo AskByExportName()
    {
        exchange.Send(NbdOption.ExportName, Encoding.UTF8.GetBytes(exportName));
        Span<byte> export = stackalloc byte[10];
        try
        {
            transport.ReceiveExactly(export);
        }
        catch (EndOfStreamException e)
        {
            throw new NbdClientException(
                NbdClientErrorKind.Refused, $"{options.Endpoint}: the server hung up on export '{exportName}'", e);
        }

        TakeExport(export);
        if (!noZeroes)
        {
            Span<byte> zeroes = stackalloc byte[ExportNameZeroes];
            transport.ReceiveExactly(zeroes);
        }

        return agreed;
    }

    private void SayAbort()
    {
        try
        {
            exchange.Send(NbdOption.Abort, []);
            transport.ShutdownSend();
        }
        catch (IOException)
        {
            // A courtesy; the answer is already here.
        }
    }

    private void Require(NbdOptionReply end, NbdOption option)
    {
        if (end != NbdOptionReply.Ack)
        {
            throw Refused(option, end);
        }
    }

    private void RequireLength(ReadOnlySpan<byte> item, int length, string what)
    {
        if (item.Length != length)
        {
            throw BadLength(what, (uint)item.Length);
        }
    }

    private string TakeString(ReadOnlySpan<byte> item, string what) =>
        item.Length <= NbdLimits.MaxStringBytes ? Encoding.UTF8.GetString(item) : throw BadLength(what, (uint)item.Length);

    private NbdClientException Refused(NbdOption option, NbdOptionReply reply) => new(
        reply,
        $"{options.Endpoint}: the server answers {option} with {reply}" + (exchange.RefusalText.Length > 0 ? $" ({exchange.RefusalText})" : ""));

    private NbdClientException Unexpected(NbdOption option, NbdOptionReply reply) =>
        new(NbdClientErrorKind.UnexpectedReply, $"{options.Endpoint}: {option} is answered with {reply}");

    private NbdClientException BadLength(string what, ulong length) => exchange.BadLength(what, length);
}
