namespace Colo.Replication;

/// <summary>Where a node keeps the highest term it has seen of one volume, so that a restart (also from an old disk) does not forget it.</summary>
public interface ITermStore
{
    /// <summary><see cref="Term.None"/> where none was stored.</summary>
    ValueTask<Term> ReadAsync();

    /// <summary>Durable when it returns (fsync); throws where that fails: the term is then not acted upon.</summary>
    ValueTask WriteAsync(Term term);
}
