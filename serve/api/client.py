"""A Python client of the HTTP API, generated from the OpenAPI document.

    make client        # or: python -m serve.api.client [out=var/client]

Writes the package `liveshelf_client` with a function for each operation, plain and async, and a class for each body.
Not among them is what speaks in lines, the batch of items: no generator knows NDJSON, and any HTTP client posts it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from pydantic import Field

from cluster.command import run_command, say
from cluster.config import Config
from cluster.errors import RuntimeStartError
from serve.api.routes import make_api

GENERATOR = {"project_name_override": "liveshelf-client", "package_name_override": "liveshelf_client"}
IN_LINES = "/v1/catalogues/{catalogue}/items:batch"


class ClientArgs(Config):
    """What the command takes."""

    out: str = Field("var/client", description="folder to write, over what an earlier run left there")


def generate(out: Path) -> None:
    """Write the client's package below `out`; raises RuntimeStartError where the generator fails."""
    with TemporaryDirectory() as folder:
        document, config = Path(folder) / "openapi.json", Path(folder) / "config.yaml"
        # Nobody is asked anything: a document needs no engine.
        told = make_api(lambda: None).openapi()  # pyright: ignore[reportArgumentType, reportReturnType]
        del told["paths"][IN_LINES]
        document.write_text(json.dumps(told))
        config.write_text(yaml.safe_dump(GENERATOR))
        done = subprocess.run(
            [sys.executable, "-m", "openapi_python_client", "generate", f"--path={document}", f"--config={config}",
             f"--output-path={out}", "--overwrite", "--fail-on-warning"],
            env=os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"},
            text=True, capture_output=True,
        )  # fmt: skip  # PATH: it formats what it writes with ruff
    if done.returncode:
        raise RuntimeStartError(f"no client was written: {(done.stdout + done.stderr).strip()}")


def main(words: list[str]) -> int:
    """Write the client and say where."""
    out = Path(ClientArgs.parse(words).out)
    out.parent.mkdir(parents=True, exist_ok=True)
    generate(out)
    say(f"wrote {out}; `pip install {out}`, then `from liveshelf_client import AuthenticatedClient`")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(lambda: main(sys.argv[1:])))
