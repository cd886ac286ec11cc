namespace Colo.Replication.Tests;

public sealed class LineageComparisonTests
{
    private static readonly GenerationId G0 = Id(1);
    private static readonly GenerationId G1 = Id(2);
    private static readonly GenerationId G2 = Id(3);
    private static readonly GenerationId G3 = Id(4);

    [Fact]
    public void Two_of_one_generation_are_the_same() =>
        Verdict(new() { Term = 1, Current = G1, History = [G0] }, new() { Term = 1, Current = G1 }).ShouldBe(LineageVerdict.Same);

    [Fact]
    public void A_new_secondary_gets_everything() =>
        Verdict(new() { Term = 1, Current = G1, History = [G0] }, LineageRecord.Empty).ShouldBe(LineageVerdict.Full);

    [Fact]
    public void A_secondary_at_the_base_of_the_map_gets_what_it_says() =>
        Verdict(new() { Term = 1, Current = G1, Base = G0, History = [G0] }, new() { Term = 1, Current = G0 }).ShouldBe(LineageVerdict.FromBitmap);

    [Fact]
    public void The_map_is_good_for_every_generation_since_its_base() =>
        Verdict(new() { Term = 1, Current = G3, Base = G1, History = [G2, G1, G0] }, new() { Term = 1, Current = G2 }).ShouldBe(LineageVerdict.FromBitmap);

    [Fact]
    public void An_older_copy_than_the_base_gets_everything() =>
        Verdict(new() { Term = 1, Current = G3, Base = G1, History = [G2, G1, G0] }, new() { Term = 1, Current = G0 }).ShouldBe(LineageVerdict.Full);

    [Fact]
    public void An_interrupted_resync_goes_on_and_one_by_somebody_else_does_not()
    {
        LineageRecord primary = new() { Term = 1, Current = G2, Base = G0, History = [G1, G0] };
        Verdict(primary, new() { Term = 1, Current = G0, Target = G1 }).ShouldBe(LineageVerdict.FromBitmap);
        Verdict(primary, new() { Term = 1, Current = G0, Target = G3 }).ShouldBe(LineageVerdict.Full);
    }

    [Fact]
    public void What_both_wrote_alone_is_rolled_back_on_the_one_of_the_older_term_only()
    {
        LineageRecord primary = new() { Term = 2, Current = G2, Base = G0, History = [G0] };
        Verdict(primary, new() { Term = 1, Current = G1, Base = G0, History = [G0] }).ShouldBe(LineageVerdict.FromBitmap);
        Verdict(primary, new() { Term = 2, Current = G1, Base = G0, History = [G0] }).ShouldBe(LineageVerdict.Unrelated);
    }

    [Fact]
    public void A_secondary_that_has_forgotten_what_it_is_gets_everything_and_a_newer_one_is_refused()
    {
        LineageRecord primary = new() { Term = 1, Current = G1, History = [G0] };
        Verdict(primary, new() { Term = 1, History = [G1, G0] }).ShouldBe(LineageVerdict.Full);
        Verdict(primary, new() { Term = 1, History = [G0] }).ShouldBe(LineageVerdict.Full);
        Verdict(primary, new() { Term = 1, History = [G2, G1, G0] }).ShouldBe(LineageVerdict.Unrelated);
        Verdict(primary, new() { Term = 1, History = [G3] }).ShouldBe(LineageVerdict.Unrelated);
    }

    [Fact]
    public void A_secondary_of_unknown_lineage_is_refused_by_name()
    {
        LineageDecision decision = LineageComparison.Compare(new() { Term = 2, Current = G1, History = [G0] }, new() { Term = 1, Current = G3 });
        decision.Verdict.ShouldBe(LineageVerdict.Unrelated);
        decision.Reason.ShouldContain(G3.ToString());
    }

    [Fact]
    public void A_primary_that_was_put_back_to_an_older_generation_does_not_overwrite_a_newer_one()
    {
        LineageDecision decision = LineageComparison.Compare(new() { Term = 1, Current = G0 }, new() { Term = 1, Current = G1, History = [G0] });
        decision.Verdict.ShouldBe(LineageVerdict.Unrelated);
        decision.Reason.ShouldContain("older copy");
    }

    private static LineageVerdict Verdict(LineageRecord primary, LineageRecord secondary) => LineageComparison.Compare(primary, secondary).Verdict;

    private static GenerationId Id(byte number) => new(new Guid(number, 0, 0, new byte[8]));
}
