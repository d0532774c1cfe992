"""`minik kubeconfig`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import click
import yaml

from minik.cli.files import ServerFiles
from minik.files import write_private
from minik.paths import default_data_dir


@click.command("kubeconfig")
@click.option("--data-dir", type=click.Path(path_type=Path), default=None, help="The server's data directory.")
@click.option("--merge", is_flag=True, help="Merge it into your kubeconfig (KUBECONFIG or ~/.kube/config) instead.")
def command(data_dir: Path | None, merge: bool) -> None:
    """Print the administrator's kubeconfig, or merge it into yours.

    Merging replaces only the entries called "minik", keeps a copy of the old file beside it, and makes minik the current context.
    """
    files = ServerFiles(data_dir or default_data_dir())
    try:
        text = files.kubeconfig_path.read_text()
    except FileNotFoundError:
        raise click.ClickException(
            f"there is no {files.kubeconfig_path}: run `minik server` first, or name its --data-dir"
        ) from None
    except PermissionError:
        raise click.ClickException(f"{files.kubeconfig_path} belongs to another user; try with sudo") from None
    if not merge:
        click.echo(text, nl=False)
        return
    target = Path(os.environ.get("KUBECONFIG", "").split(os.pathsep)[0] or Path.home() / ".kube" / "config")
    merge_into(target, yaml.safe_load(text))
    click.echo(f"merged into {target}; try: kubectl get nodes", err=True)


def merge_into(target: Path, new: dict[str, Any]) -> None:
    """Merge a kubeconfig into the file `target`, which need not exist. Raises click.ClickException if it is not one."""
    current: dict[str, Any] = {"apiVersion": "v1", "kind": "Config"}
    if target.exists():
        loaded = yaml.safe_load(target.read_text()) or {}
        if not isinstance(loaded, dict):
            raise click.ClickException(f"{target} is not a kubeconfig; nothing was changed")
        current |= loaded
        shutil.copy2(target, target.with_name(target.name + ".before-minik"))
    for group in ("clusters", "users", "contexts"):
        ours = {entry["name"] for entry in new[group]}
        current[group] = [e for e in current.get(group) or [] if e.get("name") not in ours] + new[group]
    current["current-context"] = new["current-context"]
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(target, yaml.safe_dump(current, sort_keys=False).encode())
