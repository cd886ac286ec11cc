using System.Collections.Concurrent;
using Colo.AgentApi;
using Colo.Api;
using Colo.Driver;
using Colo.Kubernetes;
using Colo.Operator.Options;
using k8s;

namespace Colo.Operator.Volumes;

/// <summary>The sessions of the volumes there are; a name that became another volume gets a new one.</summary>
internal sealed class VolumeSessions(IKubernetes api, IAgents agents, OperatorOptions options, TimeProvider time, ILogger<VolumeSessions> log)
{
    private readonly ConcurrentDictionary<ObjectKey, VolumeSession> sessions = new();

    private readonly DriverOptions driverOptions = new()
    {
        Arbiter = ArbiterPlace.Kubernetes,
        GuestTcp = options.GuestTcp,
        DeadNodeGrace = options.DeletionGrace,
    };

    public int Count => sessions.Count;

    public VolumeSession Of(Resource<ReplicatedVolume> volume)
    {
        if (sessions.TryGetValue(volume.Key, out VolumeSession? known))
        {
            if (known.Uid == volume.Uid)
            {
                return known;
            }

            log.AnotherVolume(volume.Key.ToString(), volume.Uid, known.Uid);
        }

        RoundRecordStore record = new(new VolumeRecordObject(api, volume.Key.Namespace, volume.Key.Name, volume.Uid));
        VolumeSession session = new(volume.Uid, new VolumeDriver(volume.Uid, agents, record, driverOptions, time), record) { PublishedAt = time.GetTimestamp() };
        sessions[volume.Key] = session;
        return session;
    }

    public void Forget(ObjectKey key) => sessions.TryRemove(key, out _);
}
