"""`faunalens`: one command per file under commands/, loaded when called.

Exit codes: 0 done, 1 could not run, 2 wrong usage, 3 done but some photos failed.
"""

import importlib
import sys
from importlib import metadata
from typing import Any

import click

from faunalens.errors import FaunalensError, MissingExtraError, UsageError

# Name to one line of help, so that listing the commands imports none of them.
_COMMANDS = {
    "scan": "Judge photos: folders, files and globs to one record each.",
    "report": "Summarise results, and draw the hits on one HTML page.",
    "link": "Find the same photo in different adverts.",
    "similar": "Find where else one photo occurs.",
    "model": "Say what the model file says of itself.",
    "bench": "Measure how fast this machine is, and say what suits it.",
    "export-kit": "Write all that a platform needs to run the model itself.",
}
# Package to the extra that brings it.
_EXTRAS = {
    "imagehash": "data",
    "matplotlib": "data",
    **dict.fromkeys(("gradio", "babel", "fpdf", "pypdf", "sqlalchemy"), "app"),
    "faiss": "link",
    "scipy": "link",
    **dict.fromkeys(("torch", "torchvision", "timm", "sklearn", "onnx", "onnxscript"), "train"),
}
_PLUGINS = "faunalens.commands"  # entry-point group for commands of other packages


class ErrorGroup(click.Group):
    """A group whose expected errors are one line, with exit code 2 for usage and else 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except FaunalensError as error:
            kind = click.UsageError if isinstance(error, UsageError) else click.ClickException
            raise kind(str(error)) from error
        except ModuleNotFoundError as error:
            extra = _EXTRAS.get((error.name or "").split(".")[0])
            if extra is None:
                raise
            missing = MissingExtraError(extra, f"this command ({error.name})")
            raise click.ClickException(str(missing)) from error
        except BrokenPipeError:
            # The reader (head, less) has what it wanted. Nothing may be flushed at exit.
            sys.stderr.close()
            sys.exit(0)


class LazyGroup(ErrorGroup):
    """Commands by name, imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*_COMMANDS, *sorted(entry.name for entry in _plugins())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _COMMANDS:
            name = cmd_name.replace("-", "_")
            module = importlib.import_module(f"faunalens.commands.{name}")
            command = getattr(module, name)
        else:
            entry = next((e for e in _plugins() if e.name == cmd_name), None)
            if entry is None:
                return None
            command = entry.load()
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = list(_COMMANDS.items())
        for entry in sorted(_plugins(), key=lambda e: e.name):
            command = self.get_command(ctx, entry.name)
            rows.append((entry.name, command.get_short_help_str() if command else ""))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _plugins() -> metadata.EntryPoints:
    return metadata.entry_points(group=_PLUGINS)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="faunalens", message="%(package)s %(version)s")
def main() -> None:
    """Recognise protected species and wildlife products in photos.

    A hit is a lead, not proof: a photo cannot show age, origin, captive breeding or a certificate.
    """
