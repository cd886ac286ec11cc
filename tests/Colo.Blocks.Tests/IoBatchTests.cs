using Colo.Blocks;

namespace Colo.Blocks.Tests;

public sealed class IoBatchTests
{
    [Fact]
    public void Outside_a_batch_a_sink_is_flushed_at_once()
    {
        Sink sink = new();
        IoBatch.Defer(sink);
        sink.Flushes.ShouldBe(1);
    }

    [Fact]
    public void A_batch_flushes_each_sink_once_at_its_end()
    {
        Sink a = new();
        Sink b = new();
        using (IoBatch.Begin())
        {
            IoBatch.Defer(a);
            IoBatch.Defer(b);
            IoBatch.Defer(a);
            a.Flushes.ShouldBe(0);
        }

        a.Flushes.ShouldBe(1);
        b.Flushes.ShouldBe(1);
    }

    [Fact]
    public void A_nested_batch_joins_the_outer_one()
    {
        Sink sink = new();
        using (IoBatch.Begin())
        {
            using (IoBatch.Begin())
            {
                IoBatch.Defer(sink);
            }

            sink.Flushes.ShouldBe(0);
            IoBatch.Defer(sink);
        }

        sink.Flushes.ShouldBe(1);
    }

    [Fact]
    public void A_sink_that_defers_itself_while_it_flushes_is_flushed_again()
    {
        Sink sink = new() { DeferAgain = 2 };
        using (IoBatch.Begin())
        {
            IoBatch.Defer(sink);
        }

        sink.Flushes.ShouldBe(3);
    }

    [Fact]
    public void A_flush_that_opens_a_batch_of_its_own_loses_nothing()
    {
        Sink inner = new();
        Sink outer = new() { OnFlush = () => DeferInBatch(inner) };
        using (IoBatch.Begin())
        {
            IoBatch.Defer(outer);
        }

        inner.Flushes.ShouldBe(1);

        static void DeferInBatch(Sink sink)
        {
            using (IoBatch.Begin())
            {
                IoBatch.Defer(sink);
            }
        }
    }

    [Fact]
    public void After_a_batch_a_sink_is_flushed_at_once_again()
    {
        using (IoBatch.Begin())
        {
        }

        Sink sink = new();
        IoBatch.Defer(sink);
        sink.Flushes.ShouldBe(1);
    }

    [Fact]
    public void A_batch_belongs_to_its_thread()
    {
        Sink sink = new();
        using (IoBatch.Begin())
        {
            Thread other = new(() => IoBatch.Defer(sink));
            other.Start();
            other.Join();
            sink.Flushes.ShouldBe(1);
        }

        sink.Flushes.ShouldBe(1);
    }

    private sealed class Sink : IBatchSink
    {
        public int Flushes { get; private set; }

        public int DeferAgain { get; set; }

        public Action? OnFlush { get; init; }

        public void FlushBatch()
        {
            Flushes++;
            OnFlush?.Invoke();
            if (DeferAgain-- > 0)
            {
                IoBatch.Defer(this);
            }
        }
    }
}
