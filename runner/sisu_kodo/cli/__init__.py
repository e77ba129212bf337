"""The `sisu` program. Each module holds one subcommand and the function behind it."""
