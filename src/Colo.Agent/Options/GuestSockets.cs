using System.Globalization;

namespace Colo.Agent.Options;

/// <summary>Who may connect to the guests' unix sockets, as the options say it.</summary>
public static class GuestSockets
{
    /// <summary>Reading and writing are all that a socket knows of.</summary>
    private const UnixFileMode Known =
        UnixFileMode.UserRead | UnixFileMode.UserWrite
        | UnixFileMode.GroupRead | UnixFileMode.GroupWrite
        | UnixFileMode.OtherRead | UnixFileMode.OtherWrite;

    /// <summary>Null: no number of a group.</summary>
    public static uint? ParseGroup(string text) =>
        uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out uint group) && group <= int.MaxValue ? group : null;

    /// <summary>Null: not octal, or not 0600 to 0666.</summary>
    public static UnixFileMode? ParseMode(string text)
    {
        if (text.Length is < 3 or > 4 || text.AsSpan().ContainsAnyExceptInRange('0', '7'))
        {
            return null;
        }

        UnixFileMode mode = (UnixFileMode)Convert.ToInt32(text, 8);
        bool ownerMay = mode.HasFlag(UnixFileMode.UserRead | UnixFileMode.UserWrite);
        return ownerMay && (mode & ~Known) == 0 ? mode : null;
    }
}
