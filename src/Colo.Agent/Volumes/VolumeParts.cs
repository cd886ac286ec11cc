using Colo.Agent.Cluster;
using Colo.Agent.Hosting;
using Colo.Agent.Options;

namespace Colo.Agent.Volumes;

/// <summary>What every replica needs of the process.</summary>
public sealed record VolumeParts(
    AgentOptions Options,
    NbdListeners Listeners,
    ReplicationExports Replication,
    CertificateFiles Certificates,
    PeerNames Peers,
    RecordStores Records,
    Service.BoundAddresses Addresses,
    ILoggerFactory Logs,
    TimeProvider Time);
