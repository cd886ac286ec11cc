using Colo.Nbd.Transmission;
using Colo.Simulation.Checks;
using Colo.Simulation.Engine;

namespace Colo.Simulation.World;

/// <summary>One end of a simulated TCP connection. Sending never waits; reading waits on the fiber that reads.</summary>
internal sealed class SimStream(SimNetwork network, SimProcess owner, string node, string peerNode, string name)
    : Stream, INonBlockingSend, IAbortable
{
    private readonly Queue<byte[]> heldUp = new();
    private readonly Queue<byte[]> arrived = new();
    private SimStream? peer;
    private int readOfFirst;
    private Fiber? reader;
    private long notBefore;
    private bool finArrived;
    private bool isReset;
    private bool isClosed;
    private bool finHeldUp;
    private bool silenceWatched;

    public SimProcess Owner => owner;

    public string Node => node;

    public string PeerNode => peerNode;

    public string Name => name;

    /// <summary>Hears what both ends say.</summary>
    public Wire? Watched { get; set; }

    public bool IsClient { get; set; }

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public static void Join(SimStream one, SimStream other) => (one.peer, other.peer) = (other, one);

    public override int Read(Span<byte> buffer)
    {
        Fiber fiber = Fiber.Current ?? throw new InvalidOperationException($"{name} is read by the pool's thread");
        while (true)
        {
            fiber.ThrowIfKilled();
            if (isClosed)
            {
                throw new ObjectDisposedException(name);
            }

            if (arrived.TryPeek(out byte[]? first))
            {
                int length = Math.Min(buffer.Length, first.Length - readOfFirst);
                first.AsSpan(readOfFirst, length).CopyTo(buffer);
                readOfFirst += length;
                if (readOfFirst == first.Length)
                {
                    arrived.Dequeue();
                    readOfFirst = 0;
                }

                return length;
            }

            if (isReset)
            {
                throw new IOException($"{name}: connection reset by peer");
            }

            if (finArrived)
            {
                return 0;
            }

            reader = fiber;
            fiber.Wait();
            reader = null;
        }
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override void Write(ReadOnlySpan<byte> buffer) => TrySend(buffer);

    public override void Write(byte[] buffer, int offset, int count) => TrySend(buffer.AsSpan(offset, count));

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Flush()
    {
    }

    public int TrySend(ReadOnlySpan<byte> buffer)
    {
        if (owner.IsDead)
        {
            throw new ProcessKilledException();
        }

        if (isClosed || isReset)
        {
            throw new IOException($"{name}: broken pipe");
        }

        Watched?.Says(IsClient, buffer);
        byte[] bytes = buffer.ToArray();
        if (heldUp.Count > 0 || network.IsCut(node, peerNode))
        {
            heldUp.Enqueue(bytes);
            WatchSilence();
        }
        else
        {
            Send(() => peer!.Arrive(bytes));
        }

        return buffer.Length;
    }

    /// <summary>The way is free again.</summary>
    public void SendHeldUp()
    {
        while (heldUp.TryDequeue(out byte[]? bytes))
        {
            Send(() => peer!.Arrive(bytes));
        }

        if (finHeldUp)
        {
            finHeldUp = false;
            Send(() => peer!.Finish());
        }
    }

    public void Abort() => Dispose();

    public void EndReceiving()
    {
        finArrived = true;
        reader?.ResumeSoon();
    }

    /// <summary>Its machine is gone without a word.</summary>
    public void Vanish()
    {
        isClosed = true;
        network.Forget(this);
        peer?.WatchSilence();
    }

    /// <summary>By a middlebox, or by the kernel that has lost patience.</summary>
    public void Break()
    {
        if (!isReset && !isClosed)
        {
            isReset = true;
            network.Forget(this);
            owner.Do(() => reader?.ResumeSoon());
        }
    }

    protected override void Dispose(bool disposing)
    {
        if (!isClosed)
        {
            isClosed = true;
            network.Forget(this);
            reader?.ResumeSoon();
            if (network.IsCut(node, peerNode))
            {
                finHeldUp = true;
                peer?.WatchSilence();
            }
            else
            {
                Send(() => peer!.Finish());
            }
        }

        base.Dispose(disposing);
    }

    private void Send(Action arrival)
    {
        // In order: nothing overtakes what was sent before.
        long at = Math.Max(network.Engine.Now + network.Delay(node, peerNode).Ticks, notBefore);
        notBefore = at;
        network.Engine.After(new TimeSpan(at - network.Engine.Now), arrival);
    }

    private void Arrive(byte[] bytes)
    {
        if (isClosed || isReset)
        {
            // Who sends to nobody is told so.
            peer?.Break();
            return;
        }

        owner.Do(() =>
        {
            arrived.Enqueue(bytes);
            reader?.ResumeSoon();
        });
    }

    private void Finish()
    {
        network.Forget(this);
        owner.Do(() =>
        {
            finArrived = true;
            reader?.ResumeSoon();
        });
    }

    /// <summary>The kernel's keepalive: where the peer's machine stays silent, the connection is broken here.</summary>
    private void WatchSilence()
    {
        if (silenceWatched || isClosed)
        {
            return;
        }

        silenceWatched = true;
        network.Engine.After(SimNetwork.PeerSilence, () =>
        {
            silenceWatched = false;
            if (peer!.isClosed || network.IsCut(node, peerNode) || network.IsCut(peerNode, node))
            {
                Break();
            }
        });
    }
}
