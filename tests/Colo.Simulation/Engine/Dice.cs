namespace Colo.Simulation.Engine;

/// <summary>Random numbers of one purpose, from the seed alone (SplitMix64): what one purpose draws never changes what another gets.</summary>
internal sealed class Dice(ulong seed)
{
    private ulong state = seed;

    public static Dice For(long seed, string purpose)
    {
        // FNV-1a: the same in each process, unlike string.GetHashCode.
        ulong hash = 14695981039346656037;
        foreach (char letter in purpose)
        {
            hash = (hash ^ letter) * 1099511628211;
        }

        return new Dice(hash ^ ((ulong)seed * 0x9E3779B97F4A7C15));
    }

    public ulong Next()
    {
        state += 0x9E3779B97F4A7C15;
        ulong mixed = state;
        mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9;
        mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB;
        return mixed ^ (mixed >> 31);
    }

    /// <summary>0 to <paramref name="below"/> - 1.</summary>
    public int Below(int below) => (int)(Next() % (ulong)below);

    public bool Chance(double of) => (Next() >> 11) * (1.0 / (1UL << 53)) < of;

    public TimeSpan Between(TimeSpan least, TimeSpan most) =>
        least + TimeSpan.FromTicks((long)(Next() % (ulong)((most - least).Ticks + 1)));

    public T Pick<T>(IReadOnlyList<T> of) => of[Below(of.Count)];
}
