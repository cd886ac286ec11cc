using System.CommandLine;

namespace Colo.Cli.Commands;

/// <summary>The whole command line, as a tree.</summary>
internal static class ColoctlCommand
{
    public static RootCommand Create()
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
        return new RootCommand("Replicated disks for virtual machines: a copy on a second node that is ready to take over") { local };
    }
}
