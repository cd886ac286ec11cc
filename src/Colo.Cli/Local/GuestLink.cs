namespace Colo.Cli.Local;

/// <summary>
/// The one path that a guest is given: a symbolic link to the socket of whichever agent is primary. Replaced by rename, so that a
/// client that reconnects finds the old or the new primary, never nothing.
/// </summary>
internal static class GuestLink
{
    public static void Point(string link, string socket)
    {
        if (new FileInfo(link).LinkTarget == socket)
        {
            return;
        }

        string temporary = link + ".new";
        File.Delete(temporary);
        File.CreateSymbolicLink(temporary, socket);
        File.Move(temporary, link, overwrite: true);
    }
}
