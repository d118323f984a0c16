"""The subcommands of `leadlift`, a module each with `add(subparsers)`."""
