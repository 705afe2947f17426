"""The command `ppcartoon` and its subcommands."""
