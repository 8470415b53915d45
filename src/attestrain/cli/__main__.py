"""`python -m attestrain.cli`: the command line where no script is installed."""

from attestrain.cli.main import main

main()
