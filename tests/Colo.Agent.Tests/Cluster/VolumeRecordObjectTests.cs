using System.Diagnostics;
using System.Text.Json.Nodes;
using Colo.AgentApi;
using Colo.Testing.Kube;
using k8s;

namespace Colo.Agent.Tests.Cluster;

/// <summary>Against a real API server: the record's compare-and-swap is only as good as that server's.</summary>
public sealed class VolumeRecordObjectTests(KubeApiServerFixture kube) : IAsyncLifetime
{
    private const string Name = "disk";
    private static readonly CancellationToken None = CancellationToken.None;

    private k8s.Kubernetes client = null!;
    private string @namespace = "";
    private string uid = "";
    private VolumeRecordObject store = null!;

    private VolumeRecord First => new(uid, 1, "a", "b", SecondaryState.InSync);

    public async ValueTask InitializeAsync()
    {
        await VolumeObjects.DefineAsync(kube.Admin);
        @namespace = await kube.NewNamespaceAsync();
        uid = await VolumeObjects.CreateAsync(kube.Admin, @namespace, Name);
        client = VolumeObjects.Client(kube.Server.AdminKubeconfig);
        store = VolumeObjects.Store(client, @namespace, Name, uid);
    }

    public ValueTask DisposeAsync()
    {
        client.Dispose();
        return ValueTask.CompletedTask;
    }

    [Fact]
    public async Task A_record_is_created_once_replaced_and_taken_away()
    {
        (await store.ReadAsync(None)).ShouldBeNull();
        (await store.TryCreateAsync(First, None)).ShouldBe(new RecordChange(true, First with { Revision = 1 }));
        VolumeRecord created = (await store.ReadAsync(None)).ShouldNotBeNull();
        created.ShouldBe(First with { Revision = 1 });
        (await store.TryCreateAsync(First, None)).ShouldBe(new RecordChange(false, created));

        RecordChange replaced = await store.TryReplaceAsync(created, created with { SecondaryState = SecondaryState.Stale }, None);
        replaced.ShouldBe(new RecordChange(true, created with { SecondaryState = SecondaryState.Stale, Revision = 2 }));
        (await store.TryReplaceAsync(created, created with { Term = 9 }, None)).ShouldBe(new RecordChange(false, replaced.Current));

        await store.DeleteAsync(None);
        (await store.ReadAsync(None)).ShouldBeNull();
        await store.DeleteAsync(None);
    }

    [Fact]
    public async Task Of_two_racing_writers_exactly_one_wins_every_time()
    {
        using k8s.Kubernetes otherClient = VolumeObjects.Client(kube.Server.AdminKubeconfig);
        VolumeRecordObject other = VolumeObjects.Store(otherClient, @namespace, Name, uid);
        VolumeRecord current = (await store.TryCreateAsync(First, None)).Current!;
        for (int round = 0; round < 50; round++)
        {
            Task<RecordChange> stale = store.TryReplaceAsync(current, current with { SecondaryState = SecondaryState.Stale }, None);
            Task<RecordChange> takeover = other.TryReplaceAsync(
                current, current with { Term = current.Term + 1, Primary = current.Secondary, Secondary = current.Primary }, None);
            RecordChange[] both = await Task.WhenAll(stale, takeover);
            RecordChange winner = both.Single(c => c.Done);
            RecordChange loser = both.Single(c => !c.Done);

            // The loser is told what became of it, and so is anybody who asks.
            loser.Current.ShouldBe(winner.Current);
            current = (await other.ReadAsync(None)).ShouldNotBeNull();
            current.ShouldBe(winner.Current);
            current.Revision.ShouldBe(round + 2);
        }
    }

    [Fact]
    public async Task Changes_of_everything_but_the_record_make_no_change_of_the_record_fail_and_are_not_lost()
    {
        VolumeRecord current = (await store.TryCreateAsync(First, None)).Current!;
        using CancellationTokenSource enough = new();
        Task<int> others = ChangeOtherThingsAsync(enough.Token);
        for (int i = 0; i < 30; i++)
        {
            RecordChange change = await store.TryReplaceAsync(current, current with { Term = current.Term + 1 }, None);
            change.Done.ShouldBeTrue();
            current = change.Current!;
        }

        await enough.CancelAsync();
        int made = await others;
        made.ShouldBeGreaterThan(0);
        JsonNode volume = await VolumeObjects.GetAsync(kube.Admin, @namespace, Name);
        ((string?)volume["metadata"]!["labels"]!["round"]).ShouldBe($"r{made}");
        ((string?)volume["status"]!["message"]).ShouldBe($"round {made}");
        ((long?)volume["status"]!["term"]).ShouldBe(31);
    }

    [Fact]
    public async Task An_object_made_anew_under_the_same_name_is_not_this_volume()
    {
        VolumeRecord current = (await store.TryCreateAsync(First, None)).Current!;
        await kube.Admin.OutputAsync("delete", "replicatedvolume", "-n", @namespace, Name);
        (await store.ReadAsync(None)).ShouldBeNull();
        (await store.TryReplaceAsync(current, current with { Term = 2 }, None)).ShouldBe(new RecordChange(false, null));
        await Should.ThrowAsync<InvalidDataException>(() => store.TryCreateAsync(First, None));

        await VolumeObjects.CreateAsync(kube.Admin, @namespace, Name);
        (await Should.ThrowAsync<InvalidDataException>(() => store.ReadAsync(None))).Message.ShouldContain(uid);
        await Should.ThrowAsync<InvalidDataException>(() => store.TryReplaceAsync(current, current with { Term = 2 }, None));
        await Should.ThrowAsync<InvalidDataException>(() => store.TryCreateAsync(First, None));
    }

    [Theory]
    [InlineData("""{"recordRevision":1}""")]
    [InlineData("""{"recordRevision":1,"term":0,"currentPrimary":"a"}""")]
    [InlineData("""{"recordRevision":1,"term":1,"currentPrimary":"a","currentSecondary":"a"}""")]
    [InlineData("""{"recordRevision":1,"term":1,"currentPrimary":"a","currentSecondary":"b","secondaryState":"Sideways"}""")]
    [InlineData("""{"recordRevision":"one","term":1,"currentPrimary":"a"}""")]
    public async Task A_status_that_is_no_record_is_refused_and_not_guessed_at(string status)
    {
        using k8s.Kubernetes odd = VolumeObjects.Client(
            kube.Server.AdminKubeconfig, new Canned($$$"""{"metadata":{"uid":"{{{uid}}}","resourceVersion":"7"},"status":{{{status}}}}"""));
        VolumeRecordObject there = VolumeObjects.Store(odd, @namespace, Name, uid);
        await Should.ThrowAsync<InvalidDataException>(() => there.ReadAsync(None));
        await Should.ThrowAsync<InvalidDataException>(() => there.TryReplaceAsync(First, First with { Term = 2 }, None));
        await Should.ThrowAsync<InvalidDataException>(() => there.TryCreateAsync(First, None));
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("""{"metadata":{"uid":"x"}}""")]
    [InlineData("<html>please log in</html>")]
    public async Task An_answer_that_is_no_object_is_refused(string answer)
    {
        using k8s.Kubernetes odd = VolumeObjects.Client(kube.Server.AdminKubeconfig, new Canned(answer));
        await Should.ThrowAsync<InvalidDataException>(() => VolumeObjects.Store(odd, @namespace, Name, uid).ReadAsync(None));
    }

    [Fact]
    public async Task A_read_asks_for_what_is_stored_and_never_for_what_is_cached()
    {
        List<Uri> asked = [];
        using k8s.Kubernetes observed = VolumeObjects.Client(kube.Server.AdminKubeconfig, new Recorder(asked));
        VolumeRecordObject reader = VolumeObjects.Store(observed, @namespace, Name, uid);
        VolumeRecord current = (await store.TryCreateAsync(First, None)).Current!;
        for (int i = 0; i < 50; i++)
        {
            current = (await store.TryReplaceAsync(current, current with { Term = current.Term + 1 }, None)).Current!;
            (await reader.ReadAsync(None)).ShouldBe(current);
        }

        // With a resourceVersion in the query the API server may answer out of its memory.
        asked.Count.ShouldBe(50);
        asked.ShouldAllBe(uri => uri.Query.Length == 0);
    }

    [Fact]
    public async Task An_answer_that_was_lost_is_no_answer_and_the_next_read_tells_the_truth()
    {
        VolumeRecord current = (await store.TryCreateAsync(First, None)).Current!;
        await using AnswerCutter cutter = new(kube.Server.Address);
        using k8s.Kubernetes unlucky = VolumeObjects.Client(kube.Server.AdminKubeconfig, through: cutter.Address);
        VolumeRecordObject far = VolumeObjects.Store(unlucky, @namespace, Name, uid);
        (await far.ReadAsync(None)).ShouldBe(current);

        cutter.CutAfter(0);
        VolumeRecord next = current with { SecondaryState = SecondaryState.Stale };
        await Should.ThrowAsync<IOException>(() => far.TryReplaceAsync(current, next, None));
        cutter.HasCut.ShouldBeTrue();
        VolumeRecord written = (await far.ReadAsync(None)).ShouldNotBeNull();
        written.ShouldBe(next with { Revision = current.Revision + 1 });

        // Trying again, as an agent does, is told so too.
        (await far.TryReplaceAsync(current, next, None)).ShouldBe(new RecordChange(false, written));
    }

    [Fact]
    public async Task Without_rights_there_is_no_answer_and_the_sentence_says_why()
    {
        string nobody = await kube.Server.KubeconfigForUserAsync("nobody");
        using k8s.Kubernetes powerless = VolumeObjects.Client(nobody);
        IOException e = await Should.ThrowAsync<IOException>(() => VolumeObjects.Store(powerless, @namespace, Name, uid).ReadAsync(None));
        e.Message.ShouldContain("403");
        e.Message.ShouldContain("nobody");
    }

    [Fact]
    public async Task An_API_server_that_is_down_frozen_or_starting_gives_no_answer_within_the_bound()
    {
        await using KubeApiServer own = await KubeApiServer.StartAsync();
        await VolumeObjects.DefineAsync(own.Admin);
        string id = await VolumeObjects.CreateAsync(own.Admin, "default", Name);
        using k8s.Kubernetes patient = VolumeObjects.Client(own.AdminKubeconfig);
        VolumeRecordObject there = VolumeObjects.Store(patient, "default", Name, id);
        VolumeRecord current = (await there.TryCreateAsync(new(id, 1, "a", "b", SecondaryState.InSync), None)).Current!;

        await own.FreezeAsync();
        long start = Stopwatch.GetTimestamp();
        await Should.ThrowAsync<IOException>(() => there.ReadAsync(None));
        Stopwatch.GetElapsedTime(start).ShouldBeLessThan(TimeSpan.FromSeconds(30));
        await own.ThawAsync();
        (await there.ReadAsync(None)).ShouldBe(current);

        await own.StopAsync();
        await Should.ThrowAsync<IOException>(() => there.ReadAsync(None));
        await Should.ThrowAsync<IOException>(() => there.TryReplaceAsync(current, current with { Term = 2 }, None));

        // While it starts it knows no ReplicatedVolumes yet (404): that must not read as "there is no record".
        using CancellationTokenSource started = new();
        Task<bool> everNull = EverNullAsync(there, started.Token);
        await own.StartAgainAsync();
        await Testing.Eventually.TrueAsync(async () => await there.AnswersAsync(), "the API server serves volumes");
        await started.CancelAsync();
        (await everNull).ShouldBeFalse();
        (await there.ReadAsync(None)).ShouldBe(current);
    }

    private static async Task<bool> EverNullAsync(VolumeRecordObject there, CancellationToken until)
    {
        while (!until.IsCancellationRequested)
        {
            try
            {
                if (await there.ReadAsync(None) is null)
                {
                    return true;
                }
            }
            catch (IOException)
            {
                await Task.Delay(20, CancellationToken.None);
            }
        }

        return false;
    }

    private async Task<int> ChangeOtherThingsAsync(CancellationToken enough)
    {
        int round = 0;
        while (!enough.IsCancellationRequested)
        {
            round++;
            await PatchAsync($$$"""{"metadata":{"labels":{"round":"r{{{round}}}"}},"spec":{"resync":{"maxBytesPerSecond":{{{round}}} } } }""", isStatus: false);
            await PatchAsync($$$"""{"status":{"message":"round {{{round}}}"}}""", isStatus: true);
        }

        return round;
    }

    private async Task PatchAsync(string patch, bool isStatus)
    {
        k8s.Models.V1Patch body = new(patch, k8s.Models.V1Patch.PatchType.MergePatch);
        using var answer = isStatus
            ? await client.CustomObjects.PatchNamespacedCustomObjectStatusWithHttpMessagesAsync(
                body, "colo.dev", "v1alpha1", @namespace, "replicatedvolumes", Name)
            : await client.CustomObjects.PatchNamespacedCustomObjectWithHttpMessagesAsync(
                body, "colo.dev", "v1alpha1", @namespace, "replicatedvolumes", Name);
    }

    /// <summary>A server, or whatever stands in its way, that says one thing to everybody.</summary>
    private sealed class Canned(string answer) : DelegatingHandler
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken) =>
            Task.FromResult(new HttpResponseMessage { Content = new StringContent(answer), RequestMessage = request });
    }

    private sealed class Recorder(List<Uri> asked) : DelegatingHandler
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            lock (asked)
            {
                asked.Add(request.RequestUri!);
            }

            return base.SendAsync(request, cancellationToken);
        }
    }
}

internal static class StoreExtensions
{
    public static async Task<bool> AnswersAsync(this IVolumeRecordStore store)
    {
        try
        {
            return await store.ReadAsync(CancellationToken.None) is not null;
        }
        catch (IOException)
        {
            return false;
        }
    }
}
