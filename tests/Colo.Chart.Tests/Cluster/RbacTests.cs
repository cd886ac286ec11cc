using System.Text.Json.Nodes;
using Colo.Chart.Tests.Render;
using Colo.Testing.Kube;

namespace Colo.Chart.Tests.Cluster;

/// <summary>What the two service accounts may do on a real API server, by the chart's own roles: this, and nothing else.</summary>
public sealed class RbacTests(InstalledChart cluster)
{
    private const string Operator = "colo-operator";
    private const string Agent = "colo-operator-agent";
    private const string Volumes = "replicatedvolumes.colo.dev";
    private const string Requests = "certificatesigningrequests.certificates.k8s.io";
    private const string Leases = "leases.coordination.k8s.io";

    /// <summary>"-": in no namespace. RESOURCE/SUBRESOURCE, or RESOURCE=NAME of one.</summary>
    private static readonly (string Who, string Verbs, string Resource, string Namespace)[] Allowed =
    [
        (Operator, "get,list,watch,update,patch", Volumes, "vms"),
        (Operator, "list,watch", Volumes, "-"),
        (Operator, "get,update,patch", Volumes + "/status", "vms"),
        (Operator, "update", Volumes + "/finalizers", "vms"),
        (Operator, "get,list,watch", "nodes", "-"),
        (Operator, "get,list,watch,create,update,patch", Leases, ColoChart.Namespace),
        (Operator, "create,patch", "events", "vms"),
        (Operator, "get,list,watch", Requests, "-"),
        (Operator, "update", Requests + "/approval", "-"),
        (Operator, "update", Requests + "/status", "-"),
        (Operator, "approve,sign", "signers.certificates.k8s.io=colo.dev/agent", "-"),
        (Operator, "get", "pods", ColoChart.Namespace),
        (Agent, "get,create", Requests, "-"),
        (Agent, "get", Volumes, "vms"),
        (Agent, "get,update,patch", Volumes + "/status", "vms"),
        (Agent, "get,create,update,patch", Leases, ColoChart.Namespace),
    ];

    private static readonly (string Who, string Verbs, string Resource, string Namespace)[] Refused =
    [
        (Operator, "create,delete,deletecollection", Volumes, "vms"),
        (Operator, "update,patch,delete", "nodes", "-"),
        (Operator, "get,list,create", Leases, "vms"),
        (Operator, "delete", Leases, ColoChart.Namespace),
        (Operator, "get,list,watch", "secrets", ColoChart.Namespace),
        (Operator, "list,create,delete", "pods", ColoChart.Namespace),
        (Operator, "get", "pods", "vms"),
        (Operator, "create,delete", Requests, "-"),
        (Operator, "approve,sign", "signers.certificates.k8s.io=kubernetes.io/kubelet-serving", "-"),
        (Agent, "list,watch,update,patch,delete", Requests, "-"),
        (Agent, "update", Requests + "/approval", "-"),
        (Agent, "update", Requests + "/status", "-"),
        (Operator, "create", "pods/exec", ColoChart.Namespace),
        (Operator, "get,list,delete", "persistentvolumeclaims", "vms"),
        (Operator, "get,list,delete", "events", "vms"),
        (Operator, "update", "virtualmachineinstances.subresources.kubevirt.io/freeze", "vms"),
        (Operator, "update,patch", "clusterroles.rbac.authorization.k8s.io", "-"),
        (Operator, "update,patch,delete", "customresourcedefinitions.apiextensions.k8s.io", "-"),
        (Agent, "list,watch,create,update,patch,delete", Volumes, "vms"),
        (Agent, "update", Volumes + "/finalizers", "vms"),
        (Agent, "list,watch,delete", Leases, ColoChart.Namespace),
        (Agent, "get,create,update", Leases, "kube-node-lease"),
        (Agent, "get,list", "nodes", "-"),
        (Agent, "get,list,watch", "secrets", ColoChart.Namespace),
        (Agent, "get,list,create", "pods", ColoChart.Namespace),
        (Agent, "create", "events", "vms"),
        (Agent, "create", "serviceaccounts/token", ColoChart.Namespace),
    ];

    [Fact]
    public async Task Each_may_do_what_it_needs() => (await AnswersAsync(Allowed)).Where(a => !a.IsAllowed).Select(a => a.Question).ShouldBeEmpty();

    [Fact]
    public async Task Neither_may_do_more() => (await AnswersAsync(Refused)).Where(a => a.IsAllowed).Select(a => a.Question).ShouldBeEmpty();

    [Fact]
    public async Task Whoever_freezes_guests_is_told_to_by_a_value()
    {
        Manifest role = (await ColoChart.TemplateAsync(ColoChart.Newest, "--set", "kubevirt.freeze=true")).Single(m => m.Id == "ClusterRole/colo-operator");
        role.Content["rules"]!.AsArray()[^1]!.ToJsonString().ShouldContain("virtualmachineinstances/freeze");
    }

    [Fact]
    public async Task All_that_an_agent_may_do_is_on_the_list()
    {
        string kubeconfig = await cluster.Server.KubeconfigForServiceAccountAsync(ColoChart.Namespace, Agent);
        string table = await cluster.Server.KubectlFor(kubeconfig).OutputAsync("auth", "can-i", "--list", "--no-headers", "-n", ColoChart.Namespace);
        string[] resources =
        [
            .. table.Split('\n', StringSplitOptions.RemoveEmptyEntries)
                .Select(l => l.Split(' ', 2)[0])
                .Where(r => r.Length > 0 && r != "[]" && !r.StartsWith("self", StringComparison.Ordinal))
                .Order(StringComparer.Ordinal),
        ];
        resources.ShouldBe([Requests, Leases, Volumes, Volumes + "/status"]);
    }

    [Fact]
    public async Task People_who_edit_volumes_cannot_write_the_record()
    {
        // No controller aggregates roles here: the shipped role is bound as it is.
        await cluster.Admin.OutputAsync(
            "create", "clusterrolebinding", "editors", "--clusterrole=colo-operator-edit", "--user=ann");
        bool[] answers = await ReviewAsync([("ann", "create", Volumes, "vms"), ("ann", "delete", Volumes, "vms"), ("ann", "update", Volumes + "/status", "vms")]);
        answers.ShouldBe([true, true, false]);
    }

    private async Task<(string Question, bool IsAllowed)[]> AnswersAsync((string Who, string Verbs, string Resource, string Namespace)[] table)
    {
        (string Who, string Verb, string Resource, string Namespace)[] questions =
            [.. table.SelectMany(t => t.Verbs.Split(',').Select(v => ($"system:serviceaccount:{ColoChart.Namespace}:{t.Who}", v, t.Resource, t.Namespace)))];
        bool[] answers = await ReviewAsync(questions);
        answers.Length.ShouldBe(questions.Length);
        return [.. questions.Zip(answers, (q, a) => ($"{q.Who} {q.Verb} {q.Resource} in {q.Namespace}", a))];
    }

    /// <summary>What `kubectl auth can-i` asks, many at once.</summary>
    private async Task<bool[]> ReviewAsync((string Who, string Verb, string Resource, string Namespace)[] questions)
    {
        JsonArray reviews = [.. questions.Select(q =>
        {
            string[] named = q.Resource.Split('=', 2);
            string[] path = named[0].Split('/');
            string[] name = path[0].Split('.', 2);
            return (JsonNode)new JsonObject
            {
                ["apiVersion"] = "authorization.k8s.io/v1",
                ["kind"] = "SubjectAccessReview",
                ["spec"] = new JsonObject
                {
                    ["user"] = q.Who,
                    ["resourceAttributes"] = new JsonObject
                    {
                        ["verb"] = q.Verb,
                        ["group"] = name.ElementAtOrDefault(1) ?? "",
                        ["resource"] = name[0],
                        ["subresource"] = path.ElementAtOrDefault(1) ?? "",
                        ["name"] = named.ElementAtOrDefault(1) ?? "",
                        ["namespace"] = q.Namespace == "-" ? "" : q.Namespace,
                    },
                },
            };
        })];
        string list = new JsonObject { ["apiVersion"] = "v1", ["kind"] = "List", ["items"] = reviews }.ToJsonString();
        string answer = (await cluster.Admin.RunWithInputAsync(list, "create", "-f", "-", "-o", "jsonpath={.status.allowed} ")).EnsureSuccess();
        return [.. answer.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries).Select(bool.Parse)];
    }
}
