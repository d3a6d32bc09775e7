"""``python -m dynsys`` is the command line."""

from dynsys.cli import main

if __name__ == "__main__":
    main(prog_name="dynsys")
