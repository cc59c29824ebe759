"""`python -m fastfer`, which torchrun can start too."""

from fastfer.cli import main

main()
