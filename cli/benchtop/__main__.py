"""`python -m benchtop`."""

from benchtop.cli import main

main()
