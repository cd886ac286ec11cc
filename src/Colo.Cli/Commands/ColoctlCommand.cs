using System.CommandLine;
using Colo.Cli.Cluster;

namespace Colo.Cli.Commands;

/// <summary>The whole command line, as a tree.</summary>
internal static class ColoctlCommand
{
    private const string Purpose =
        """
        Replicated disks for virtual machines: a copy on a second node that is ready to take over.

        Exit codes: 0 done, 1 failed or refused, 2 wrong command line or no such volume, 3 no outcome within the time, 4 nothing answers: no
        cluster, no ReplicatedVolumes in it, no operator, or (local) nothing runs here.
        """;

    public static RootCommand Create()
    {
        RootCommand root = new(Purpose)
        {
            ClusterStatusCommand.Create(),
            ClusterRequestCommands.Checkpoint(),
            ClusterRequestCommands.SwitchOver(),
            ClusterRequestCommands.FailOver(),
            ClusterRequestCommands.Resync(),
            EventsCommand.Create(),
            Local(),
            CompletionCommand.Create(),
        };
        root.HelpName = CalledAs.Command;
        foreach (Option option in ClusterOptions.Everywhere)
        {
            root.Options.Add(option);
        }

        return root;
    }

    private static Command Local()
    {
        Command local = new("local",
            """
            Replicated volumes on one machine: two agents, an embedded arbiter and control loop, no Kubernetes.

            Exit codes: 0 done, 1 failed or refused, 2 wrong command line or manifest, 3 not within the time, 4 nothing runs here.
            """)
        {
            UpCommand.Create(),
            StatusCommand.Create(),
            RequestCommands.Checkpoint(),
            RequestCommands.SwitchOver(),
            RequestCommands.FailOver(),
            RequestCommands.Wait(),
            AgentCommands.List(),
            AgentCommands.Start(),
            AgentCommands.Stop(),
            AgentCommands.Logs(),
            AgentCommands.Control(),
            DownCommand.Create(),
        };
        local.Options.Add(CommonOptions.Dir);
        return local;
    }
}
