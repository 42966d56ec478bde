"""`python -m regen` is the command line."""

from regen.cli import app

if __name__ == "__main__":
    app()
