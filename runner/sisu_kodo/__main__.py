"""`python -m sisu_kodo` is `sisu`."""

from .cli.main import main

main(prog_name="sisu")
