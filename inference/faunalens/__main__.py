"""`python -m faunalens`: the same as the command `faunalens`."""

from faunalens.cli import main

if __name__ == "__main__":
    main(prog_name="faunalens")
