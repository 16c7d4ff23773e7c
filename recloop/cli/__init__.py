"""The command line: `recloop …`. Reads arguments, calls stages, prints; no logic of the loop.

`recloop/main.py` gathers the commands, holds those of the machine, and turns errors into messages and
exit codes; `loop.py` holds the commands of the loop, `silo.py` those of silos, `output.py` tables and
messages.
"""
