"""The command line. Commands are imported when they are called, so that `minik --help` is instant."""

from __future__ import annotations

import gc
import importlib

import click

from minik import __version__

_COMMANDS = {
    "server": ("minik.cli.server", "Run the API server, the scheduler, all controllers and a node."),
    "agent": ("minik.cli.agent", "Run a worker node that joins a server."),
    "get": ("minik.cli.get", "Show objects, at once and without kubectl."),
    "why": ("minik.cli.why", "Say why a pod is on its node, or on none."),
    "history": ("minik.cli.history", "Show who changed what at an object, and when."),
    "rewind": ("minik.cli.rewind", "Write an earlier state of an object again."),
    "backup": ("minik.cli.backup", "Copy the whole state into a file, while the server runs."),
    "restore": ("minik.cli.restore", "Put a backup in the place of the state."),
    "check": ("minik.cli.check", "Look for anything wrong with the state or a backup."),
    "kubeconfig": ("minik.cli.kubeconfig", "Print the administrator's kubeconfig, or merge it into yours."),
    "token": ("minik.cli.token", "Make, list and delete tokens that nodes join with."),
    "reset": ("minik.cli.reset", "Remove everything minik made on this host."),
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        # Importing makes containers by the hundred thousand, and next to no garbage: looking for it takes a fifth of the time.
        gc.set_threshold(200_000, 50, 100)
        command: click.Command = importlib.import_module(_COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="minik")
def main() -> None:
    """A whole Kubernetes in one process.

    `minik server` is the control plane and a node; `minik agent --join` adds a node. Talk to it with kubectl.
    """


if __name__ == "__main__":
    main(prog_name="minik")
