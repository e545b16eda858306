"""The command line: arguments, file and environment in, exit code out; one file a verb."""
