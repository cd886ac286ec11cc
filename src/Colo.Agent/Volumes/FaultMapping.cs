using Colo.Linux;
using Colo.Qcow2;
using Colo.Replication;

namespace Colo.Agent.Volumes;

/// <summary>
/// What a failure of files, images or replication is called towards a caller. Damaged is only what was read and cannot be believed; a disk or
/// a file system that fails says nothing of what it holds, and the same call may be made again.
/// </summary>
internal static class FaultMapping
{
    public static bool IsExpected(Exception e) =>
        e is IOException or UnauthorizedAccessException or VolumeFaultException or Qcow2Exception or InvalidDataException
            or ReplicationException;

    public static VolumeFaultException ToFault(Exception e) => e switch
    {
        VolumeFaultException already => already,
        ReplicationException replication => ApiMapping.ToFault(replication),
        FileOpenException { Error: FileOpenError.NoSpace } => new(VolumeFaultKind.Exhausted, e.Message, e),
        FileOpenException { Error: FileOpenError.Locked } => new(VolumeFaultKind.Precondition, e.Message, e),
        StateFileException { Error: StateFileError.Io } or Qcow2Exception { Fault: Qcow2Fault.Medium } =>
            new(VolumeFaultKind.Failed, $"{e.Message}; nothing is known to be lost, the same call may be made again", e),
        Qcow2Exception or InvalidDataException or StateFileException => new(VolumeFaultKind.Damaged, e.Message, e),
        _ => new(VolumeFaultKind.Failed, e.Message, e),
    };
}
