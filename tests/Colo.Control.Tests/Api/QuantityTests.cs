using Colo.Api;

namespace Colo.Control.Tests.Api;

public sealed class QuantityTests
{
    [Theory]
    [InlineData("4096", 4096L, "4Ki")]
    [InlineData("20Gi", 20L << 30, "20Gi")]
    [InlineData("1.5Gi", 3L << 29, "1536Mi")]
    [InlineData("2G", 2_000_000_000L, "1953125Ki")]
    [InlineData("1k", 1000L, "1000")]
    [InlineData("0", 0L, "0")]
    public void A_quantity_reads_as_bytes_and_prints_exactly(string text, long bytes, string printed)
    {
        ByteQuantity.TryParse(text, out ByteQuantity quantity).ShouldBeTrue();
        quantity.Bytes.ShouldBe(bytes);
        quantity.ToString().ShouldBe(printed);
    }

    [Theory]
    [InlineData("")]
    [InlineData("-1")]
    [InlineData("2GB")]
    [InlineData("Gi")]
    [InlineData("0.3")]
    [InlineData("9000000Pi")]
    [InlineData("1e3")]
    [InlineData("1,5Gi")]
    public void What_is_no_quantity_is_refused(string text) => ByteQuantity.TryParse(text, out _).ShouldBeFalse();

    [Theory]
    [InlineData("30s", 30_000, "30s")]
    [InlineData("500ms", 500, "500ms")]
    [InlineData("1h30m", 5_400_000, "1h30m")]
    [InlineData("1.5s", 1_500, "1s500ms")]
    [InlineData("0", 0, "0s")]
    public void A_duration_reads_and_prints(string text, double milliseconds, string printed)
    {
        Duration.TryParse(text, out Duration duration).ShouldBeTrue();
        duration.Value.TotalMilliseconds.ShouldBe(milliseconds);
        duration.ToString().ShouldBe(printed);
    }

    [Theory]
    [InlineData("")]
    [InlineData("30")]
    [InlineData("-3s")]
    [InlineData("s")]
    [InlineData("3 s")]
    [InlineData("9999999h")]
    public void What_is_no_duration_is_refused(string text) => Duration.TryParse(text, out _).ShouldBeFalse();
}
