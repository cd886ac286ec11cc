using System.Runtime.CompilerServices;

// The tables (states, delays) are tested as tables.
[assembly: InternalsVisibleTo("Colo.Nbd.Tests")]
