"""`python -m dashboard --settings FILE`: one dashboard, one process."""

import argparse
import logging
import sys
from pathlib import Path

import uvicorn

from dashboard.app import create_app
from dashboard.errors import SettingsError
from dashboard.settings import read_settings


def main() -> None:
    """Serve until the process is told to stop."""
    parser = argparse.ArgumentParser(prog="dashboard", description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="TOML file")
    arguments = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(name)s %(levelname)s %(message)s")
    try:
        settings = read_settings(arguments.settings)
        app = create_app(settings)
    except (SettingsError, FileNotFoundError) as error:
        sys.exit(f"dashboard: {error}")
    uvicorn.run(
        app,
        host=settings.listen.host,
        port=settings.listen.port,
        log_level="warning",
        server_header=False,
        proxy_headers=False,  # whoever asks could choose the address that is throttled
    )


if __name__ == "__main__":
    main()
