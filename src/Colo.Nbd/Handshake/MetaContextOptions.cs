using System.Buffers.Binary;
using System.Text;
using Colo.Nbd.Server;
using Colo.Nbd.Wire;

namespace Colo.Nbd.Handshake;

/// <summary>NBD_OPT_LIST_META_CONTEXT and NBD_OPT_SET_META_CONTEXT, and what the last SET has selected.</summary>
internal sealed class MetaContextOptions(OptionChannel channel, ExportLookup exports)
{
    public const uint BaseAllocationId = 1;
    public const uint CheckpointId = 2;

    private const string BaseNamespace = "base:";
    private const string ColoNamespace = "colo:";

    private string? selectedName;
    private bool baseAllocation;
    private bool checkpoint;

    /// <summary>A selection holds for the export name that it was made for, and for no other.</summary>
    public (bool BaseAllocation, bool Checkpoint) SelectedFor(string name) =>
        string.Equals(name, selectedName, StringComparison.Ordinal) ? (baseAllocation, checkpoint) : (false, false);

    public void Forget()
    {
        selectedName = null;
        baseAllocation = false;
        checkpoint = false;
    }

    public void List(ReadOnlySpan<byte> data, ReplyFormat format)
    {
        Query query = Query.Parse(data, format);
        NbdExport export = exports.Find(query.Name);
        bool all = query.Contexts.Count == 0;
        if (all || query.Has(BaseNamespace) || query.Has(ColoMetaContext.BaseAllocation))
        {
            ReplyContext(NbdOption.ListMetaContext, 0, ColoMetaContext.BaseAllocation);
        }

        if (export.Checkpoint is not null && (all || query.Has(ColoNamespace) || query.Has(ColoMetaContext.Checkpoint)))
        {
            ReplyContext(NbdOption.ListMetaContext, 0, ColoMetaContext.Checkpoint);
        }

        channel.Reply(NbdOption.ListMetaContext, NbdOptionReply.Ack);
    }

    public void Set(ReadOnlySpan<byte> data, ReplyFormat format)
    {
        Forget(); // also where this one fails: proto.md
        Query query = Query.Parse(data, format);
        NbdExport export = exports.Find(query.Name);
        selectedName = query.Name;
        baseAllocation = query.Has(ColoMetaContext.BaseAllocation);
        checkpoint = export.Checkpoint is not null && query.Has(ColoMetaContext.Checkpoint);
        if (baseAllocation)
        {
            ReplyContext(NbdOption.SetMetaContext, BaseAllocationId, ColoMetaContext.BaseAllocation);
        }

        if (checkpoint)
        {
            ReplyContext(NbdOption.SetMetaContext, CheckpointId, ColoMetaContext.Checkpoint);
        }

        channel.Reply(NbdOption.SetMetaContext, NbdOptionReply.Ack);
    }

    private void ReplyContext(NbdOption option, uint id, string name)
    {
        byte[] data = new byte[4 + name.Length];
        BinaryPrimitives.WriteUInt32BigEndian(data, id);
        Encoding.ASCII.GetBytes(name, data.AsSpan(4));
        channel.Reply(option, NbdOptionReply.MetaContext, data);
    }

    private sealed record Query(string Name, IReadOnlyList<string> Contexts)
    {
        public bool Has(string context) => Contexts.Contains(context, StringComparer.Ordinal);

        public static Query Parse(ReadOnlySpan<byte> data, ReplyFormat format)
        {
            if (format == ReplyFormat.Simple)
            {
                throw new OptionRefusedException(NbdOptionReply.ErrorInvalid, "meta contexts need structured replies first");
            }

            OptionPayload payload = new(data);
            string name = payload.ReadString();
            uint count = payload.ReadUInt32();
            List<string> contexts = [];
            for (uint i = 0; i < count; i++) // each takes four bytes of the option, whose length is bounded
            {
                contexts.Add(payload.ReadString());
            }

            payload.RequireEnd();
            return new(name, contexts);
        }
    }
}
