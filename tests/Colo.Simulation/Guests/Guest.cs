using Colo.Blocks;
using Colo.Nbd.Client;
using Colo.Simulation.Agents;
using Colo.Simulation.Checks;
using Colo.Simulation.Engine;
using Colo.Simulation.World;

namespace Colo.Simulation.Guests;

/// <summary>
/// The virtual machines of one node: while there is an export, one runs on it, through the real NBD client, and every write, read and flush
/// goes into the checks. A VM of a former term goes on as long as it can: what it is told then is checked as well.
/// </summary>
internal sealed class Guest
{
    /// <summary>Of NBD's client, where nothing else is said.</summary>
    public const int MaxInFlight = 128;

    private const int Workers = 3;
    private const int MostSectors = 64;

    private readonly SimWorld world;
    private readonly Machine machine;
    private readonly SimProcess process;
    private readonly Registers registers;
    private readonly Dice dice;
    private int underWay;

    public Guest(SimWorld world, Machine machine)
    {
        (this.world, this.machine, registers) = (world, machine, world.Registers);
        process = world.NewProcess($"guest-{machine.Node}");
        dice = world.NewDice(process.Name);
    }

    public string Node => machine.Node;

    public bool IsPaused { get; set; }

    /// <summary>Of an answer from the agent beside it; longer than a promotion may take after the arbiter's word, and shorter than the pauses.</summary>
    private static readonly TimeSpan LongestWay = TimeSpan.FromSeconds(1);

    public bool IsIdle => underWay == 0;

    public long Writes { get; private set; }

    public long Reads { get; private set; }

    public SimProcess Process => process;

    public async Task RunAsync()
    {
        while (true)
        {
            await process.Time.DelayAsync(dice.Between(TimeSpan.FromMilliseconds(20), TimeSpan.FromMilliseconds(200)));
            if (!machine.IsRunning || machine.Agent!.Volume.Replica.Primary is not { } primary)
            {
                continue;
            }

            long term = primary.Replica.Term.Value;
            try
            {
                await using NbdClientDevice device = await ConnectAsync();
                world.Trace.Say($"{process.Name} runs on term {term}");
                if (term == world.Lives.Term)
                {
                    world.Lives.Resumes(machine);
                }

                Task[] workers = [.. Enumerable.Range(0, Workers).Select(_ => WorkAsync(device, term))];
                await Task.WhenAll(workers);
            }
            catch (NbdClientException e)
            {
                if (e.Kind is not (NbdClientErrorKind.Unreachable or NbdClientErrorKind.Timeout or NbdClientErrorKind.Closed))
                {
                    world.Trace.Say($"{process.Name} cannot connect: {e.Message}");
                }
            }
        }
    }

    /// <summary>Reads all of the disk, in the end.</summary>
    public async Task<bool> ReadAllAsync()
    {
        try
        {
            await using NbdClientDevice device = await ConnectAsync();
            for (int sector = 0; sector < registers.Count; sector += MostSectors)
            {
                if (!await ReadAsync(device, sector, Math.Min(MostSectors, registers.Count - sector), world.Lives.Term))
                {
                    return false;
                }
            }

            return true;
        }
        catch (NbdClientException)
        {
            return false;
        }
    }

    private Task<NbdClientDevice> ConnectAsync() => NbdClient.ConnectAsync(new NbdClientOptions
    {
        Endpoint = NbdEndpoint.Unix(machine.Node, SimWorld.Uid),
        Dial = _ => world.Network.Dial(process, machine.Node, machine.Node, SimGuestExport.Port),
        ReceiveBufferBytes = 64 << 10,
        TimeProvider = process.Time,
        Threads = process.Threads,
    });

    private async Task WorkAsync(NbdClientDevice device, long term)
    {
        while (device.State == NbdClientState.Connected)
        {
            await process.Time.DelayAsync(dice.Between(TimeSpan.FromMilliseconds(1), world.Profile.GuestPause));
            if (IsPaused)
            {
                continue;
            }

            underWay++;
            bool goesOn = await OneAsync(device, term);
            underWay--;
            if (!goesOn)
            {
                return;
            }
        }
    }

    private async Task<bool> OneAsync(NbdClientDevice device, long term)
    {
        int count = dice.Chance(0.7) ? 8 : 1 + dice.Below(MostSectors);
        int range = dice.Chance(0.6) ? registers.Count / 16 : registers.Count;
        int first = dice.Below(range - Math.Min(range - 1, count));
        if (dice.Chance(0.7))
        {
            first = first / 8 * 8;
        }

        count = Math.Min(count, registers.Count - first);
        return dice.Below(100) switch
        {
            < 55 => await WriteAsync(device, first, count, term, zeroes: false),
            < 60 => await WriteAsync(device, first, count, term, zeroes: true),
            < 92 => await ReadAsync(device, first, count, term),
            _ => await FlushAsync(device, term),
        };
    }

    private async Task<bool> WriteAsync(NbdClientDevice device, int first, int count, long term, bool zeroes)
    {
        int value = zeroes ? 0 : world.NextValue();
        byte[] content = new byte[count * Medium.SectorBytes];
        if (!zeroes)
        {
            Content.Fill(content, first, value);
        }

        bool isLate = term < world.Lives.Term;
        WriteEntry entry = registers.BeginWrite(first, count, value, term, visible: !isLate);
        world.Trace.Say($"{process.Name} writes {value} at {first}+{count}");
        long offset = (long)first * Medium.SectorBytes;
        RequestFlags flags = !zeroes && dice.Chance(0.05) ? RequestFlags.ForceUnitAccess : RequestFlags.None;
        BlockStatus status = zeroes
            ? await device.WriteZeroesAsync(new(offset, content.Length), dice.Chance(0.5) ? RequestFlags.MayUnmap : RequestFlags.None)
            : await device.WriteAsync(offset, content, flags);
        registers.EndWrite(entry, status == BlockStatus.Ok);
        if (flags != RequestFlags.None && status != BlockStatus.Ok && term == world.Lives.Term)
        {
            // What forces one write out takes the others along, and with a failure all of them are in doubt.
            registers.FlushFailed();
        }

        world.Trace.Say($"{process.Name} write {value} at {first}+{count}: {status}");
        Writes++;
        world.Coverage.Count($"guest:write {status}");
        if (status == BlockStatus.Ok)
        {
            if (isLate)
            {
                world.Violated(new("2 no write is acknowledged after its term", $"{process.Name}: write {value} of term {term} was asked for in term {world.Lives.Term}"));
            }
            else if (term < world.Lives.Term && world.Engine.Elapsed - world.Lives.PromotedAt is var late && late > LongestWay)
            {
                world.Violated(new("2 no write is acknowledged after its term", $"{process.Name}: write {value} of term {term}, {late} after the promotion for term {world.Lives.Term}"));
            }
            else if (term < world.Lives.Term && world.Profile.IsLatestWrite
                && registers.CheckLateAcknowledgement(first, count, entry) is { } wrong)
            {
                world.Violated(new("2 no write is acknowledged after its term", wrong));
            }
        }

        return status != BlockStatus.Shutdown;
    }

    private async Task<bool> ReadAsync(NbdClientDevice device, int first, int count, long term)
    {
        byte[] content = new byte[count * Medium.SectorBytes];
        long asked = registers.Tick();
        BlockStatus status = await device.ReadAsync((long)first * Medium.SectorBytes, content);
        Reads++;
        world.Coverage.Count($"guest:read {status}");
        if (status == BlockStatus.Ok && term == world.Lives.Term)
        {
            int[] values = Content.ValuesOf(content, first);
            for (int i = 0; i < count; i++)
            {
                if (registers.Check(first + i, values[i], asked) is { } wrong)
                {
                    world.Violated(new("11 a read returns the last acknowledged write", $"{process.Name} under term {term}: {wrong}"));
                    break;
                }
            }
        }

        return status != BlockStatus.Shutdown;
    }

    private async Task<bool> FlushAsync(NbdClientDevice device, long term)
    {
        long asked = registers.Tick();
        BlockStatus status = await device.FlushAsync();
        world.Coverage.Count($"guest:flush {status}");
        if (term == world.Lives.Term)
        {
            if (status == BlockStatus.Ok)
            {
                registers.EndFlush(asked);
            }
            else
            {
                registers.FlushFailed();
            }
        }

        return status != BlockStatus.Shutdown;
    }
}
