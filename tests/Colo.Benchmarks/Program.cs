using System.CommandLine;
using Colo.Benchmarks;
using Colo.Benchmarks.Stacks;

RootCommand root = new("Measures our stack beside QEMU's block replication, qemu-nbd and nbdkit: the same fio jobs, turn by turn, in one run.")
{
    ServeCommand.Create(),
};
BenchCommand.AddTo(root);
return await root.Parse(args).InvokeAsync();
