"""`python -m magicpose_cli`, which is also what `accelerate launch -m` needs."""

from magicpose_cli.cli import main

if __name__ == "__main__":
    main()
