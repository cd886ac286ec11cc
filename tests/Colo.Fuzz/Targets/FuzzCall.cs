using Grpc.Core;

namespace Colo.Fuzz.Targets;

/// <summary>The context of a call that came over no network.</summary>
internal sealed class FuzzCall(CancellationToken token = default) : ServerCallContext
{
    protected override string MethodCore => "/fuzz";

    protected override string HostCore => "fuzz";

    protected override string PeerCore => "fuzz";

    protected override DateTime DeadlineCore => DateTime.MaxValue;

    protected override Metadata RequestHeadersCore { get; } = [];

    protected override CancellationToken CancellationTokenCore => token;

    protected override Metadata ResponseTrailersCore { get; } = [];

    protected override Status StatusCore { get; set; }

    protected override WriteOptions? WriteOptionsCore { get; set; }

    protected override AuthContext AuthContextCore { get; } = new(null, []);

    protected override ContextPropagationToken CreatePropagationTokenCore(ContextPropagationOptions? options) => throw new NotSupportedException();

    protected override Task WriteResponseHeadersAsyncCore(Metadata responseHeaders) => Task.CompletedTask;
}
