namespace Colo.EndToEnd.Tests.SigkillRounds;

/// <summary>A judge that lets everything pass would make every round green.</summary>
public sealed class JournalTests
{
    private const int Slots = 4;

    private readonly Journal journal = new(Slots, runId: 7);
    private readonly byte[] disk = new byte[Slots * Journal.SlotBytes];

    [Fact]
    public void An_acknowledged_write_that_is_there_is_counted()
    {
        Write(slot: 1, acknowledge: true);

        journal.Verify(disk).ShouldBe(1);
    }

    [Fact]
    public void An_acknowledged_write_that_is_missing_or_older_is_seen()
    {
        Write(slot: 1, acknowledge: true);
        byte[] older = [.. disk];
        Write(slot: 1, acknowledge: true);

        Should.Throw<ShouldAssertException>(() => journal.Verify(older)).Message.ShouldContain("slot 1: whole, number 1; acknowledged 2");
        Should.Throw<ShouldAssertException>(() => journal.Verify(new byte[disk.Length])).Message.ShouldContain("number 0");
    }

    [Fact]
    public void A_torn_slot_and_one_in_the_wrong_place_are_seen()
    {
        Write(slot: 1, acknowledge: true);
        byte[] torn = [.. disk];
        torn[(2 * Journal.SlotBytes) - 1] ^= 1;
        byte[] misplaced = [.. disk];
        disk.AsSpan(Journal.SlotBytes, Journal.SlotBytes).CopyTo(misplaced.AsSpan(2 * Journal.SlotBytes));

        Should.Throw<ShouldAssertException>(() => journal.Verify(torn)).Message.ShouldContain("slot 1: torn or foreign");
        Should.Throw<ShouldAssertException>(() => journal.Verify(misplaced)).Message.ShouldContain("slot 2: torn or foreign");
    }

    [Fact]
    public void A_write_without_an_answer_may_be_there_or_not_but_stays_what_was_read()
    {
        Write(slot: 1, acknowledge: true);
        byte[] before = [.. disk];
        Write(slot: 1, acknowledge: false);
        Write(slot: 2, acknowledge: false);
        byte[] half = [.. disk];
        before.AsSpan(2 * Journal.SlotBytes, Journal.SlotBytes).CopyTo(half.AsSpan(2 * Journal.SlotBytes));

        journal.Verify(half);

        Should.Throw<ShouldAssertException>(() => journal.Verify(before)).Message.ShouldContain("slot 1: whole, number 1; acknowledged 2");
        Should.Throw<ShouldAssertException>(() => journal.Verify(disk)).Message.ShouldContain("slot 2: whole, number 3; acknowledged 0");
    }

    private void Write(int slot, bool acknowledge)
    {
        long number = journal.Issue();
        journal.Fill(disk.AsSpan(slot * Journal.SlotBytes, Journal.SlotBytes), slot, number);
        if (acknowledge)
        {
            journal.Acknowledged(slot, 1, number);
        }
        else
        {
            journal.Unanswered(slot, 1, number);
        }
    }
}
