using Colo.Nbd.Wire;

namespace Colo.Nbd.Handshake;

/// <summary>The data of NBD_OPT_INFO and NBD_OPT_GO.</summary>
internal sealed record InfoRequest(string Name, IReadOnlyList<NbdInfo> Items)
{
    public bool Wants(NbdInfo item) => Items.Contains(item);

    public static InfoRequest Parse(ReadOnlySpan<byte> data)
    {
        OptionPayload payload = new(data);
        string name = payload.ReadString();
        NbdInfo[] items = new NbdInfo[payload.ReadUInt16()];
        for (int i = 0; i < items.Length; i++)
        {
            items[i] = (NbdInfo)payload.ReadUInt16();
        }

        payload.RequireEnd();
        return new(name, items);
    }
}
