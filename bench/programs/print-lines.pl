# Prints numbered lines: each with a write of its own (`each`), as programs do on stderr, or in blocks (`blocks`), as they do into a pipe.
my ($lines, $how) = @ARGV;
$| = $how eq 'each';
print "line $_ of table public.memory_entries\n" for 1 .. $lines;
