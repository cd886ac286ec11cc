namespace Colo.Nbd.Wire;

/// <summary>The magic numbers of the NBD protocol (proto.md, under the names its reference header uses).</summary>
public static class NbdMagic
{
    /// <summary>"NBDMAGIC", first eight bytes of every server.</summary>
    public const ulong Init = 0x4e42444d41474943;

    /// <summary>"IHAVEOPT": newstyle, and before each option of the client.</summary>
    public const ulong Option = 0x49484156454F5054;

    public const ulong OptionReply = 0x0003e889045565a9;
    public const uint Request = 0x25609513;
    public const uint SimpleReply = 0x67446698;
    public const uint StructuredReply = 0x668e33ef;
    public const uint ExtendedRequest = 0x21e41c71;
    public const uint ExtendedReply = 0x6e8a278c;
}
