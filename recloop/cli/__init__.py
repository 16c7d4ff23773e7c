"""The command line: `recloop …`. Reads arguments, calls stages, prints; no logic of the loop.

`recloop/main.py` gathers the commands and turns errors into messages and exit codes; `loop.py`
holds those of the loop, `services.py` those of the machine, `silo.py` those of silos, `output.py`
tables and messages.
"""
